/** What the tests on the real stack share. */
import type { Row } from "postgres";
import {
  Claim,
  type EventJob,
  type GuestsJob,
} from "../functions/_shared/sync/job.ts";
import { databaseIsBack } from "../../scripts/chaos/wait.ts";
import { startStack } from "../../scripts/stack/mod.ts";
import type { Stack, StackOptions } from "../../scripts/stack/mod.ts";

export type { Stack };

/** The row of public.canonical_events as the tests read and write it. */
export type EventRow = Record<string, unknown>;

/**
 * A test on a stack of its own, with the mode live. Without `bell` nothing rings for the drain (neither
 * pg_net nor pg_cron), so that a test says itself when a drain runs.
 */
export function stackTest(
  name: string,
  test: (stack: Stack) => Promise<void>,
  { bell = false, ...options }: StackOptions & { bell?: boolean } = {},
): void {
  Deno.test(name, async () => {
    await using stack = await startStack({
      seed: false,
      net: bell,
      cron: bell,
      ...options,
    });
    if (options.migrate !== false) await goLive(stack);
    await test(stack);
  });
}

async function goLive({ sql }: Stack): Promise<void> {
  await sql`
    insert into public.event_cultures (slug, name, asset_file)
    values ('default', 'Other', 'Default (2).jpg'), ('food', 'Food', 'Food.png'), ('game', 'Gaming', 'Game.png')
    on conflict do nothing`;
  // Calls are counted in many tests, and pg_cron's quarter of an hour may end in any of them.
  await sql`update luma.settings set scheduled_pulls = false`;
  await sql`select luma.set_mode('live')`;
}

let created = 0;

/** Inserts an event as the app does: in Bangalore, a week from now, approved unless said otherwise. */
export async function insertEvent(
  { sql }: Pick<Stack, "sql">,
  columns: EventRow = {},
): Promise<string> {
  const start = Date.now() + 7 * 24 * 60 * 60 * 1000;
  const row = {
    canonical_uid: `community-u1-${Date.now()}-${++created}`,
    title: "Rooftop Jam",
    description: "Bring an instrument.",
    starts_at: new Date(start),
    ends_at: new Date(start + 3 * 60 * 60 * 1000),
    tz: "Asia/Kolkata",
    lat: 12.9716,
    lng: 77.5946,
    location_name: "Zo House",
    location_raw: "12 MG Road, Bengaluru",
    source_type: "community",
    submission_status: "approved",
    ...columns,
  };
  const [inserted] = await sql`
    insert into public.canonical_events ${sql(row)} returning id`;
  return inserted!.id;
}

