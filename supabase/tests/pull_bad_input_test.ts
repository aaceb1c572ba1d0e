/** Whatever comes of Luma, or is asked of luma-pull: each case has an outcome, and one bad entry never stops the rest. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { startStack } from "../../scripts/stack/mod.ts";
import { EVENT, GUEST } from "../functions/_shared/luma/testing.ts";
import { linkedEvents, manyCalls } from "./linked_events.ts";
import { type Both, countOf, register } from "./luma_guests.ts";
import { BLR, hostEvent, rowOf, rsvpsOf, ZO_EVENTS } from "./luma_side.ts";
import {
  lastRun,
  pullAll,
  pullScheduled,
  retryAtOnce,
} from "./pulls_for_tests.ts";
import {
  calls,
  drainAll,
  insertUsers,
  one,
  passTime,
  pull,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

const EVENTS = "/v1/calendars/events/list";
const EVENT_GET = "/v1/events/get";
const GUESTS = "/v1/events/guests/list";

/** Titles of the app's events, in order. */
async function titles({ sql }: Pick<Stack, "sql">): Promise<string[]> {
  const rows = await sql`select title from public.canonical_events`;
  return rows.map(({ title }) => title).sort();
}

/** Events of Bangalore that are pulled already, one each day from now on. */
async function pulledEvents(
  stack: Stack,
  names: string[],
): Promise<(Both & { name: string })[]> {
  const made = names.map((name, n) => {
    const start = Date.now() + (n + 5) * 86_400_000;
    return hostEvent(stack, {
      name,
      start_at: new Date(start).toISOString(),
      end_at: new Date(start + 3_600_000).toISOString(),
    });
  });
  await pull(stack);
  stack.simulator.clearRequests();
  return await Promise.all(made.map(async ({ id, name }) => ({
    id: String((await rowOf(stack, id)).id),
    lumaId: id,
    name,
  })));
}

/** Nothing is hidden or cancelled in the app, and nothing was written on Luma. */
async function assertNothingCancelled({ sql, simulator }: Stack) {
  assertEquals([
    ...await sql`select title from public.canonical_events where submission_status <> 'approved'`,
  ], []);
  assertEquals([...await sql`select * from luma.removed_events`], []);
  assertEquals(simulator.requests.filter((r) => r.method !== "GET"), []);
}

stackTest(
  "an event that cannot be read or written stops none of the others, and is there when it can",
  async (stack) => {
    const { sql } = stack;
    await sql`
      create function public.refuse_event() returns trigger language plpgsql as $$
      begin
        if new.title = 'Refused' then raise exception 'the app says no to this one'; end if;
        return new;
      end $$`;
    await sql`create trigger refuse before insert or update on public.canonical_events
      for each row execute function public.refuse_event()`;
    const make = (name: string) => hostEvent(stack, { name });
    make("First");
    const broken = {
      nameless: make("x"),
      blank: make("x"),
      undated: make("x"),
      untagged: make("x"),
    };
    const refused = make("Refused");
    const placeless = make("On the moon");
    const odd = make("Odd");
    make("Last");
    // As no document of Luma's says.
    Object.assign(broken.nameless, { name: null });
    Object.assign(broken.blank, { name: "  " });
    Object.assign(broken.undated, { end_at: "tomorrow" });
    Object.assign(broken.untagged, { tags: [{ id: 5 }] });
    Object.assign(placeless, {
      timezone: "Moon/Sea_of_Tranquility",
      coordinate: { latitude: 700, longitude: 1 },
      visibility: "moonlight",
      cover_url: "",
    });
    Object.assign(odd, {
      name: "Odd \u0000 and \ud800 half",
      description_md: "\u0000 \udc00",
    });

    const run = await pullAll(stack);
    assertEquals(run.state, "incomplete");
    assertEquals(run.errors, 5, JSON.stringify(run.problems));
    assertEquals(await titles(stack), [
      "First",
      "Last",
      "Odd  and \ufffd half",
      "On the moon",
    ]);
    for (const { id } of [...Object.values(broken), refused]) {
      assertEquals(
        run.problems.filter((problem: string) => problem.startsWith(id)).length,
        1,
        JSON.stringify(run.problems),
      );
    }
    assert(
      run.problems.some((p: string) => p.includes("event.name is not as exp")),
    );
    assert(run.problems.some((p: string) => p.includes("the app says no")));
    const moon = await rowOf(stack, placeless.id);
    assertEquals(
      [moon.tz, moon.lat, moon.visibility, moon.cover_image_url],
      ["UTC", null, "public", null],
    );
    assertEquals((await rowOf(stack, odd.id)).description, " \ufffd");

    // Those that are in change no more, whatever the others are.
    const again = await pullAll(stack);
    assertEquals([again.unchanged, again.errors], [4, 5]);
    for (const event of Object.values(broken)) {
      Object.assign(event, {
        name: "Repaired",
        end_at: odd.end_at,
        tags: [],
      });
    }
    Object.assign(refused, { name: "Accepted" });
    const whole = await pullAll(stack);
    assertEquals([whole.state, whole.inserted], ["done", 5]);
    assertEquals((await titles(stack)).length, 9);
    await assertNothingCancelled(stack);
  },
);

