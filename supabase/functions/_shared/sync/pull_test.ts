import { assert, assertEquals, assertRejects } from "@std/assert";
import { EVENT, GUEST } from "../luma/testing.ts";
import { type PullResult, StoreError } from "../store.ts";
import type { PullRun, PullStep } from "./job.ts";
import { RUN_BUDGET_MS } from "./limits.ts";
import { pull } from "./pull.ts";

const RUN: PullRun = { run_id: "run-1", lease: "lease-1", calendar: "blr" };

/** What the database answers to one step; a number lets so many milliseconds pass before it does. */
type Answer = PullStep | Error | [number, PullStep];

/** What Luma answers to a call: JSON, a status, or nothing for so many milliseconds. */
type Reply = { json: unknown } | { status: number } | Error | {
  ms: number;
  json: unknown;
};

const END: PullStep = { do: "end" };
const LIST: PullStep = {
  do: "list_events",
  after: "2027-01-01T00:00:00Z",
  cursor: null,
  permit_after_ms: 0,
};
const page = (...entries: unknown[]) => ({
  json: { entries, has_more: false },
});

/** A pull on a clock that only sleeping and slow answers move. Without an answer left the database says the end. */
function setUp(
  {
    runs = [[RUN]] as (PullRun[] | Error)[],
    answers = [] as Answer[],
    replies = [] as Reply[],
    keys = ["blr"],
  },
) {
  const world = {
    now: 0,
    slept: [] as number[],
    begun: [] as string[][],
    results: [] as PullResult[],
    paused: [] as string[],
    limits: [] as string[],
    asked: [] as string[],
    logged: [] as string[],
  };
  const summary = pull({
    env: {
      apiKeys: new Map(keys.map((key) => [key, `key-${key}`])),
      lumaUrl: "http://luma.test",
    },
    store: {
      pullBegin(keys) {
        world.begun.push(keys);
        const next = runs.shift() ?? [];
        return next instanceof Error
          ? Promise.reject(next)
          : Promise.resolve(next);
      },
      pullStep(_run, result) {
        world.results.push(result);
        const answer = answers.shift() ?? END;
        if (answer instanceof Error) return Promise.reject(answer);
        if (!Array.isArray(answer)) return Promise.resolve(answer);
        world.now += answer[0];
        return Promise.resolve(answer[1]);
      },
      pullPause(run) {
        world.paused.push(run.lease);
        return Promise.resolve();
      },
      noteRateLimit(calendar, limit) {
        world.limits.push(`${calendar} ${limit}`);
        return Promise.resolve();
      },
    },
    fetch: (input) => {
      const { pathname, searchParams } = new URL(String(input));
      const query = [...searchParams].map(([name, value]) => `${name}=${value}`)
        .sort();
      world.asked.push([pathname, ...query].join(" "));
      const reply = replies.shift() ?? { status: 500 };
      if (reply instanceof Error) return Promise.reject(reply);
      if ("ms" in reply) world.now += reply.ms;
      return Promise.resolve(
        "json" in reply
          ? Response.json(reply.json, {
            headers: { "x-ratelimit-limit": "200" },
          })
          : Response.json({ message: "no" }, { status: reply.status }),
      );
    },
    now: () => world.now,
    sleep: (ms) => {
      world.slept.push(ms);
      world.now += ms;
      return Promise.resolve();
    },
    log: (message) => world.logged.push(message),
  });
  return { world, summary };
}

/** The kinds of results that the database was handed, in order. */
const kinds = (world: { results: PullResult[] }) =>
  world.results.map(({ kind }) => kind);

