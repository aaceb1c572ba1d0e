/** A drain ends by itself within the platform's limits, hands on what is left, and needs no more memory for more work. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { readEnv } from "../functions/_shared/env.ts";
import { createStore } from "../functions/_shared/store.ts";
import { drain as drainHere } from "../functions/_shared/sync/drain.ts";
import { drain, insertUsers, one, type Stack, stackTest } from "./testing.ts";
import { linkedEvents, linkedGuests, manyCalls } from "./linked_events.ts";

/** Runs a drain in this process, on a clock that is so many times as fast. */
function drainFaster(stack: Stack, speed: number) {
  const env = readEnv({
    SUPABASE_URL: stack.url,
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: stack.secretKey }),
    LUMA_SYNC_SECRET: stack.syncSecret,
    LUMA_API_URL: stack.simulator.url,
    LUMA_BLR_API_KEY: "luma-key-blr",
    LUMA_ZO_EVENTS_API_KEY: "luma-key-zo-events",
  });
  return drainHere({
    env,
    store: createStore(env),
    fetch,
    now: () => performance.now() * speed,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms / speed)),
    log: () => {},
  });
}

stackTest(
  "a run that has more work than time or permits ends in time, keeps no lease, and rings for the next",
  async (stack) => {
    const { sql, admin, simulator } = stack;
    const events = await linkedEvents(stack, 3);
    await linkedGuests(stack, events, await insertUsers(stack, 30));
    await sql`update public.event_rsvps set status = 'waitlist'`;
    await sql`update luma.settings set calls_per_minute_total = 12`;
    await admin`delete from net.http_request_queue`;

    const started = performance.now();
    const summary = await drainFaster(stack, 8);
    const seconds = (performance.now() - started) * 8 / 1000;
    assertEquals(summary.ended, "time");
    // 50 s of work, and at most one call's time limit more.
    assert(seconds > 49 && seconds < 65, `${seconds} s`);
    // Some permits are too old on such a clock when their turn comes.
    const { length: calls } = simulator.requests;
    assert(calls > 0 && calls <= 12, `${calls} calls`);
    assertEquals(summary.done, calls);
    assertEquals(
      (await sql`select from luma.sync_outbox where lease is not null`).length,
      0,
    );
    assertEquals((await admin`select from net.http_request_queue`).length, 1);
    assertEquals(
      (await one(sql`select end_reason from luma.drain_runs`)).end_reason,
      "time",
    );
    assertEquals((await sql`select from luma.due_jobs`).length, 90 - calls);
  },
);

/** What the process has in memory, in MB. */
async function memoryOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

stackTest(
  "the function's memory stays flat over 10,000 RSVPs",
  async (stack) => {
    const { sql } = stack;
    await manyCalls(stack);
    const events = await linkedEvents(stack, 50);
    await insertUsers(stack, 200);
    const used: number[] = [];
    for (let round = 0; round < 5; round++) {
      const some = [...events.keys()].slice(round * 10, round * 10 + 10);
      await sql`
        insert into public.event_rsvps (event_id, user_id, status)
        select e, u.id, 'going' from unnest(${some}::uuid[]) e cross join public.users u`;
      assertEquals((await drain(stack)).done, 2_000);
      used.push(await memoryOf(stack.functions.pid("luma-drain")!));
    }
    // The first round loads and compiles.
    assertLess(used.at(-1)!, used[1]! + 30, `${used.map(Math.round)} MB`);
  },
  { simulator: { rateLimitPerMinute: 100_000 } },
);