stackTest(
  "a known event that Luma tells oddly keeps what it was, and is not taken for one that is gone",
  async (stack) => {
    const { sql, simulator } = stack;
    await retryAtOnce(stack);
    const [event] = await pulledEvents(stack, ["Known", "Other"]);
    const before = await rowOf(stack, event!.lumaId);
    const oddities = [
      { name: null },
      { name: "" },
      { timezone: "Nowhere" },
      { timezone: null },
      { start_at: "0000-00-00" },
      { visibility: null },
      { geo_address_json: "a street" },
      { coordinate: { latitude: "north" } },
    ];
    const live = simulator.event(event!.lumaId)!;
    const sound = { ...live };
    for (const oddity of oddities) {
      Object.assign(live, sound, oddity);
      await pull(stack);
      const { updated_at: _, ...row } = await rowOf(stack, event!.lumaId);
      const { updated_at: __, ...expected } = before;
      assertEquals(row, expected, JSON.stringify(oddity));
    }
    Object.assign(live, sound);
    assertEquals((await pullAll(stack)).state, "done");
    assertEquals((await sql`select from public.canonical_events`).length, 2);
    await assertNothingCancelled(stack);
  },
);

stackTest(
  "a guest who cannot be read or written stops none of the others, and vanishes for nobody",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 6);
    const [event, next] = await pulledEvents(stack, ["One", "Two"]);
    for (const user of ["u1", "u2", "u3", "u4", "u5"]) {
      register(stack, event!, user);
    }
    register(stack, next!, "u1");
    await pull(stack);
    await sql`
      create function public.refuse_rsvp() returns trigger language plpgsql as $$
      begin
        if new.user_id = 'u4' then raise exception 'the app says no to u4'; end if;
        return new;
      end $$`;
    await sql`create trigger refuse before insert or update on public.event_rsvps
      for each row execute function public.refuse_rsvp()`;
    const { guests } = simulator.event(event!.lumaId)!;
    const sound = guests.map((guest) => ({ ...guest }));
    Object.assign(guests[0]!, { user_email: null });
    Object.assign(guests[1]!, { approval_status: 5 });
    Object.assign(guests[2]!, {
      user_name: "A\u0000B \ud800",
      approval_status: "waitlist",
    });
    Object.assign(guests[3]!, { approval_status: "waitlist" });
    Object.assign(guests[4]!, { approval_status: "levitating" });
    register(stack, event!, "u6");
    const run = await pullAll(stack);
    assertEquals(run.state, "incomplete");
    assertEquals(run.errors, 3, JSON.stringify(run.problems));
    assertMatch(
      run.problems.join("\n"),
      /guest\.user_email is not as expected/,
    );
    assertMatch(run.problems.join("\n"), /the app says no to u4/);
    const stays = {
      u1: "going",
      u2: "going",
      u3: "waitlist",
      u4: "going",
      u5: "going",
      u6: "going",
    };
    assertEquals(await rsvpsOf(stack, event!.id), stays);
    assertEquals(await rsvpsOf(stack, next!.id), { u1: "going" });
    await drainAll(stack);
    assertEquals(await rsvpsOf(stack, event!.id), stays);

    // Without an id who is missing may be there all the same.
    const [first] = guests;
    Object.assign(first!, { id: null });
    guests.splice(1, 1);
    const cut = await pullAll(stack);
    assertEquals([cut.state, cut.to_read], ["incomplete", 0]);

    await sql`drop trigger refuse on public.event_rsvps`;
    for (const [n, guest] of sound.entries()) {
      guests[n] = { ...guest, approval_status: "approved" };
    }
    const whole = await pullAll(stack);
    assertEquals([whole.state, whole.problems], ["done", []]);
    assertEquals((await rsvpsOf(stack, event!.id)).u3, "going");
    await assertNothingCancelled(stack);
  },
);