Deno.test("each step's call is made, and what it brought goes in with the request for the next", async () => {
  const { world, summary } = setUp({
    answers: [
      { do: "get_calendar", permit_after_ms: 0 },
      LIST,
      { ...LIST, cursor: "c2" },
      { do: "get_event", luma_event_id: "evt-1", permit_after_ms: 0 },
      {
        do: "list_guests",
        luma_event_id: "evt-1",
        cursor: null,
        permit_after_ms: 0,
      },
      {
        do: "list_guests",
        luma_event_id: "evt-1",
        cursor: "g2",
        permit_after_ms: 0,
      },
    ],
    replies: [
      { json: { id: "cal-1", name: "Bangalore" } },
      { json: { entries: [EVENT], has_more: true, next_cursor: "c2" } },
      page(),
      { json: EVENT },
      { json: { entries: [GUEST, null], has_more: true, next_cursor: "g2" } },
      // What is said of the next page counts only when there is one.
      { json: { entries: [], has_more: false, next_cursor: "g3" } },
    ],
  });
  assertEquals(await summary, { runs: 1, ended: 1, calls: 6 });
  assertEquals(world.begun, [["blr"], ["blr"]]);
  const list = "/v1/calendars/events/list after=2027-01-01T00:00:00Z";
  const rest = "pagination_limit=100 sort_column=start_at sort_direction=asc";
  assertEquals(world.asked, [
    "/v1/calendars/get",
    `${list} ${rest}`,
    `${list} pagination_cursor=c2 ${rest}`,
    "/v1/events/get event_id=evt-1",
    "/v1/events/guests/list event_id=evt-1 pagination_limit=100",
    "/v1/events/guests/list event_id=evt-1 pagination_cursor=g2 pagination_limit=100",
  ]);
  assertEquals(
    world.results.map((result) =>
      "entries" in result
        ? [
          result.kind,
          result.entries.map((entry) => [entry.id, "news" in entry]),
          "next_cursor" in result ? result.next_cursor : null,
        ]
        : result.kind === "calendar"
        ? [result.kind, result.calendar_id]
        : [result.kind]
    ),
    [
      ["none"],
      ["calendar", "cal-1"],
      ["page", [["evt-1", true]], "c2"],
      ["page", [], null],
      ["event", [["evt-1", true]], null],
      ["page", [["gst-1", true], [null, false]], "g2"],
      ["page", [], null],
    ],
  );
  // The same limit with each answer is noted once.
  assertEquals(world.limits, ["blr 200"]);
});

Deno.test("an event that Luma has not is news of its own: it is gone", async () => {
  const { world, summary } = setUp({
    answers: [{ do: "get_event", luma_event_id: "evt-9", permit_after_ms: 0 }],
    replies: [{ status: 404 }],
  });
  await summary;
  const [, result] = world.results;
  assert(result?.kind === "event");
  const [entry] = result.entries;
  assert(entry && "news" in entry && "gone" in entry.news);
  assertEquals([entry.id, entry.news.gone], ["evt-9", true]);
});

Deno.test("an event that is not as the contract says is that event's error, not a call to repeat", async () => {
  const { world, summary } = setUp({
    answers: [{ do: "get_event", luma_event_id: "evt-1", permit_after_ms: 0 }],
    replies: [{ json: { ...EVENT, name: null } }],
  });
  await summary;
  const [, result] = world.results;
  assert(result?.kind === "event", JSON.stringify(result));
  const [entry] = result.entries;
  assert(entry && "error" in entry);
  assertEquals(entry.id, "evt-1");
});

Deno.test("a call that fails is told as what it was", async () => {
  const failed = async (reply: Reply) => {
    const { world, summary } = setUp({
      answers: [LIST],
      replies: [reply, { json: { id: "usr-1" } }],
    });
    await summary;
    const [, result] = world.results;
    assert(result?.kind === "failed");
    const { kind, status } = result.failure;
    return [kind, status ?? null];
  };
  assertEquals(await failed({ status: 503 }), ["http", 503]);
  assertEquals(await failed({ status: 429 }), ["http", 429]);
  assertEquals(await failed({ status: 401 }), ["http", 401]);
  // The key works: it is this one call that Luma refuses.
  assertEquals(await failed({ status: 403 }), ["refused", 403]);
  assertEquals(await failed(new TypeError("broken")), ["network", null]);
  const notPages = [
    [],
    "page",
    { entries: {}, has_more: false },
    { entries: [] },
    { entries: [], has_more: true },
    { entries: [], has_more: true, next_cursor: "" },
    { entries: [], has_more: false, next_cursor: 5 },
  ];
  for (const json of notPages) {
    assertEquals(await failed({ json }), ["invalid_response", 200]);
  }
});

Deno.test("a permit that came too late is not used, and handed back", async () => {
  const { world, summary } = setUp({
    // Given at once, and the answer took longer than a permit may be used.
    answers: [[1_201, LIST], [1_200, LIST], [5_000, {
      ...LIST,
      permit_after_ms: 3_800,
    }]],
    replies: [page(), page()],
  });
  assertEquals(await summary, { runs: 1, ended: 1, calls: 2 });
  assertEquals(kinds(world), ["none", "late", "page", "page"]);
});

