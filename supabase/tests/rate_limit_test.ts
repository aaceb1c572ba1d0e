/** The rate limit, over any number of drains: never more, and hardly less. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { drain, insertUsers, type Stack, stackTest, until } from "./testing.ts";
import { linkedEvents, linkedGuests } from "./linked_events.ts";

const MINUTE_MS = 60_000;

/** The most calls that any 60 seconds hold. */
function fullestMinute(times: number[]): number {
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last]! - times[first]! >= MINUTE_MS) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

function callTimes({ simulator }: Stack, calendar?: string): number[] {
  return simulator.requests
    .filter((request) => !calendar || request.calendar === calendar)
    .map(({ time }) => time).sort((a, b) => a - b);
}

stackTest(
  "16 drains with thousands of RSVPs to change keep every minute's limit, and use at least 95 % of it",
  async (stack) => {
    const { sql, simulator } = stack;
    const events = await linkedEvents(stack, 20);
    const users = await insertUsers(stack, 100);
    await linkedGuests(stack, events, users);
    await sql`update public.event_rsvps set status = 'waitlist'`;

    let isEnough = false;
    const drains = Array.from({ length: 16 }, async () => {
      while (!isEnough) await drain(stack);
    });
    // The first minute's calls, and the first of the next.
    await until("calls go on after a minute", () => {
      const times = callTimes(stack);
      return times.at(-1)! - times[0]! >= MINUTE_MS;
    }, 100);
    const cycle = callTimes(stack).findLast(() => true)! - callTimes(stack)[0]!;
    await until(
      "the next minute's calls are made",
      () => callTimes(stack).length >= 2 * 280 - 5,
      30,
    );
    isEnough = true;
    // They would wait for the next minute.
    await stack.functions.kill("luma-drain");
    await Promise.allSettled(drains);

    assertEquals(fullestMinute(callTimes(stack)), 280);
    for (const { id } of simulator.calendars) {
      assertLessOrEqual(fullestMinute(callTimes(stack, id)), 180);
    }
    assert(simulator.requests.every(({ status }) => status === 200));
    // 280 calls in each such time.
    const used = MINUTE_MS / cycle;
    assert(used >= 0.95, `${(100 * used).toFixed(1)} % of the limit was used`);
  },
);