stackTest(
  "a call that fails is repeated; when it goes on failing only that event, or list, is left out",
  async (stack) => {
    const { simulator, sql } = stack;
    await retryAtOnce(stack);
    await insertUsers(stack, 1);
    const events = await pulledEvents(stack, ["A", "B", "C"]);
    for (const event of events) register(stack, event, "u1");
    const { faults } = simulator;
    const calendar = BLR;
    faults.add({ calendar, path: "/v1/calendars/get", status: 500, count: 1 });
    faults.add({ calendar, path: EVENTS, close: true, count: 1 });
    faults.add({ calendar, path: EVENT_GET, status: 503, nth: 2, count: 4 });
    // One that never answers: given up after ten seconds.
    faults.add({ calendar, path: GUESTS, hang: true, count: 1 });
    const healed = await pullAll(stack);
    assertEquals([healed.state, healed.problems], ["done", []]);
    // Each one once, and what failed.
    const made = simulator.requests.filter((r) => r.calendar === BLR);
    assertEquals(made.length, 8 + 7);
    for (const { id } of events) {
      assertEquals(await rsvpsOf(stack, id), { u1: "going" });
    }

    faults.clear();
    for (const { lumaId } of events) {
      simulator.guest.cancel(lumaId, "u1@example.com");
      simulator.host.updateEvent(lumaId, { description_md: "New" });
    }
    faults.add({ calendar, path: EVENT_GET, status: 500, nth: 2, count: 5 });
    faults.add({ calendar, path: GUESTS, status: 500, nth: 3, count: 5 });
    const cut = await pullAll(stack);
    assertEquals([cut.state, cut.errors], ["incomplete", 2]);
    assertEquals(
      await Promise.all(events.map(async ({ id, lumaId }) => [
        (await rowOf(stack, lumaId)).description,
        (await rsvpsOf(stack, id)).u1,
      ])),
      [["New", "rejected"], ["Bring a towel.", "rejected"], ["New", "going"]],
    );

    // The list itself: nothing of the calendar is known, so nothing is done, and the other calendar's run is.
    faults.clear();
    faults.add({ calendar, path: EVENTS, status: 500 });
    const failed = await pullAll(stack);
    assertEquals([failed.state, failed.errors], ["failed", 1]);
    assertEquals((await lastRun(stack, "zo_events")).state, "done");
    faults.clear();
    assertEquals((await pullAll(stack)).state, "done");
    assertEquals(
      (await rowOf(stack, events[1]!.lumaId)).description,
      "New",
    );
    assertEquals(await countOf(stack, events[2]!), 0);
    assertEquals(
      [...await sql`select luma_key from luma.calendar_state where problem is not null`],
      [],
    );
    await assertNothingCancelled(stack);
  },
);

