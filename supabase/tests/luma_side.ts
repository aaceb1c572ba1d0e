/** Tests in which Luma's webhooks reach the function: hosts and guests act on the simulated Luma. */
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import {
  drain,
  type EventRow,
  one,
  passTime,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

/** Names of the simulator's calendars in the functions' environment. */
export const BLR = "cal-ZVonmjVxLk7F2oM";
export const ZO_EVENTS = "cal-3YNnBTToy9fnnjQ";

/** A stack test whose simulated Luma delivers webhooks. */
export function lumaTest(
  name: string,
  test: (stack: Stack) => Promise<void>,
  options: Parameters<typeof stackTest>[2] = {},
): void {
  stackTest(name, test, { webhooks: true, ...options });
}

/** An event that a host makes on Luma, in ten days, in Bangalore, unless said otherwise. */
export function hostEvent(
  { simulator }: Pick<Stack, "simulator">,
  input: Partial<Parameters<typeof simulator.host.createEvent>[1]> = {},
  calendar = BLR,
): SimEvent {
  const start = Date.now() + 10 * 86_400_000;
  return simulator.host.createEvent(calendar, {
    name: "Full Moon Swim",
    description_md: "Bring a towel.",
    start_at: new Date(start).toISOString(),
    end_at: new Date(start + 2 * 3_600_000).toISOString(),
    timezone: "Asia/Kolkata",
    coordinate: { latitude: 12.93, longitude: 77.63 },
    geo_address_json: { type: "manual", address: "1 Lake Road, Bengaluru" },
    ...input,
  });
}

/** Waits until every webhook is delivered, and drains until nothing is left to do on either side. */
export async function settle(stack: Stack): Promise<void> {
  const { sql, simulator } = stack;
  await until("both sides are at rest", async () => {
    await simulator.webhooksIdle();
    await passTime(stack);
    await sql`update luma.webhook_inbox set due_at = now() where due_at is not null`;
    await drain(stack);
    await simulator.webhooksIdle();
    const left = await sql`
      select from luma.sync_outbox where version > done_version and dead_at is null
      union all select from luma.rechecks
      union all select from luma.webhook_inbox where due_at is not null`;
    return left.length === 0;
  }, 60);
}

/** The row of a Luma event. */
export async function rowOf(
  { sql }: Pick<Stack, "sql">,
  lumaEventId: string,
): Promise<EventRow> {
  return await one(
    sql`select * from public.canonical_events where luma_event_id = ${lumaEventId}`,
  );
}

/** The RSVPs of an event, by user: the status. */
export async function rsvpsOf(
  { sql }: Pick<Stack, "sql">,
  eventId: unknown,
): Promise<Record<string, string>> {
  const rows =
    await sql`select user_id, status from public.event_rsvps where event_id = ${
      String(eventId)
    } order by user_id`;
  return Object.fromEntries(rows.map((row) => [row.user_id, row.status]));
}

/** What became of the deliveries, in order of arrival: "type outcome". */
export async function outcomes({ sql }: Pick<Stack, "sql">): Promise<string[]> {
  const rows = await sql`
    select type, state, outcome, error from luma.webhook_inbox order by received_at`;
  return rows.map(({ type, outcome, state, error }) =>
    `${type} ${error ?? outcome ?? state}`
  );
}