Deno.test("it waits as long as the database says, but lets it know in between that it is alive", async () => {
  const { world, summary } = setUp({
    answers: [
      { do: "wait", wait_ms: 0 },
      { do: "wait", wait_ms: 50 },
      { do: "wait", wait_ms: 60_000 },
      LIST,
    ],
    replies: [page()],
  });
  assertEquals(await summary, { runs: 1, ended: 1, calls: 1 });
  assertEquals(world.slept, [0, 50, 5_000]);
  // Nothing is handed in twice.
  assertEquals(kinds(world), ["none", "none", "none", "none", "page"]);
});

Deno.test("when the time is up the run is handed on, and nobody waits beyond it", async () => {
  const { world, summary } = setUp({
    answers: Array<PullStep>(100).fill({ do: "wait", wait_ms: 4_900 }),
  });
  assertEquals(await summary, { runs: 1, ended: 0, calls: 0 });
  assertEquals(world.now, RUN_BUDGET_MS);
  assertEquals(world.paused, ["lease-1"]);
  assertEquals(world.begun.length, 1);
});

Deno.test("what was in hand when the time was up is handed in, and a run that this ends is over", async () => {
  const slow = { ms: RUN_BUDGET_MS, ...page(EVENT) };
  const goesOn = setUp({ answers: [LIST, LIST], replies: [slow] });
  assertEquals(await goesOn.summary, { runs: 1, ended: 0, calls: 1 });
  assertEquals(kinds(goesOn.world), ["none", "page"]);
  assertEquals(goesOn.world.paused, ["lease-1"]);
  // No further call, though a step was answered.
  assertEquals(goesOn.world.asked.length, 1);

  const ends = setUp({ answers: [LIST, END], replies: [slow] });
  assertEquals(await ends.summary, { runs: 1, ended: 1, calls: 1 });
  assertEquals(kinds(ends.world), ["none", "page"]);
});

Deno.test("a failure that was in hand when the time was up is handed in too", async () => {
  const { world, summary } = setUp({
    answers: [[0, LIST], [0, LIST]],
    replies: [{ ms: RUN_BUDGET_MS, json: "no page" }],
  });
  await summary;
  assertEquals(kinds(world), ["none", "failed"]);
  assertEquals(world.paused, ["lease-1"]);
});

Deno.test("the calendars' runs go on side by side, and what was asked for meanwhile follows", async () => {
  const zo = { run_id: "run-2", lease: "lease-2", calendar: "zo_events" };
  const after = { run_id: "run-3", lease: "lease-3", calendar: "blr" };
  const { world, summary } = setUp({
    runs: [[RUN, zo], [after]],
    keys: ["blr", "zo_events"],
    answers: [LIST, LIST],
    replies: [page(), page()],
  });
  assertEquals(await summary, { runs: 3, ended: 3, calls: 2 });
  assertEquals(kinds(world), ["none", "none", "page", "page", "none"]);
  assertEquals(world.begun.length, 3);
});

Deno.test("a database out of reach leaves a run to whoever finds it, and harms no other run", async () => {
  const zo = { run_id: "run-2", lease: "lease-2", calendar: "zo_events" };
  const { world, summary } = setUp({
    runs: [[RUN, zo]],
    keys: ["blr", "zo_events"],
    answers: [new StoreError("luma_pull_step: no answer"), LIST],
    replies: [page()],
  });
  assertEquals(await summary, { runs: 2, ended: 1, calls: 1 });
  assertEquals(world.logged, ["pull of blr: luma_pull_step: no answer"]);
  assertEquals(world.paused, []);
});

Deno.test("when no run can be begun the caller learns why", async () => {
  const { summary } = setUp({ runs: [new StoreError("no database")] });
  await assertRejects(() => summary, StoreError, "no database");
});

Deno.test("without anything that waits, nothing is asked of Luma", async () => {
  const { world, summary } = setUp({ runs: [] });
  assertEquals(await summary, { runs: 0, ended: 0, calls: 0 });
  assertEquals([world.results, world.asked], [[], []]);
});