stackTest(
  "what could not be read of a new event is read by the next scheduled pull",
  async (stack) => {
    const { simulator } = stack;
    await retryAtOnce(stack);
    await insertUsers(stack, 1);
    const event = hostEvent(stack);
    register(stack, { lumaId: event.id }, "u1");
    const fault = simulator.faults.add({ path: "/v1/events/*", status: 500 });
    assertEquals((await pullScheduled(stack)).errors, 2);
    fault.remove();
    assertEquals((await rowOf(stack, event.id)).description, null);
    assertEquals((await pullScheduled(stack)).state, "done");
    const row = await rowOf(stack, event.id);
    assertEquals(row.description, "Bring a towel.");
    assertEquals(await rsvpsOf(stack, row.id), { u1: "going" });
  },
);

stackTest(
  "a 429 pauses the calendar, and the run goes on where it was when the pause is over",
  async (stack) => {
    const { sql, simulator } = stack;
    const events = await pulledEvents(stack, ["A", "B", "C"]);
    simulator.faults.add({
      path: GUESTS,
      status: 429,
      retryAfterS: 2,
      nth: 2,
      count: 1,
    });
    const before = Date.now();
    await pull(stack);
    const state = () =>
      one(sql`
      select state, problems, (select paused_by from luma.calendar_state where luma_key = 'blr' and paused_until > now())
      from luma.pulls where calendar = 'blr' order by requested_at desc limit 1`);
    assertEquals(await state(), {
      state: "to be continued",
      problems: [],
      paused_by: "luma",
    });
    assertEquals((await lastRun(stack, "zo_events")).state, "done");
    // Nobody goes on before.
    assertEquals((await pull(stack, {})).runs, 0);
    const asked = calls(stack).length;
    await until(
      "the pause is over",
      async () => (await sql`select from luma.waiting_pulls()`).length === 1,
    );
    assert(Date.now() - before > 1_900);
    await pull(stack, {});
    const run = await lastRun(stack);
    assertEquals([run.state, run.errors], ["done", 0]);
    // The refused one again, and the last: nothing twice.
    assertEquals(calls(stack).slice(asked), [GUESTS, GUESTS]);
    assertEquals(events.length, 3);
  },
);

stackTest(
  "a key that is revoked in the middle stops its calendar alone, loudly, and nothing is cancelled",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 1);
    const events = await pulledEvents(stack, ["A", "B", "C"]);
    hostEvent(stack, { name: "Elsewhere" }, ZO_EVENTS);
    for (const event of events) register(stack, event, "u1");
    const [blr] = simulator.calendars;
    const { key } = blr!;
    const fault = simulator.faults.add({
      path: GUESTS,
      calendar: BLR,
      when: "after",
      hang: true,
      count: 1,
    });
    const pulled = pull(stack);
    await fault.waitForHit();
    blr!.key = "luma-key-revoked";
    fault.remove();
    await pulled;
    const run = await lastRun(stack);
    assertEquals([run.state, run.errors], ["failed", 1]);
    const { problem, stopped_at } = await one(
      sql`select * from luma.calendar_state where luma_key = 'blr'`,
    );
    assert(stopped_at instanceof Date);
    assertMatch(problem, /LUMA_BLR_API_KEY.*luma\.resume\('blr'\)/);
    assert(!problem.includes(key));
    assertEquals((await lastRun(stack, "zo_events")).state, "done");
    assertEquals((await titles(stack)).length, 4);
    await assertNothingCancelled(stack);

    // Further requests wait.
    await pull(stack);
    assertEquals((await lastRun(stack)).state, "waiting");
    blr!.key = key;
    await sql`select luma.resume('blr')`;
    await pull(stack, {});
    assertEquals((await lastRun(stack)).state, "done");
    for (const { id } of events) {
      assertEquals(await rsvpsOf(stack, id), { u1: "going" });
    }
    await assertNothingCancelled(stack);
  },
);

