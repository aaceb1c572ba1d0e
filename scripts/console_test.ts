/** The console on a real stack: what it shows, whom it lets in, and what its buttons do. */
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
import { connect } from "./stack/database.ts";
import { runConsole } from "./console.ts";
import { csrfIn, openConsole, textOf } from "./console/client_for_tests.ts";
import { reading } from "./console/queries.ts";
import { REFUSAL, startScene } from "./console/scene_for_tests.ts";

const PAGES = [
  ...["/", "/events", "/dead-letters", "/conflicts", "/webhooks", "/pulls"],
  "/log",
];

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
    /pause calendar: zo_events .*settings mode: off → live/,
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
  "only who has the address gets in, and only the console's own forms do anything",
  async (stack) => {
    await using client = await openConsole(stack);
    const { origin, cookie, url } = client;
    const { host, port } = new URL(origin);
    for (
      const path of [
        ...PAGES,
        "/style.css",
        "/icon.svg",
        "/nowhere",
        "/actions/retry-all",
      ]
    ) {
      const denied = await client.get(path, {});
      assertEquals([path, denied.status], [path, 403]);
      assertStringIncludes(denied.text, "deno task console printed");
    }
    const guess = `${"0".repeat(63)}1`;
    assertEquals((await client.get(`/?token=${guess}`, {})).status, 403);
    assertEquals((await client.get("/?token=", {})).status, 403);
    assertEquals(
      (await client.get("/", { cookie: `luma_console_${port}=${guess}` }))
        .status,
      403,
    );

    // The right one, wherever it leads.
    const opened = await client.get(
      `/events?status=failed&${new URL(url).searchParams}`,
      {},
    );
    assertEquals([opened.status, opened.headers.get("location")], [
      303,
      "/events?status=failed",
    ]);
    const set = opened.headers.get("set-cookie")!;
    assertMatch(set, /; HttpOnly; SameSite=Strict$/);
    assertMatch(set, /=[0-9a-f]{64};/);

    // A name that was made to point at this machine.
    const raw = (host: string, line = "GET / HTTP/1.1", more = "") =>
      rawStatus(
        Number(port),
        `${line}\r\nHost: ${host}\r\nCookie: ${cookie}\r\n${more}Connection: close\r\n\r\n`,
      );
    assertEquals(await raw(host), 200);
    assertEquals(await raw(`localhost:${port}`), 200);
    for (
      const other of [
        `evil.example:${port}`,
        "127.0.0.1",
        "localhost",
        `127.0.0.1:1`,
        `127.0.0.1.evil.example:${port}`,
      ]
    ) {
      assertEquals([other, await raw(other)], [other, 403]);
    }

    const page = await client.get("/");
    const csrf = csrfIn(page.text);
    assertMatch(csrf, /^[0-9a-f]{64}$/);
    const pause = { calendar: "blr", back: "/" };
    const forged: Parameters<typeof client.post>[1][] = [
      { fields: { ...pause, csrf }, headers: { origin } },
      { fields: { ...pause, csrf }, headers: { cookie } },
      { fields: { ...pause, csrf }, headers: { cookie, origin: "null" } },
      {
        fields: { ...pause, csrf },
        headers: { cookie, origin: "http://evil.example" },
      },
      {
        fields: { ...pause, csrf },
        headers: { cookie, origin: `https://${host}` },
      },
      {
        fields: { ...pause, csrf },
        headers: { cookie, origin: `http://localhost:${port}` },
      },
      { fields: pause, headers: { cookie, origin } },
      { fields: { ...pause, csrf: guess }, headers: { cookie, origin } },
    ];
    for (const form of forged) {
      assertEquals(
        (await client.post("pause", form)).status,
        403,
        JSON.stringify(form),
      );
    }
    assertEquals((await client.get("/actions/pause?calendar=blr")).status, 405);
    const [row] = await stack
      .sql`select count(*)::int as paused from luma.calendar_state`;
    assertEquals(row!.paused, 0);

    // Where a form leads is always here.
    for (
      const back of [
        "//evil.example/x",
        "https://evil.example/x",
        "/\\evil.example",
        "https://a//b//evil.example/x",
        "javascript:alert(1)",
      ]
    ) {
      const { headers } = await client.post("pause", {
        fields: { ...pause, csrf, back },
        headers: { cookie, origin },
      });
      assertEquals(
        new URL(headers.get("location")!, origin).origin,
        origin,
        back,
      );
    }
    assertEquals(
      (await client.post("drop", {
        fields: { csrf },
        headers: { cookie, origin },
      })).status,
      404,
    );
    assertEquals(
      (await client.post("constructor", {
        fields: { csrf },
        headers: { cookie, origin },
      })).status,
      404,
    );

    for (
      const [name, value] of [
        ["cache-control", "no-store"],
        ["x-content-type-options", "nosniff"],
        ["referrer-policy", "same-origin"],
        ["x-frame-options", "DENY"],
      ] as const
    ) assertEquals([name, page.headers.get(name)], [name, value]);
    const policy = page.headers.get("content-security-policy")!;
    const nonce = /'nonce-([^']+)'/.exec(policy)![1]!;
    assertEquals(
      policy,
      `default-src 'none'; style-src 'self'; img-src 'self'; script-src 'nonce-${nonce}'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
    );
    assertStringIncludes(page.text, `<script nonce="${nonce}">`);
    assertEquals((await client.get("/")).text.includes(nonce), false);
    assertEquals(
      (await client.get("/style.css", {})).headers.get("cache-control"),
      "no-store",
    );
  },
);

stackTest(
  "what comes from outside is text, whatever it looks like",
  async (stack) => {
    const { sql } = stack;
    await using client = await openConsole(stack);
    const title = `<script>alert("1")</script><img src=x onerror='x'>&amp;`;
    const id = await insertEvent(stack, { title });
    await sql`update luma.sync_outbox set dead_at = now(), last_error = '"><b>no</b> x@example.com' where entity_id = ${id}`;
    await sql`select luma.note_conflict('event', ${id}, ${id}, 'name', ${
      sql.json({ title, tz: "<i>" })
    }, ${sql.json("<u>")}, 'app')`;
    for (
      const path of [
        "/",
        "/events",
        "/conflicts",
        "/dead-letters",
        `/events/${id}`,
        `/events?search=${encodeURIComponent(title)}`,
      ]
    ) {
      const { text, status } = await client.get(path);
      assertEquals([path, status], [path, 200]);
      assertEquals(text.match(/<(img src=x|b>|i>|u>|script>)/g), null, path);
      assertStringIncludes(text, "&lt;script&gt;");
    }
    const { text } = await client.act("pause", { calendar: `<b>"x"` });
    assertStringIncludes(text, "there is no calendar &#39;&lt;b&gt;");
  },
);

stackTest(
  "each button does what it says, and says what came of it",
  async (stack) => {
    const { sql, simulator } = stack;
    await using client = await openConsole(stack);
    const act = async (action: string, fields?: Record<string, string>) =>
      textOf((await client.act(action, fields)).text);
    const logged = async (what: string) => {
      const [line] =
        await sql`select what, via from luma.admin_log order by id desc limit 1`;
      assertEquals(line, { what, via: "luma console" });
    };
    const mode = async () => (await sql`select luma.mode() as mode`)[0]!.mode;

    assertMatch(await act("mode", { mode: "off" }), /Done. The mode is off/);
    assertMatch(
      await act("mode", { mode: "live" }),
      /That did not work. .* tick the box/,
    );
    assertEquals(await mode(), "off");
    assertMatch(
      await act("mode", { mode: "on" }),
      /That did not work. luma.set_mode: the mode is off, dry_run or live, not 'on'/,
    );
    assertMatch(await act("mode", { mode: "dry_run" }), /The mode is dry run/);
    assertEquals(await mode(), "dry_run");
    assertMatch(
      await act("mode", { mode: "live", confirm: "yes" }),
      /The mode is live/,
    );
    assertEquals(await mode(), "live");
    await logged("settings");

    assertMatch(await act("pause", { calendar: "blr" }), /blr is paused/);
    const [paused] =
      await sql`select ready, paused_by from luma.calendar_status where calendar = 'blr'`;
    assertEquals(paused, { ready: false, paused_by: "admin" });
    await logged("pause");
    assertMatch(await act("resume", { calendar: "blr" }), /blr is resumed/);
    const [ready] =
      await sql`select ready from luma.calendar_status where calendar = 'blr'`;
    assertEquals(ready!.ready, true);
    await logged("resume");
    assertMatch(
      await act("pause", { calendar: "goa" }),
      /there is no calendar 'goa' One of: blr, zo_events/,
    );

    const fault = simulator.faults.add({
      path: "/v1/events/create",
      status: 400,
      message: "name: too loud",
    });
    const [first, second] = [
      await insertEvent(stack),
      await insertEvent(stack),
    ];
    await drain(stack);
    const dead = async () =>
      (await sql`select entity_id from luma.dead_letters order by 1`).map((
        row,
      ) => row.entity_id);
    assertEquals(await dead(), [first, second].sort());
    assertMatch(
      textOf((await client.get("/dead-letters")).text),
      /name: too loud/,
    );
    fault.remove();
    assertMatch(
      await act("retry", { id: first }),
      /Done. It is tried again now/,
    );
    assertEquals(await dead(), [second]);
    await logged("retry");
    assertMatch(await act("retry-all"), /Tried again now: 1 dead letter\./);
    assertEquals(await dead(), []);
    await drain(stack);
    assertEquals(simulator.events().length, 2);
    assertMatch(
      await act("retry", { id: first }),
      /That did not work. luma.retry: nothing of .* waits to be sent See luma.dead_letters/,
    );
    // A message is shown once.
    assertEquals(
      /That did not work/.test((await client.get("/log")).text),
      false,
    );

    await sql`
    insert into luma.webhook_inbox (webhook_id, calendar, type, payload, sent_at, state, error)
    values ('msg_1', 'blr', 'event.updated', '{}', now(), 'failed', 'it was garbled')`;
    assertMatch(
      textOf((await client.get("/dead-letters")).text),
      /event.updated webhook · blr it was garbled/,
    );
    assertMatch(await act("retry", { id: "msg_1" }), /It is tried again now/);
    assertEquals(
      (await sql`select state from luma.webhook_inbox`)[0]!.state,
      "stored",
    );

    assertMatch(
      await act("pull", { event: first }),
      /Luma is read now: 1 pull\./,
    );
    assertMatch(await act("pull", { calendar: "zo_events" }), /1 pull\./);
    await logged("pull_now");
    const pulls =
      await sql`select p.calendar, e.event_id from luma.pull_runs p left join luma.event_links e using (luma_event_id) order by p.requested_at`;
    assertEquals(pulls.map(({ event_id }) => event_id).filter(Boolean), [
      first,
    ]);
    assert(pulls.some(({ calendar }) => calendar === "zo_events"));
    assertMatch(await act("pull"), /2 pulls\./);

    assertMatch(
      await act("backfill"),
      /Luma has everything, or it is enqueued already/,
    );
    await logged("backfill");
    assertMatch(
      await act("stop-backfill"),
      /The backfill is stopped; 0 events and RSVPs of it wait/,
    );
    await logged("stop_backfill");
  },
);

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

/** The status of a request that fetch() would not send. */
async function rawStatus(port: number, request: string): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request));
  const text = await new Response(connection.readable).text();
  return Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
}
