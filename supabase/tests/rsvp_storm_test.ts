/** Thousands of random changes of RSVPs while Luma fails at random and drains are killed. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../scripts/luma-simulator/ids.ts";
import type { RecordedRequest } from "../../scripts/luma-simulator/mod.ts";
import {
  drain,
  drainAll,
  insertUsers,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";
import { linkedEvents, manyCalls } from "./linked_events.ts";
import { needlessCalls } from "./guest_history.ts";

const SEED = Number(Deno.env.get("STORM_SEED") ?? Date.now() % 1_000_000);
const CHANGES = 5_000;
const EVENTS = 50;
const USERS = 40;
const STATUSES = [
  ...["going", "going", "interested", "approved", "pending"],
  ...["waitlist", "not_going", "cancelled", "rejected"],
];

/** What is to be on Luma for a status; null: nobody, or a guest who declined. */
const WANTED: Record<string, string | null> = {
  going: "approved",
  approved: "approved",
  interested: "pending_approval",
  pending: "pending_approval",
  waitlist: "waitlist",
  not_going: null,
  cancelled: null,
  rejected: null,
};

/** Choices that repeat for a seed. */
class Dice {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = seededRandom(seed);
  }
  below(n: number): number {
    return Math.floor(this.#next() * n);
  }
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

stackTest(
  `${CHANGES} random changes with faults and killed drains end with Luma's list as the rows say (STORM_SEED=${SEED})`,
  async (stack) => {
    const { sql, simulator } = stack;
    await manyCalls(stack);
    await sql`update luma.settings set retry_base_seconds = 0.2, retry_cap_seconds = 1, max_crashes = 1000, edit_spacing_ms = 200`;
    const events = await linkedEvents(stack, EVENTS);
    const users = await insertUsers(stack, USERS);
    const faults = addFaults(stack);

    const writing = new AbortController();
    const drains = Array.from(
      { length: 3 },
      () => keepDraining(stack, writing.signal),
    );
    const kills = keepKilling(stack, writing.signal);
    let left = CHANGES;
    const failures: unknown[] = [];
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      const dice = new Dice(SEED * 8 + writer);
      while (left > 0) {
        left -= await change(
          stack,
          dice,
          [...events.keys()],
          users,
          writer === 0,
        )
          .catch((error) => (failures.push(error), 1));
      }
    });
    await Promise.all(writers);
    writing.abort();
    await Promise.all(drains);
    assert(await kills > 5, "drains were killed");
    faults.forEach((fault) => fault.remove());
    assertEquals(failures, []);

    await drainAll(stack);
    assertEquals([...await sql`select * from luma.dead_letters`], []);
    assertEquals([...await sql`select * from luma.missed_changes`], []);
    await assertListsAsRowsSay(stack, events);
    assertEquals(needlessCalls(simulator, faults), []);
    assert(
      faults.every((fault) => fault.hits > 0),
      "every kind of fault has struck",
    );
  },
  { simulator: { rateLimitPerMinute: 100_000, seed: SEED } },
);

/** Five in a hundred calls of each kind fail. */
function addFaults({ simulator }: Stack) {
  const kinds = [
    { status: 500 },
    { status: 503, when: "after" },
    { close: true },
    { close: true, when: "after" },
    { status: 429, retryAfterS: 0 },
    { latencyMs: 150 },
  ] as const;
  return kinds.map((kind) => simulator.faults.add({ ...kind, chance: 0.05 }));
}

async function keepDraining(stack: Stack, over: AbortSignal): Promise<void> {
  // A drain that is killed is an error here, and nothing else is.
  while (!over.aborted) await drain(stack).catch(() => {});
}

/** Kills the function, with all drains in it, again and again; answers how often. */
async function keepKilling(stack: Stack, over: AbortSignal): Promise<number> {
  const { sql, simulator } = stack;
  const dice = new Dice(SEED);
  let kills = 0;
  while (!over.aborted) {
    // After some more calls, wherever the drains are then.
    const enough = simulator.requests.length + 20 + dice.below(60);
    await until(
      "more calls were made",
      () => simulator.requests.length >= enough || over.aborted,
      120,
    );
    const [now] = await sql`select clock_timestamp() as at`;
    await stack.functions.kill("luma-drain", "SIGKILL");
    kills++;
    // Leases outlive calls: what the dead have called has had its effect when others take over.
    await until(
      "the calls of the dead are worked off",
      () => !simulator.requests.some(isUnderWay),
    );
    // What the dead have leased is free at once, instead of in 15 seconds.
    // Those that are locked are being written, and wait for the next kill: who waits for a bulk update of the app's while
    // holding others would be in its way.
    await sql`
      update luma.sync_outbox o set due_at = now() - interval '1 second'
      where (o.entity, o.entity_id) in (
        select s.entity, s.entity_id from luma.sync_outbox s join luma.drain_runs r on r.id = s.leased_by
        where s.lease is not null and r.started_at < ${now!.at}
        for update of s skip locked
      )`;
  }
  return kills;
}

function isUnderWay({ status, outcome }: RecordedRequest): boolean {
  return status === null && outcome !== "closed";
}

/** One write of the app's; answers how many rows it was about. */
async function change(
  { sql }: Stack,
  dice: Dice,
  events: string[],
  users: string[],
  isBulk: boolean,
): Promise<number> {
  const event = dice.of(events);
  const status = dice.of(STATUSES);
  if (isBulk) {
    // One writer: two of these on one event would deadlock without us too.
    const some = users.filter(() => dice.below(4) === 0);
    const { count } = await sql`
      update public.event_rsvps set status = ${status} where event_id = ${event} and user_id = any (${some})`;
    return count;
  }
  const user = dice.of(users);
  if (dice.below(12) === 0) {
    const { count } =
      await sql`delete from public.event_rsvps where event_id = ${event} and user_id = ${user}`;
    return count;
  }
  await sql`
    insert into public.event_rsvps (event_id, user_id, status) values (${event}, ${user}, ${status})
    on conflict (event_id, user_id) do update set status = excluded.status`;
  return 1;
}

async function assertListsAsRowsSay(
  { sql, simulator }: Stack,
  events: Map<string, string>,
): Promise<void> {
  const rows =
    await sql`select event_id, user_id, status from public.event_rsvps`;
  for (const [eventId, lumaId] of events) {
    const guests = simulator.event(lumaId)!.guests;
    assertEquals(
      new Set(guests.map((guest) => guest.user_email)).size,
      guests.length,
      "no guest twice",
    );
    const onLuma = guests.filter((guest) =>
      guest.approval_status !== "declined"
    )
      .map((guest) => [guest.user_email, guest.approval_status]).sort();
    const inRows = rows.filter((row) =>
      row.event_id === eventId && WANTED[row.status]
    )
      .map((row) => [`${row.user_id}@example.com`, WANTED[row.status]!]).sort();
    assertEquals(onLuma, inRows);
  }
}