stackTest(
  "the key of another calendar stops the calendar before anything is listed",
  async (stack) => {
    const { sql, simulator } = stack;
    await linkedEvents(stack, 6);
    simulator.clearRequests();
    await pull(stack);
    const run = await lastRun(stack);
    assertEquals([run.state, run.calls, run.events], ["failed", 1, 0]);
    const { problem } = await one(
      sql`select problem from luma.calendar_state where luma_key = 'blr' and stopped_at is not null`,
    );
    assertMatch(problem, new RegExp(`LUMA_BLR_API_KEY.*${ZO_EVENTS}.*${BLR}`));
    assertEquals(run.problems, [problem]);
    assertEquals((await lastRun(stack, "zo_events")).state, "done");
    await passTime(stack);
    await assertNothingCancelled(stack);
    assertEquals((await titles(stack)).length, 6);
  },
  { env: { LUMA_BLR_API_KEY: "luma-key-zo-events" } },
);

stackTest(
  "an event of another calendar, or of none, is asked for in vain",
  async (stack) => {
    const { sql, simulator } = stack;
    await linkedEvents(stack, 2);
    const [, zo] = simulator.events();
    // Under Bangalore's key Luma has no such event.
    const fault = simulator.faults.add({
      path: EVENT_GET,
      calendar: BLR,
      status: 404,
    });
    simulator.clearRequests();
    const refusal = await pull(stack, { calendar: "blr", event: zo!.id })
      .catch((error) => error.message);
    assertMatch(String(refusal), /400.*zo_events/);
    const unknown = hostEvent(stack, {}, ZO_EVENTS);
    await pull(stack, { calendar: "blr", event: unknown.id });
    fault.remove();
    await assertNothingCancelled(stack);
    await pull(stack, { calendar: "zo_events", event: unknown.id });
    assertEquals(
      (await rowOf(stack, unknown.id)).submission_status,
      "approved",
    );
    assertEquals((await titles(stack)).length, 3);
    assertEquals([...await sql`select * from luma.removed_events`], []);
  },
);

stackTest(
  "rows that the app has locked are waited for a moment, then left to the next pull, and hold up no other",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const events = await pulledEvents(stack, ["A", "B", "C"]);
    const rename = (suffix: string) => {
      for (const { lumaId, name } of events) {
        simulator.host.updateEvent(lumaId, { name: `${name} ${suffix}` });
      }
    };
    const locked = async (ms: number, whileLocked: () => Promise<unknown>) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const holding = sql.begin(async (tx) => {
        await tx`select from public.canonical_events where id = ${
          events[1]!.id
        } for update`;
        resolve();
        const working = whileLocked();
        if (ms) await new Promise((end) => setTimeout(end, ms));
        else await working;
        return working;
      });
      await promise;
      // The lock is gone when the transaction ends, the work when it does.
      await holding;
    };
    rename("II");
    for (const event of events) register(stack, event, "u1");
    await locked(0, () => pull(stack));
    const left = await lastRun(stack);
    // The event is left to the drain, the guest to the next pull.
    assertEquals([left.state, left.errors, left.to_read], ["incomplete", 1, 2]);
    assertMatch(left.problems[0], /is being written by the app for long/);
    assertEquals(await titles(stack), ["A II", "B", "C II"]);
    assertEquals(await rsvpsOf(stack, events[1]!.id), {});
    assertEquals(await rsvpsOf(stack, events[2]!.id), { u1: "going" });
    await drainAll(stack);
    assertEquals(await titles(stack), ["A II", "B II", "C II"]);
    assertEquals((await pullAll(stack)).state, "done");
    assertEquals(await rsvpsOf(stack, events[1]!.id), { u1: "going" });

    // For a moment only: in the same run.
    rename("III");
    let pulled: Promise<unknown> | undefined;
    await locked(1_000, () => {
      pulled = pull(stack, { calendar: "blr" });
      return Promise.resolve();
    });
    await pulled;
    assertEquals((await lastRun(stack)).state, "done");
    assertEquals(await titles(stack), ["A III", "B III", "C III"]);
  },
);

/** Which of the calls to Luma this is; what is not answered is 404. */
type Odd = (path: string, query: URLSearchParams) => unknown;

