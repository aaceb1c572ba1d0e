/** Whom the console lets in, and what of the outside comes into its pages. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type postgres from "postgres";
import { insertEvent, stackTest } from "../../supabase/tests/testing.ts";
import { createApp } from "./app.tsx";
import { csrfIn, openConsole, PAGES } from "./client_for_tests.ts";
import { newKeys } from "./guard.ts";

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

Deno.test("an error of the console's own is for the terminal, not for the page", async () => {
  const reports: string[] = [];
  const keys = newKeys();
  const sql = {
    begin: () => Promise.reject(new TypeError("a word about a password")),
  } as unknown as postgres.Sql;
  const app = createApp({
    sql,
    port: 1,
    keys,
    report: ({ message }) => reports.push(message),
  });
  const response = await app.request("http://127.0.0.1:1/", {
    headers: { host: "127.0.0.1:1", cookie: `luma_console_1=${keys.session}` },
  });
  assertEquals(response.status, 500);
  assertEquals((await response.text()).includes("password"), false);
  assertEquals(reports, ["a word about a password"]);
});

/** The status of a request that fetch() would not send. */
async function rawStatus(port: number, request: string): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request));
  const text = await new Response(connection.readable).text();
  return Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
}
