/** Events that are on Luma already, for tests of what comes after. */
import { insertEvent, type Stack } from "./testing.ts";

/** Lets the sync make as many calls as it can; the simulator has a limit of its own. */
export async function manyCalls({ sql }: Stack): Promise<void> {
  await sql`update luma.settings set calls_per_minute = 10000, calls_per_minute_total = 10000`;
}

/** Inserts events that both sides agree on, without a call; Luma's ids by ours. */
export async function linkedEvents(
  stack: Stack,
  count: number,
): Promise<Map<string, string>> {
  const { sql, simulator } = stack;
  const linked = new Map<string, string>();
  for (let n = 0; n < count; n++) {
    const id = await insertEvent(stack, { title: `Event ${n}` });
    const event = simulator.host.createEvent(simulator.calendars[n % 2]!.id, {
      name: `Event ${n}`,
      start_at: new Date(Date.now() + 7 * 86_400_000).toISOString(),
      timezone: "Asia/Kolkata",
    });
    linked.set(id, event.id);
    await sql`
      insert into luma.event_links (event_id, calendar, slug, luma_event_id, row_base)
      select id, ${
      n % 2 ? "zo_events" : "blr"
    }, luma.slug_for(id, title), ${event.id}, luma.event_state(e)
      from public.canonical_events e where id = ${id}`;
  }
  await sql`update public.canonical_events e set luma_event_id = l.luma_event_id from luma.event_links l where l.event_id = e.id`;
  await sql`delete from luma.sync_outbox where entity = 'event'`;
  return linked;
}

/** Lets users be guests that both sides agree on, approved, without a call. */
export async function linkedGuests(
  { sql, simulator }: Stack,
  events: Map<string, string>,
  users: string[],
): Promise<void> {
  for (const [id, lumaId] of events) {
    for (const user of users) {
      simulator.guest.register(lumaId, {
        name: user,
        email: `${user}@example.com`,
      });
    }
    await sql`
      insert into public.event_rsvps (event_id, user_id, status) select ${id}, u, 'going' from unnest(${users}::text[]) u`;
  }
  await sql`
    insert into luma.guest_links (rsvp_id, event_id, user_id, email)
    select id, event_id, user_id, user_id || '@example.com' from public.event_rsvps`;
  await sql`
    insert into luma.guests (event_id, email, row_base, luma_base, synced_at)
    select event_id, email, 'approved', 'approved', now() from luma.guest_links`;
  await sql`delete from luma.sync_outbox where entity = 'rsvp'`;
}