/** A test whose Luma answers as no simulator would: JSON, or a Response. */
function oddLumaTest(
  name: string,
  answer: Odd,
  test: (stack: Stack, asked: string[]) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const asked: string[] = [];
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => {
        const { pathname, searchParams } = new URL(request.url);
        asked.push(pathname);
        const said = pathname === "/v1/calendars/get"
          ? { id: BLR, name: "Bangalore" }
          : answer(pathname, searchParams);
        if (said instanceof Response) return said;
        return Response.json(said ?? { message: "no" }, {
          status: said === undefined ? 404 : 200,
        });
      },
    );
    await using stack = await startStack({
      seed: false,
      net: false,
      cron: false,
      simulator: false,
      env: {
        LUMA_API_URL: `http://127.0.0.1:${server.addr.port}`,
        LUMA_BLR_API_KEY: "luma-key-blr",
      },
    });
    const { sql } = stack;
    await sql`update luma.settings set scheduled_pulls = false`;
    await sql`select luma.set_mode('live')`;
    await retryAtOnce(stack);
    await test(stack, asked);
  });
}

/** An event of a list, tomorrow. */
function listed(n: number, more: Record<string, unknown> = {}) {
  const start = Date.now() + 86_400_000;
  return {
    ...EVENT,
    id: `evt-${n}`,
    calendar_id: BLR,
    name: `Event ${n}`,
    url: `https://luma.com/e-${n}`,
    start_at: new Date(start).toISOString(),
    end_at: new Date(start + 3_600_000).toISOString(),
    tags: [],
    ...more,
  };
}

const guest = (n: number) => ({
  ...GUEST,
  id: `gst-${n}`,
  user_email: `g${n}@example.com`,
});

/** The page at a cursor that is a number. */
const at = (query: URLSearchParams) =>
  Number(query.get("pagination_cursor") ?? 0);

oddLumaTest(
  "a list whose cursor never ends is left when a page brings nothing new, and what it brought stays",
  (path, query) => {
    const next_cursor = String(at(query) + 1);
    const more = { has_more: true, next_cursor };
    if (path === EVENT_GET) return listed(1, { description_md: "Hello" });
    if (path === GUESTS) {
      // Three pages, and then the first one again, for ever.
      return { entries: [guest(at(query) % 3)], ...more };
    }
    // Empty, though more is promised.
    const entries = at(query) === 0 ? [listed(1)] : [];
    return { entries, ...more };
  },
  async (stack, asked) => {
    const run = await pullAll(stack);
    assertEquals([run.state, run.errors], ["incomplete", 2]);
    assertEquals(run.problems, [
      `GET ${EVENTS}: page 2 brings nothing new and is not the last one; the list was left there.`,
      `GET ${GUESTS}: page 4 brings nothing new and is not the last one; the list was left there.`,
    ]);
    const row = await rowOf(stack, "evt-1");
    assertEquals([row.description, row.current_rsvp_count], ["Hello", 3]);
    assertEquals(asked.length, 1 + 2 + 1 + 4);

    // With something new on every page it ends all the same.
    const page = {
      route: "GET list",
      entries: [{ id: "gst-new", error: "odd" }],
      next_cursor: "2001",
    };
    const at2000 = await one(stack.sql`
      select t.* from luma.pull_runs r
      cross join lateral luma.took_page(jsonb_populate_record(r, '{"pages": 1999}'), ${
      JSON.stringify(page)
    }::text::jsonb) t
      where r.calendar = 'blr'`);
    assertEquals([at2000.next_cursor, at2000.is_whole], [null, false]);
    assertMatch(at2000.problems.at(-1), /page 2000 is one of very many/);
  },
);

/** What a page is instead, one after the other. */
const NO_PAGES: unknown[] = [
  new Response("<html>Bad gateway</html>", {
    headers: { "content-type": "text/html" },
  }),
  new Response("{"),
  [],
  { entries: null, has_more: false },
  { entries: [] },
  { entries: [], has_more: true },
];
let noPage: unknown;