/** Runs one drain to its end and answers its summary. */
export async function drain(
  stack: Pick<Stack, "functionsUrl" | "syncSecret">,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${stack.functionsUrl}/luma-drain?wait=1`, {
    method: "POST",
    headers: { "x-luma-sync-secret": stack.syncSecret },
  });
  const summary = await response.json();
  if (!response.ok) {
    throw new Error(`luma-drain answered ${response.status}: ${summary.error}`);
  }
  return summary;
}

/** What a request to luma-pull answers when it is over; without a body it works on what was asked for. */
export async function pull(
  { functionsUrl, syncSecret }: Pick<Stack, "functionsUrl" | "syncSecret">,
  body: Record<string, unknown> = { all: true },
): Promise<Record<string, unknown>> {
  const response = await fetch(`${functionsUrl}/luma-pull?wait=1`, {
    method: "POST",
    headers: { "x-luma-sync-secret": syncSecret },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(`luma-pull answered ${response.status}: ${answer.error}`);
  }
  return answer;
}

/** A drain that hangs in its next call to this path, until `release()`. */
export async function drainInCall(
  stack: Stack,
  path: string,
  when: "before" | "after" = "before",
): Promise<{ drained: Promise<unknown>; release: () => void }> {
  const fault = stack.simulator.faults.add({
    path,
    when,
    hang: true,
    count: 1,
  });
  const drained = drain(stack);
  // Looked at by who awaits it; a drain that is killed in its call is none of the test's errors.
  drained.catch(() => {});
  await fault.waitForHit();
  return { drained, release: () => fault.remove() };
}

/** A drain with the keys of both calendars, as SQL sees it: a run of its own. */
export async function startRun({ sql }: Pick<Stack, "sql">): Promise<string> {
  const { start } = await one(
    sql`select public.luma_drain_start('{blr,zo_events}') as start`,
  );
  return start.run_id;
}

/** What a run is given by one claim. */
export async function claim(
  { sql }: Pick<Stack, "sql">,
  run: string,
  maxJobs = 10,
): Promise<Claim> {
  const { claim } = await one(
    sql`select public.luma_claim(${run}, '{blr,zo_events}', ${maxJobs}) as claim`,
  );
  return Claim.parse(claim);
}

/** The events that a claim gives. */
export async function claimEvents(
  stack: Pick<Stack, "sql">,
  run: string,
): Promise<EventJob[]> {
  const { jobs } = await claim(stack, run);
  return jobs.filter((job) => job.entity === "event");
}

/** The batches of RSVPs that a claim gives. */
export async function claimGuests(
  stack: Pick<Stack, "sql">,
  run: string,
): Promise<GuestsJob[]> {
  const { jobs } = await claim(stack, run);
  return jobs.filter((job) => job.entity === "guests");
}

/** Inserts users u1, u2, … with addresses u1@example.com, …; answers their ids. */
export async function insertUsers(
  { sql }: Pick<Stack, "sql">,
  count: number,
): Promise<string[]> {
  await sql`
    insert into public.users (id, name, email)
    select 'u' || n, 'User ' || n, 'u' || n || '@example.com' from generate_series(1, ${count}::int) n
    on conflict do nothing`;
  return Array.from({ length: count }, (_, n) => `u${n + 1}`);
}

/** An RSVP as the app writes it: one row a user and event, inserted or updated. */
export async function rsvp(
  { sql }: Pick<Stack, "sql">,
  eventId: string,
  userId: string,
  status: string,
): Promise<void> {
  const changed = await sql`
    update public.event_rsvps set status = ${status} where event_id = ${eventId} and user_id = ${userId}`;
  if (changed.count > 0) return;
  await sql`
    insert into public.event_rsvps (event_id, user_id, status) values (${eventId}, ${userId}, ${status})`;
}

/** The guest list of the one Luma event, by e-mail, without the part after the @. */
export function guestList(
  { simulator }: Pick<Stack, "simulator">,
  lumaEventId = simulator.events()[0]?.id ?? "",
): Record<string, string> {
  const guests = simulator.event(lumaEventId)?.guests ?? [];
  return Object.fromEntries(
    guests.map((guest) => [
      guest.user_email.split("@")[0]!,
      guest.approval_status,
    ]).sort(),
  );
}

/** Drains until nothing is left, past every lease, delay and spacing. */
export async function drainAll(stack: Stack): Promise<void> {
  await until("nothing is left to do", async () => {
    await passTime(stack);
    await drain(stack);
    const waiting = await stack.sql`
      select from luma.sync_outbox where version > done_version and dead_at is null
      union all select from luma.rechecks`;
    return waiting.length === 0;
  });
}

/** The one row that a query answers. */
export async function one(query: PromiseLike<Row[]>): Promise<Row> {
  const rows = await query;
  if (rows.length !== 1) throw new Error(`${rows.length} rows, expected one`);
  return rows[0]!;
}

/** Waits until a condition holds; fails, saying what was waited for, after `seconds`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 20,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!await holds()) {
    if (Date.now() > deadline) {
      throw new Error(`After ${seconds} s still not so: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts the crashed database again, and waits until nothing hangs on the one that is gone. */
export async function restartPostgres(stack: Stack): Promise<void> {
  await stack.startPostgres();
  await databaseIsBack(stack);
}

/** Lets every lease run out and every retry delay end, as time would. */
export async function passTime({ sql }: Pick<Stack, "sql">): Promise<void> {
  await sql`update luma.sync_outbox set due_at = now() - interval '1 second' where due_at > now()`;
  await sql`update luma.event_links set guests_due_at = now() where guests_due_at > now()`;
  await sql`update luma.rechecks set due_at = now() where due_at > now()`;
  await sql`update luma.drain_runs set alive_until = now() where ended_at is null`;
}

/** Paths of the calls to Luma, in order. */
export function calls({ simulator }: Pick<Stack, "simulator">): string[] {
  return simulator.requests.map((request) => request.path);
}
