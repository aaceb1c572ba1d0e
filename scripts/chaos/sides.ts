/** What each side says of every event that both show, by Luma's id. */
import type { SimEvent } from "../luma-simulator/mod.ts";
import { FIELDS } from "./acts.ts";
import { guestStatus, lumaValue, rowValue } from "./values.ts";
import type { World } from "./world.ts";

/** Field or guest, and its value. */
export type Said = Record<string, string>;

const TAGS: Record<string, string> = { food: "Food", game: "Gaming" };

export async function appSays({ stack }: World): Promise<Map<string, Said>> {
  const rows = await stack.sql`
    select e.*, coalesce((
      select jsonb_object_agg(lower(u.email), r.status)
      from public.event_rsvps r join public.users u on u.id = r.user_id where r.event_id = e.id
    ), '{}') as rsvps, coalesce((
      select jsonb_object_agg(x.email, x.status) from luma.external_guests x where x.event_id = e.id
    ), '{}') as externals
    from public.canonical_events e where e.luma_event_id is not null and e.submission_status = 'approved'`;
  return new Map(rows.map((row) => [row.luma_event_id, {
    ...Object.fromEntries(FIELDS.map((field) => [field, rowValue(row, field)])),
    visibility: row.visibility,
    ...(TAGS[row.culture] && { tags: TAGS[row.culture]! }),
    ...(row.is_ticketed && { price: String(Number(row.ticket_price) * 100) }),
    ...coming(Object.entries(row.externals)),
    ...coming(
      Object.entries<string>(row.rsvps).map((
        [email, status],
      ) => [email, guestStatus(status)]),
    ),
  }]));
}

export function lumaSays({ stack }: World): Map<string, Said> {
  return new Map(
    stack.simulator.events().map((event) => [event.id, {
      ...Object.fromEntries(
        FIELDS.map((field) => [field, lumaValue(event, field)]),
      ),
      visibility: event.visibility,
      ...tagsOf(event),
      ...priceOf(event),
      ...coming(
        event.guests.map((guest) => [guest.user_email, guest.approval_status]),
      ),
    }]),
  );
}

/** Whoever has declined need not be on Luma. */
function coming(guests: [string, unknown][]): Said {
  return Object.fromEntries(
    guests.filter(([, status]) => status !== "declined").map((
      [email, status],
    ) => [email, String(status)]),
  );
}

function tagsOf({ tags }: SimEvent): Said {
  const names = tags.map(({ name }) => name).filter((name) =>
    Object.values(TAGS).includes(name)
  );
  return names.length > 0 ? { tags: names.sort().join(", ") } : {};
}

function priceOf({ ticketTypes }: SimEvent): Said {
  const prices = ticketTypes.filter(({ is_hidden, type }) =>
    !is_hidden && type === "paid"
  ).map(({ cents }) => cents);
  return prices.length > 0 ? { price: prices.join(", ") } : {};
}
