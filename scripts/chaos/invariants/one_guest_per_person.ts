/** Nobody is on a list twice: not on Luma's, and not in the app as a user and as somebody from outside. */
import type { Invariant } from "./invariant.ts";

export const oneGuestPerPerson: Invariant = {
  name: "one-guest-per-person",

  always: ({ stack }) =>
    Promise.resolve(
      stack.simulator.events().flatMap(({ id, guests }) =>
        [...Map.groupBy(guests, ({ user_email }) => user_email.toLowerCase())]
          .filter(([, same]) => same.length > 1)
          .map(([email, same]) =>
            `${email} is on the list of ${id} ${same.length} times`
          )
      ),
    ),

  atRest: async ({ stack }) => {
    const twice = await stack.sql`
      select event_id, lower(email) as email, count(*)::int as times from (
        select r.event_id, u.email from public.event_rsvps r join public.users u on u.id = r.user_id
        union all
        select x.event_id, x.email from luma.external_guests x
      ) people
      group by event_id, lower(email) having count(*) > 1`;
    return twice.map(({ event_id, email, times }) =>
      `${email} is ${times} people at the row ${event_id}`
    );
  },
};
