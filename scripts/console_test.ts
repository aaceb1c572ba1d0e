/** The task, and what its pages show of a real stack. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  drain,
  insertEvent,
  insertUsers,
  rsvp,
  stackTest,
} from "../supabase/tests/testing.ts";
import { runConsole } from "./console.ts";
import { openConsole, PAGES, textOf } from "./console/client_for_tests.ts";
import { reading } from "./console/queries.ts";
import { REFUSAL, startScene } from "./console/scene_for_tests.ts";
import { connect } from "./stack/database.ts";

Deno.test("every page shows what the database holds, and no secret and no address", async () => {
  await using scene = await startScene();
  const { stack: { sql, ...stack }, games, builders } = scene;
  await using client = await openConsole(stack);
  const show = async (path: string) => {
    const { status, text } = await client.get(path);
    assertEquals(status, 200, path);
    return textOf(text);
  };

  const overview = await show("/");
  const [health] = await sql`select * from luma.health`;
  assertEquals([Number(health!.waiting), Number(health!.dead)], [4, 1]);
  assertMatch(overview, /One change was given up/);
  const [alert] = await sql`select message from luma.alerts`;
  assertStringIncludes(overview, `Needs a look ${alert!.message} since`);
  assertMatch(overview, /Waiting 4 0 in flight Given up 1 dead letters/);
  assertMatch(overview, /3 RSVPs waiting the calendar is paused by admin/);
  assertMatch(overview, /zo_events paused Paused by hand/);
  assertEquals(
    [...overview.matchAll(/Calls left this minute \d+ of 180/g)].length,
    2,
  );
  const traffic = await sql`
    select sum(calls)::int as calls from luma.traffic('3 hours', '5 minutes') where calendar = 'blr'`;
  const drawn = [...overview.matchAll(/Calls in 5 minutes: up to (\d+)/g)];
  assertEquals(drawn.length, 2);
  const rows = overview.match(/Calls and lag of blr.*?calendar/)?.[0] ?? "";
  const told = [...rows.matchAll(/\d\d:\d\d:\d\d (\d+) /g)]
    .reduce((sum, [, calls]) => sum + Number(calls), 0);
  assertEquals(told, traffic[0]!.calls);
  assertMatch(overview, /rsvp zo_events 3 0 0 0/);

  const events = await show("/events");
  for (
    const { title } of await sql`select title from public.canonical_events`
  ) {
    assertStringIncludes(events, title);
  }
  assertMatch(
    events,
    /Koramangala Board Games Night .*? on Luma blr 17 1 failed/,
  );
  assertMatch(
    events,
    /Bay Area Builders Night .*? waiting zo_events 4 3 waiting/,
  );
  const waiting = await show("/events?status=waiting");
  assertMatch(waiting, /1 event .*Bay Area Builders Night/);
  assertEquals(waiting.includes("Masala"), false);
  assertMatch(
    await show("/events?search=MASALA"),
    /1 event .*Masala Masterclass/,
  );
  assertMatch(
    await show("/events?search=%25"),
    /0 events No event is like that/,
  );

  const event = await show(`/events/${games}`);
  const lines = await sql`
    select count(*)::int as lines, sum(jsonb_array_length(calls))::int as calls from luma.history(${games})`;
  assert(lines[0]!.calls > 10);
  assertEquals(
    [...event.matchAll(/(GET|POST) \/v1\/\S+ (answered \d+|no answer)/g)]
      .length,
    // The dead letter's words, on the list of dead letters, in the history and at the RSVP, and the one answered 503.
    lines[0]!.calls + 4,
  );
  assertMatch(event, /Attempt: RSVP of scene-lata dead/);
  assertMatch(event, /answered 503 after/);
  assertMatch(event, /Conflict: event app stayed/);
  assertMatch(
    event,
    /Koramangala Board Games Night stayed Board Games at Zo House not taken/,
  );
  assertMatch(event, /14 of 48, 1 of them only on Luma/);
  assertMatch(event, /Arjun a…@example.com going approved on Luma/);
  assertMatch(
    await show(`/events/${builders}`),
    /waiting the calendar is paused by admin .* Send it now Pull now/,
  );

  assertMatch(
    await show("/conflicts"),
    /Night name Koramangala Board Games Night stayed Board Games at Zo House/,
  );
  assertStringIncludes(
    await show("/dead-letters"),
    REFUSAL.replace("lata@", "l…@"),
  );
  const [deliveries] =
    await sql`select count(*)::int as count from luma.deliveries where state = 'applied'`;
  const webhooks = await show("/webhooks");
  assertEquals(
    [...webhooks.matchAll(/ applied /g)].length,
    Math.min(deliveries!.count, 100),
  );
  assertMatch(
    await show("/pulls"),
    /blr Koramangala Board Games Night done .* by hand .* 1 event 17 guests/,
  );
  assertMatch(
    await show("/log"),
    /pause calendar: zo_events .*set mode mode: off → live/,
  );

  const secrets =
    await sql`select decrypted_secret as secret from vault.decrypted_secrets`;
  for (const path of [...PAGES, `/events/${games}`, `/events/${builders}`]) {
    const { text } = await client.get(path);
    assertEquals(text.match(/[a-z]{2,}(\.[a-z]+)?@example\.com/gi), null, path);
    const hidden = [
      ...secrets.map(({ secret }) => secret),
      ...[stack.secretKey, stack.syncSecret, stack.publishableKey],
      ...[stack.postgres.url, "luma-key-blr", "whsec_"],
      ...[client.url.split("token=")[1]!, client.cookie.split("=")[1]!],
    ].filter((secret) => text.includes(secret));
    assertEquals(hidden, [], path);
  }
});

stackTest(
  "long lists have pages, and an event that is not there says so",
  async (stack) => {
    const { sql } = stack;
    await using client = await openConsole(stack);
    await sql`
    insert into public.canonical_events (canonical_uid, title, starts_at, tz, source_type, submission_status)
    select 'p' || n, 'Event ' || n, now() + n * interval '1 day', case n when 1 then 'Mars/Olympus' else 'UTC' end, 'community', 'pending'
    from generate_series(1, 60) n`;
    const titles = async (query: string) =>
      [
        ...textOf((await client.get(`/events${query}`)).text).matchAll(
          /Event (\d+) /g,
        ),
      ].map(([, n]) => Number(n));
    const to = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, n) => from + n);
    assertEquals(await titles(""), to(1, 25));
    assertEquals(await titles("?page=3"), to(51, 60));
    assertEquals(await titles("?page=0"), to(1, 25));
    assertEquals(await titles("?page=x"), to(1, 25));
    assertEquals(await titles("?page=99"), []);
    assertEquals(await titles("?search=60%00&status=%00"), [60]);
    assertStringIncludes((await client.get("/events?page=99")).text, "page=3");
    assertEquals(await titles("?search=event+6"), [6, 60]);
    for (const id of [crypto.randomUUID(), "1", "'; drop table x"]) {
      const { status, text } = await client.get(
        `/events/${encodeURIComponent(id)}`,
      );
      assertEquals(status, 404);
      assertStringIncludes(text, "No such event");
    }
    assertEquals((await client.get("/nowhere")).status, 404);
  },
);

stackTest(
  "of a dry run the page shows what would be sent, and of a deleted event what was",
  async (stack) => {
    const { sql } = stack;
    await using client = await openConsole(stack);
    const [user] = await insertUsers(stack, 1);
    const id = await insertEvent(stack, { title: "Kite Making" });
    await drain(stack);
    await sql`select luma.set_mode('dry_run')`;
    await rsvp(stack, id, user!, "going");
    await drain(stack);
    const page = textOf((await client.get(`/events/${id}`)).text);
    assertMatch(
      page,
      /Attempt: RSVP of u1 dry run .*POST \/v1\/events\/guests\/add would be sent \{.*"u…@example\.com"/,
    );
    assertEquals(page.includes("u1@example.com"), false);

    await sql`delete from public.canonical_events where id = ${id}`;
    const { status, text } = await client.get(`/events/${id}`);
    assertEquals(status, 200);
    assertMatch(
      textOf(text),
      /Deleted event .*Attempt: event done .*Attempt: RSVP dry run/,
    );
  },
);

stackTest(
  "a database that is away is said so, and back when it is back",
  async (stack) => {
    await using client = await openConsole(stack);
    assertEquals((await client.get("/")).status, 200);
    await stack.stopPostgres();
    const away = await client.get("/");
    assertEquals(away.status, 503);
    assertStringIncludes(away.text, "The page could not be read");
    await stack.startPostgres();
    assertEquals((await client.get("/")).status, 200);
  },
);

stackTest("a page cannot write", async ({ postgres }) => {
  const sql = connect(postgres.url);
  const error = await reading(
    sql,
    (tx) => tx`update luma.settings set mode = 'off'`,
  ).catch((error) => error);
  assertMatch(String(error), /read-only transaction/);
  await sql.end();
});

stackTest(
  "the task serves until it is interrupted, and says what it lacks",
  async ({ postgres }) => {
    const run = (
      args: string[],
      url: string | undefined,
      interrupted: Promise<void> = Promise.resolve(),
    ) => {
      const lines: string[] = [];
      const add = (text: string) => void lines.push(text);
      const code = runConsole(["--env-file", "/nowhere/.env", ...args], {
        vars: { SUPABASE_DB_URL: url },
        out: add,
        err: add,
        sleep: () => Promise.resolve(),
        isTerminal: false,
      }, interrupted);
      return { code, lines };
    };
    const interrupted = Promise.withResolvers<void>();
    const { code, lines } = run(
      ["--port", "0"],
      postgres.url,
      interrupted.promise,
    );
    while (lines.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assertMatch(lines[0]!, /The mode is live/);
    const url =
      /http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]{64}/.exec(lines[0]!)![0];
    const opened = await fetch(url, { redirect: "manual" });
    assertEquals(opened.status, 303);
    await opened.body?.cancel();

    const { port } = new URL(url);
    const second = run(["--port", port], postgres.url);
    assertEquals(await second.code, 1);
    assertMatch(second.lines[0]!, new RegExp(`Port ${port} cannot be used`));
    interrupted.resolve();
    assertEquals(await code, 0);

    const help = run(["--help"], undefined);
    assertEquals(await help.code, 0);
    assertMatch(help.lines[0]!, /^deno task console/);
    const wrong = run(["--port", "http"], postgres.url);
    assertEquals([await wrong.code, wrong.lines], [1, [
      '--port is "http": give a number from 0 to 65535.',
    ]]);
    const unset = run([], undefined);
    assertEquals(await unset.code, 1);
    assertStringIncludes(unset.lines[0]!, "Set SUPABASE_DB_URL");
  },
);
