/** What pulls cost: how many calls, when, and how much of a calendar's minute they leave to live traffic. */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import type { Row } from "postgres";
import { manyCalls } from "./linked_events.ts";
import { register } from "./luma_guests.ts";
import { BLR, hostEvent } from "./luma_side.ts";
import { lastRun, pullScheduled } from "./pulls_for_tests.ts";
import {
  calls,
  insertEvent,
  one,
  pull,
  rsvp,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

const DAY_MS = 86_400_000;

/** A fifth of what Luma allows a calendar in fifteen minutes: 200 calls a minute. */
const BUDGET = 0.2 * 15 * 200;

const counted = (stack: Stack, path: string) =>
  calls(stack).filter((called) => called === path).length;

const lists = (stack: Stack) => counted(stack, "/v1/calendars/events/list");
const events = (stack: Stack) => counted(stack, "/v1/events/get");
const guests = (stack: Stack) => counted(stack, "/v1/events/guests/list");

/** Events of Bangalore, each with guests, the nth after so many days. */
function hostEvents(
  stack: Stack,
  count: number,
  guestsEach: number,
  startsInDays: (n: number) => number,
): string[] {
  return Array.from({ length: count }, (_, n) => {
    const start = Date.now() + startsInDays(n) * DAY_MS;
    const { id } = hostEvent(stack, {
      name: `Event ${n}`,
      start_at: new Date(start).toISOString(),
      end_at: new Date(start + 3_600_000).toISOString(),
    });
    for (let g = 0; g < guestsEach; g++) {
      register(stack, { lumaId: id }, `guest${g}`);
    }
    return id;
  });
}

/** Works on until every run is over. */
async function finish(stack: Stack): Promise<Row> {
  await until("every pull is over", async () => {
    await pull(stack, {});
    const left = await stack
      .sql`select from luma.pull_runs where ended_at is null`;
    return left.length === 0;
  }, 300);
  return await lastRun(stack);
}

/** Lets everything that was read, told and heard so far be so much older. */
async function age({ sql }: Stack, interval: string): Promise<void> {
  await sql`
    update luma.reads set read_at = read_at - ${interval}::interval, guests_read_at = guests_read_at - ${interval}::interval
    where true`;
  await sql`
    update luma.event_links set heard_at = heard_at - ${interval}::interval, told_at = told_at - ${interval}::interval,
      pulled_at = pulled_at - ${interval}::interval
    where true`;
  await sql`
    update luma.guests set heard_at = heard_at - ${interval}::interval, synced_at = synced_at - ${interval}::interval,
      pulled_at = pulled_at - ${interval}::interval
    where true`;
}

/** What is on Luma by now was there before the sync went live. */
async function goLiveNow({ sql }: Stack): Promise<void> {
  await sql`update luma.settings set live_since = clock_timestamp()`;
}

stackTest(
  "200 coming events with 50 guests each cost 405 calls when all is new, and about twenty a quarter of an hour from then on",
  async (stack) => {
    const { sql, simulator } = stack;
    await manyCalls(stack);
    // Over two months: 7 within two days, 17 more within a week.
    hostEvents(stack, 200, 50, (n) => 0.1 + n * 0.3);
    await goLiveNow(stack);
    const made: Record<string, number> = {};
    const costs = async (what: string, run: () => Promise<unknown>) => {
      simulator.clearRequests();
      await run();
      const { state, problems } = await finish(stack);
      assertEquals([state, problems], ["done", []]);
      const count = simulator.requests.filter((r) => r.calendar === BLR).length;
      made[what] = count;
      return count;
    };

    // The calendar, its list in pages of 50, each event, and each one's guests.
    const first = await costs("first", () => pullScheduled(stack));
    assertEquals(first, 1 + 4 + 200 + 200);
    const { n } = await one(
      sql`select sum(current_rsvp_count)::int as n from public.canonical_events`,
    );
    assertEquals(n, 200 * 50);

    // Nothing can have changed but what is near.
    const near = 7;
    const next = await costs("next", () => pullScheduled(stack));
    assertEquals([next, events(stack), guests(stack)], [
      1 + 4 + near,
      0,
      near,
    ]);

    // What is further off is read once an hour, every six hours, or once a day.
    for (const hours of [1, 5, 18]) {
      await age(stack, `${hours} hours`);
      await costs(`after ${hours} more hours`, () => pullScheduled(stack));
      // Four pages, and the other calendar's.
      assertEquals([lists(stack), events(stack)], [4 + 1, 0]);
    }

    const asked = await costs("asked", () => pull(stack));
    assertEquals(asked, 405);
    for (const count of [first, next, asked]) {
      assertLessOrEqual(count, BUDGET);
    }
    // The average of any quarter of an hour, all that is far off included.
    const quarter = 1 + 4 + near + 17 / 4 + 76 / 24 + 100 / 96;
    assertLessOrEqual(quarter, 0.2 * BUDGET);
    console.log(
      `calls for 200 events with 50 guests each: ${
        JSON.stringify(made)
      }; in the average quarter of an hour ${quarter.toFixed(1)} of ${
        5 * BUDGET
      }`,
    );
  },
  { simulator: { rateLimitPerMinute: 100_000 } },
);

stackTest(
  "a scheduled pull reads the guests of soon, busy and just changed events, and of others now and then",
  async (stack) => {
    const { sql, simulator } = stack;
    await manyCalls(stack);
    const days = { soon: 1, week: 5, month: 20, far: 90 };
    const ids = Object.fromEntries(
      Object.entries(days).map(([name, inDays]) => {
        const [id] = hostEvents(stack, 1, 1, () => inDays);
        return [name, id!];
      }),
    ) as Record<keyof typeof days, string>;
    await goLiveNow(stack);
    await pull(stack);
    await sql`insert into public.users (id, name, email) values ('u1', 'One', 'u1@example.com')`;

    /** Whose guests a scheduled pull reads. */
    const read = async () => {
      simulator.clearRequests();
      assertEquals((await pullScheduled(stack)).state, "done");
      assertEquals(lists(stack), 2);
      return simulator.requests
        .filter(({ path }) => path === "/v1/events/guests/list")
        .map(({ query }) =>
          Object.entries(ids).find(([, id]) => id === query.event_id)?.[0]
        );
    };
    assertEquals(await read(), ["soon"]);
    await age(stack, "61 minutes");
    assertEquals(await read(), ["soon", "week"]);
    assertEquals(await read(), ["soon"]);
    await age(stack, "6 hours");
    assertEquals(await read(), ["soon", "week", "month"]);
    await age(stack, "18 hours");
    assertEquals(await read(), ["soon", "week", "month", "far"]);
    assertEquals(await read(), ["soon"]);

    // Who writes an RSVP here makes its event a busy one; once it was read again it is quiet.
    const { id } = await one(
      sql`select id from public.canonical_events where luma_event_id = ${ids.far}`,
    );
    await rsvp(stack, id, "u1", "going");
    const response = await fetch(`${stack.functionsUrl}/luma-drain?wait=1`, {
      method: "POST",
      headers: { "x-luma-sync-secret": stack.syncSecret },
    });
    await response.body?.cancel();
    assertEquals(await read(), ["soon", "far"]);
    assertEquals(await read(), ["soon"]);

    // Of these Luma sends no webhook: that a pull finds them says nothing of all else.
    const soon = simulator.event(ids.soon)!;
    soon.tags.push({ id: "tag-1", name: "Food", color: "red" });
    simulator.host.invite(ids.soon, "invited@example.com");
    assertEquals(await read(), ["soon"]);
    await age(stack, "1 minute");
    assertEquals(await read(), ["soon"]);
    // Of this it does: now what was not read since may have changed too.
    simulator.host.updateEvent(ids.soon, { name: "Renamed" });
    assertEquals(await read(), ["soon"]);
    await age(stack, "1 minute");
    assertEquals(await read(), ["soon", "week", "month", "far"]);
    assertEquals(events(stack), 4);
    assertEquals(await read(), ["soon"]);
  },
  { simulator: { rateLimitPerMinute: 100_000 } },
);

/** Takes permits for a pull until there is none left. */
async function takeAll(
  { sql }: Stack,
  calendar: string,
  isAsked: boolean,
): Promise<number> {
  for (let taken = 0;; taken++) {
    const { granted, wait_ms } = await one(
      sql`select * from luma.take_pull_permit(${calendar}, ${isAsked})`,
    );
    if (!granted) {
      // As long as the first of the permits counts.
      assertLessOrEqual(wait_ms, 61_500);
      assertLessOrEqual(50, wait_ms);
      return taken;
    }
    assertEquals(wait_ms, 0);
  }
}

stackTest(
  "scheduled pulls take a fifth of the minute, asked ones two thirds, and the rest is left to live traffic",
  async (stack) => {
    const { sql } = stack;
    const reset = () => sql`delete from luma.rate_permits where true`;
    const live = async (wanted: number) =>
      (await one(sql`select luma.take_permits('blr', ${wanted}) as n`)).n;

    assertEquals(await takeAll(stack, "blr", false), 36);
    assertEquals(await live(1000), 180 - 36);

    await reset();
    assertEquals(await takeAll(stack, "blr", true), 120);
    // Both together never more.
    assertEquals(await takeAll(stack, "blr", false), 0);
    assertEquals(await live(1000), 60);

    // Live traffic goes first, however much there is.
    await reset();
    assertEquals(await live(100), 100);
    assertEquals(await takeAll(stack, "blr", true), 20);
    assertEquals(await live(1000), 60);
    assertEquals(await takeAll(stack, "blr", true), 0);

    // A share of its own for each calendar, within the limit over all.
    await reset();
    assertEquals(await takeAll(stack, "blr", false), 36);
    assertEquals(await takeAll(stack, "zo_events", false), 36);
    await reset();
    assertEquals(await takeAll(stack, "blr", true), 120);
    assertEquals(await takeAll(stack, "zo_events", true), 100);
    assertEquals(await live(1000), 60);

    // As the settings say.
    await reset();
    await sql`update luma.settings set pull_share = 0.5`;
    assertEquals(await takeAll(stack, "blr", false), 90);
  },
);

stackTest(
  "however low the limits are, a pull comes to an end",
  async (stack) => {
    const { sql } = stack;
    const taken = async () => {
      const some: boolean[] = [];
      for (const isAsked of [false, true]) {
        for (const calendar of ["blr", "zo_events"]) {
          await sql`delete from luma.rate_permits where true`;
          some.push(await takeAll(stack, calendar, isAsked) > 0);
        }
      }
      return some;
    };
    const each = [true, true, true, true];
    // What Luma tells of a key's limit; 20 are always left to others.
    await sql`insert into luma.calendar_state (luma_key, rate_limit) values ('blr', 60), ('zo_events', 40)`;
    assertEquals(await taken(), each);
    await sql`update luma.calendar_state set rate_limit = null where true`;
    await sql`update luma.settings set calls_per_minute_total = 50`;
    assertEquals(await taken(), each);
    await sql`update luma.settings set calls_per_minute = 3`;
    assertEquals(await taken(), each);
  },
);

stackTest(
  "with the limits as they are a scheduled pull waits for its share, and a push does not wait for it",
  async (stack) => {
    const { sql, simulator } = stack;
    hostEvents(stack, 60, 0, (n) => 3 + n);
    await sql`update luma.settings set scheduled_pulls = true`;
    await sql`select luma.schedule_pull()`;
    const pulled = pull(stack, {});
    pulled.catch(() => {});
    const share = () =>
      simulator.requests.filter((r) => r.calendar === BLR && r.method === "GET")
        .length;
    await until("its share is used", () => share() === 36);
    await insertEvent(stack, { title: "Live" });
    await sql`update luma.sync_outbox set due_at = now()`;
    const response = await fetch(`${stack.functionsUrl}/luma-drain?wait=1`, {
      method: "POST",
      headers: { "x-luma-sync-secret": stack.syncSecret },
    });
    await response.body?.cancel();
    assertEquals(
      simulator.events().filter(({ name }) => name === "Live").length,
      1,
    );
    const { state } = await lastRun(stack);
    assertEquals([state, share()], ["running", 36]);
    await stack.functions.kill("luma-pull");
    await pulled.catch(() => {});
    await sql`update luma.settings set scheduled_pulls = false`;
  },
);