oddLumaTest(
  "what is no page is asked for again, and given up: of guests for their event, of events for the run",
  (path, query) => {
    const said = () => noPage instanceof Response ? noPage.clone() : noPage;
    if (path === EVENT_GET) {
      return listed(Number(query.get("event_id")!.slice(4)));
    }
    if (path === EVENTS) {
      return noPage === "all"
        ? said()
        : { entries: [listed(1), listed(2)], has_more: false };
    }
    return query.get("event_id") === "evt-1"
      ? said()
      : { entries: [guest(1)], has_more: false };
  },
  async (stack, asked) => {
    for (const odd of NO_PAGES) {
      noPage = odd;
      const run = await pullAll(stack);
      assertEquals([run.state, run.errors], ["incomplete", 1]);
      assertMatch(run.problems[0], /guests\/list answered 200 but/);
      assertEquals((await rowOf(stack, "evt-2")).current_rsvp_count, 1);
    }
    asked.splice(0);
    noPage = "all";
    const run = await pullAll(stack);
    assertEquals([run.state, run.errors], ["failed", 1]);
    assertEquals(asked.length, 1 + 5);
    assertEquals(await titles(stack), ["Event 1", "Event 2"]);
    await drainAll(stack);
    assertEquals(await titles(stack), ["Event 1", "Event 2"]);
  },
);

oddLumaTest(
  "entries that are no events or guests are counted and left out",
  (path) => {
    if (path === EVENT_GET) return listed(1);
    const odd = [null, 5, "evt-1", [], {}, { id: "" }, { id: 5 }];
    return path === EVENTS
      ? { entries: [...odd, listed(1)], has_more: false }
      : { entries: [...odd, guest(1)], has_more: false };
  },
  async (stack) => {
    const run = await pullAll(stack);
    assertEquals([run.state, run.errors], ["incomplete", 14]);
    assertEquals((await rowOf(stack, "evt-1")).current_rsvp_count, 1);
  },
);

const MANY = 10_000;
const MANY_START = new Date(Date.now() + 40 * 86_400_000);

oddLumaTest(
  "ten thousand events are listed in steps that the database has time for, and who is missing is looked for",
  (path, query) => {
    if (path !== EVENTS) {
      const id = query.get("event_id");
      // The one that is new, and the one that is on no page.
      return path === GUESTS && id === "evt-10000"
        ? { entries: [], has_more: false }
        : path === EVENT_GET && id === "evt-10000"
        ? many(MANY)
        : undefined;
    }
    const first = at(query);
    const entries = Array.from({ length: 100 }, (_, n) => many(first + n + 1));
    const next = first + 100;
    return next < MANY
      ? { entries, has_more: true, next_cursor: String(next) }
      : { entries, has_more: false };
  },
  async (stack) => {
    const { sql } = stack;
    await manyCalls(stack);
    await sql`insert into public.event_cultures (slug, name) values ('default', 'Other') on conflict do nothing`;
    // Known here: 0 to 9,999. On Luma: 1 to 10,000.
    await sql`alter table public.canonical_events disable trigger user`;
    await sql`
      insert into public.canonical_events (canonical_uid, source_type, title, starts_at, ends_at, tz, luma_event_id, external_rsvp_url, raw_payload)
      select 'luma-evt-' || n, 'luma', 'Event ' || n, ${MANY_START}, ${new Date(
      MANY_START.getTime() + 3_600_000,
    )}, 'Asia/Kolkata', 'evt-' || n, 'https://luma.com/e-' || n,
        jsonb_build_object('id', 'evt-' || n, 'calendar_id', ${BLR}::text, 'url', 'https://luma.com/e-' || n, 'tags', jsonb_build_array())
      from generate_series(0, ${MANY - 1}::int) n`;
    await sql`alter table public.canonical_events enable trigger user`;
    await sql`
      insert into luma.event_links (event_id, calendar, slug, luma_event_id, url, row_base, luma_base)
      select e.id, 'blr', 'luma-' || md5(e.luma_event_id), e.luma_event_id, e.external_rsvp_url, luma.event_state(e), jsonb_build_object(
        'name', e.title, 'start_at', ${MANY_START.toISOString()}::text, 'end_at', ${
      new Date(MANY_START.getTime() + 3_600_000).toISOString()
    }::text,
        'timezone', e.tz, 'visibility', 'public', 'culture', null)
      from public.canonical_events e`;
    await sql`insert into luma.reads (event_id, read_at, guests_read_at) select event_id, now() - interval '2 hours', now() from luma.event_links`;
    await sql`analyze public.canonical_events, luma.event_links, luma.reads`;
    const run = await pullScheduled(stack);
    assertEquals([run.problems, run.state], [[], "done"]);
    assertEquals(
      [run.events, run.inserted, run.unchanged],
      [MANY, 1, MANY - 1],
    );
    // The calendar, 100 pages, the missing and the new event, and that one's guests.
    assertEquals(run.calls, 1 + 100 + 2 + 1);
    const rows = await sql`
      select luma_event_id, submission_status from public.canonical_events
      where luma_event_id = 'evt-10000' or submission_status <> 'approved' order by 1`;
    assertEquals([...rows], [
      { luma_event_id: "evt-0", submission_status: "cancelled" },
      { luma_event_id: "evt-10000", submission_status: "approved" },
    ]);
  },
);

