/** The rate limit, over any number of drains: never more, and hardly less. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { mostInAMinute } from "../../scripts/luma-simulator/rate_limit.ts";
import {
  drain,
  insertEvent,
  insertUsers,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";
import { linkedEvents, linkedGuests } from "./linked_events.ts";

const MINUTE_MS = 60_000;

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
      // Killed in the end, which is the only error.
      while (!isEnough) await drain(stack).catch(() => {});
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
    await Promise.all(drains);

    assertEquals(mostInAMinute(callTimes(stack)), 280);
    for (const { id } of simulator.calendars) {
      assertLessOrEqual(mostInAMinute(callTimes(stack, id)), 180);
    }
    assert(simulator.requests.every(({ status }) => status === 200));
    // 280 calls in each such time.
    const used = MINUTE_MS / cycle;
    assert(used >= 0.95, `${(100 * used).toFixed(1)} % of the limit was used`);
  },
);

for (const work of ["events", "RSVPs"]) {
  stackTest(
    `a calendar whose permits are used up by ${work} holds up no other calendar`,
    async (stack) => {
      const { sql, simulator } = stack;
      // Eight calls a minute, and work that takes more.
      await sql`insert into luma.calendar_state (luma_key, rate_limit) values ('blr', 28)`;
      if (work === "events") {
        for (let n = 0; n < 8; n++) {
          await insertEvent(stack, { culture: "food" });
        }
      } else {
        const events = await linkedEvents(stack, 1);
        await linkedGuests(stack, events, await insertUsers(stack, 12));
        await sql`update public.event_rsvps set status = 'waitlist'`;
      }
      const drained = drain(stack);
      drained.catch(() => {});
      await until(
        "Bangalore's calls are used up",
        () => simulator.requests.length >= 8,
      );
      await insertEvent(stack, { title: "Elsewhere", lat: null, lng: null });
      await until(
        "another calendar's event is on Luma",
        () => simulator.events().some(({ name }) => name === "Elsewhere"),
        10,
      );
      await stack.functions.kill("luma-drain");
    },
  );
}
