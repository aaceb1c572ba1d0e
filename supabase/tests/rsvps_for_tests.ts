/** RSVPs that wait to be sent, and what Luma was told about them. */
import type { Row } from "postgres";
import { linkedEvents } from "./linked_events.ts";
import { insertUsers, one, type Stack } from "./testing.ts";

export const ADD = "/v1/events/guests/add";
export const UPDATE = "/v1/events/guests/update-status";

/** Users u1, u2, … with RSVPs to this event, in one statement. */
export async function insertRsvps(
  stack: Stack,
  eventId: string,
  count: number,
): Promise<void> {
  await insertUsers(stack, count);
  await stack.sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select ${eventId}, 'u' || n, 'going' from generate_series(1, ${count}::int) n`;
}

/** Events that are on Luma, each with so many RSVPs that wait to be sent. Retries wait for passTime(). */
export async function waitingEvents(
  stack: Stack,
  ...counts: number[]
): Promise<{ id: string; lumaId: string }[]> {
  const linked = [...await linkedEvents(stack, counts.length)];
  for (const [n, [id]] of linked.entries()) {
    await insertRsvps(stack, id, counts[n]!);
  }
  await stack
    .sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
  return linked.map(([id, lumaId]) => ({ id, lumaId }));
}

/** The same with one event. */
export async function waitingRsvps(
  stack: Stack,
  count: number,
): Promise<{ id: string; lumaId: string }> {
  return (await waitingEvents(stack, count))[0]!;
}

/** Guests of one add call after the other, without the part after the @. */
export function additions({ simulator }: Stack): string[][] {
  return simulator.requests.filter(({ path }) => path === ADD).map(({ body }) =>
    (body as { guests: { email: string }[] }).guests.map(({ email }) =>
      email.split("@")[0]!
    )
  );
}

/** How often Luma mailed each guest of an event about this. */
export function mailed(
  { simulator }: Stack,
  lumaEventId: string,
  about: string,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const mail of simulator.emails) {
    if (mail.event_id !== lumaEventId || mail.about !== about) continue;
    const user = mail.to.split("@")[0]!;
    counts[user] = (counts[user] ?? 0) + 1;
  }
  return counts;
}

/** How many attempts at RSVPs ended how. */
export async function outcomes(
  { sql }: Stack,
): Promise<Record<string, number>> {
  const rows =
    await sql`select outcome, count(*)::int from luma.attempts where entity = 'rsvp' group by 1`;
  return Object.fromEntries(rows.map(({ outcome, count }) => [outcome, count]));
}

/** The same of each user, for example of each status in a guest list. */
export function each<T>(users: readonly string[], what: T): Record<string, T> {
  return Object.fromEntries(users.map((user) => [user, what]));
}

/** The number that a query answers. */
export async function number(query: PromiseLike<Row[]>): Promise<number> {
  return Object.values(await one(query))[0];
}

/** What was caught in a trigger. */
export async function missedChanges({ sql }: Stack): Promise<string[]> {
  return (await sql`select error from luma.missed_changes`).map((row) =>
    row.error
  );
}

/** A transaction of the app's. Any lock that it had to wait for would end it with an error. */
export async function inApp(
  { sql }: Stack,
  work: (app: Stack["sql"]) => Promise<unknown>,
  end: "commits" | "rolls back" = "commits",
): Promise<void> {
  const app = await sql.reserve();
  try {
    await app`begin`;
    await app`set local lock_timeout = '300ms'`;
    await work(app);
    if (end === "commits") await app`commit`;
  } finally {
    // After a commit it does nothing.
    await app`rollback`;
    app.release();
  }
}

/**
 * The same for the sync, when the app holds on to something meanwhile. Not a lock_timeout: that error would be
 * caught where errors of the sync are not to reach anybody.
 */
export async function inSync<T>(
  { sql }: Stack,
  work: (sync: Pick<Stack, "sql">) => Promise<T>,
): Promise<T> {
  return await sql.begin(async (sync) => {
    await sync`set local statement_timeout = '4s'`;
    return await work({ sql: sync as unknown as Stack["sql"] });
  }) as T;
}