function many(n: number) {
  return listed(n, {
    start_at: MANY_START.toISOString(),
    end_at: new Date(MANY_START.getTime() + 3_600_000).toISOString(),
  });
}

stackTest(
  "requests to luma-pull that ask for nothing that there is are refused in words that help",
  async (stack) => {
    const { sql, simulator, functionsUrl, syncSecret } = stack;
    const [event] = await linkedEvents(stack, 1);
    simulator.clearRequests();
    const answerTo = async (
      body: string | null,
      { method = "POST", secret = syncSecret } = {},
    ) => {
      const response = await fetch(`${functionsUrl}/luma-pull?wait=1`, {
        method,
        headers: { "x-luma-sync-secret": secret },
        body,
      });
      return `${response.status} ${await response.text()}`;
    };
    const refused: [string, Parameters<typeof answerTo>][] = [
      ["401 .*LUMA_SYNC_SECRET", ["{}", { secret: "wrong" }]],
      ["401 .*LUMA_SYNC_SECRET", ["{}", { secret: "" }]],
      ["401 .*LUMA_SYNC_SECRET", [null, { method: "GET", secret: "wrong" }]],
      ["405 .*Use POST, not GET", [null, { method: "GET" }]],
      ["405 .*Use POST, not PUT", ["{}", { method: "PUT" }]],
      ["400 .*not JSON", ["all=true"]],
      ["400 .*calendar", ['{"calender": "blr"}']],
      ["400 .*larger than 10000 bytes", [`"${"x".repeat(20_000)}"`]],
      ["400 .*atlantis", ['{"calendar": "atlantis"}']],
      ["400 .*no event 'evt-x'", ['{"event": "evt-x"}']],
      ["400 .*no event 'x'", ['{"event": "x", "calendar": "blr"}']],
      ["400 .*atlantis", ['{"event": "evt-x", "calendar": "atlantis"}']],
      ["400 .*on calendar blr", [
        JSON.stringify({ event: event![0], calendar: "zo_events" }),
      ]],
      ["400 .*U\\+0000|400 .*no id has", ['{"event": "evt-\\u0000"}']],
    ];
    for (const [expected, request] of refused) {
      assertMatch(await answerTo(...request), new RegExp(`^(${expected})`));
    }
    assertEquals([...await sql`select * from luma.pull_runs`], []);
    assertEquals(calls(stack), []);

    await sql`select luma.set_mode('off')`;
    for (const body of ['{"all": true}', '{"calendar": "blr", "dry": true}']) {
      assertMatch(await answerTo(body), /^400 .*the mode is off/);
    }
    // What is rung for when nothing waits is no error.
    assertEquals(JSON.parse((await answerTo("{}")).slice(4)), {
      runs: 0,
      ended: 0,
      calls: 0,
    });
    assertEquals(calls(stack), []);
  },
);
