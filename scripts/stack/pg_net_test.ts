import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type postgres from "postgres";
import { type Stack, startStack } from "./mod.ts";
import { eventually, makeTestProject } from "./test_project.ts";

interface TestServer extends AsyncDisposable {
  url: string;
  /** The paths asked for, with their bodies. */
  calls: { path: string; body: string; headers: Headers }[];
  /** Lets the requests to /held be answered. */
  release: () => void;
}

function startServer(): TestServer {
  const calls: TestServer["calls"] = [];
  const held = Promise.withResolvers<void>();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
  }, async (request) => {
    const { pathname, search } = new URL(request.url);
    calls.push({
      path: pathname + search,
      body: await request.text(),
      headers: request.headers,
    });
    if (pathname === "/held") await held.promise;
    return new Response("answer", { status: 201 });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    calls,
    release: held.resolve,
    [Symbol.asyncDispose]: () => {
      held.resolve();
      return server.shutdown();
    },
  };
}

interface ResponseRow {
  status_code: number | null;
  content_type: string | null;
  content: string | null;
  timed_out: boolean;
  error_msg: string | null;
}

function responseTo(sql: postgres.Sql, id: string): Promise<ResponseRow> {
  return eventually(`a response to request ${id}`, async () => {
    const [row] = await sql<
      ResponseRow[]
    >`select * from net._http_response where id = ${id}`;
    return row;
  });
}

async function queue(
  sql: postgres.ISql,
  url: string,
  timeoutMs = 5000,
): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    select net.http_get(${url}, timeout_milliseconds := ${timeoutMs}) as id`;
  return row?.id ?? "";
}

async function withStack(
  test: (stack: Stack, server: TestServer) => Promise<void>,
): Promise<void> {
  await using project = await makeTestProject();
  await using server = startServer();
  await using stack = await startStack({
    root: project.root,
    postgres: "npm",
    dataApi: false,
    simulator: false,
  });
  await test(stack, server);
}

Deno.test("the pg_net stand-in", async (t) => {
  await withStack(async (stack, server) => {
    const { sql } = stack;
    const paths = () => server.calls.map(({ path }) => path);

    await t.step(
      "sends a POST with its body, parameters and headers, and records the answer",
      async () => {
        const [row] = await sql<{ id: string }[]>`
        select net.http_post(
          ${
          server.url + "/post"
        }, '{"a": "é"}'::jsonb, '{"q": "a b&é"}'::jsonb, '{"x-key": "k"}'::jsonb
        ) as id`;
        const response = await responseTo(sql, row?.id ?? "");
        assertEquals(response.status_code, 201);
        assertEquals(response.content, "answer");
        assertEquals([response.timed_out, response.error_msg], [false, null]);
        const [call] = server.calls;
        assertEquals(call?.path, "/post?q=a%20b%26%C3%A9");
        assertEquals(JSON.parse(call?.body ?? ""), { a: "é" });
        assertEquals(call?.headers.get("x-key"), "k");
        assertEquals(call?.headers.get("content-type"), "application/json");
        const [left] =
          await sql`select count(*)::int from net.http_request_queue`;
        assertEquals(left?.count, 0);
      },
    );

    await t.step(
      "sends after commit only, and never what was rolled back",
      async () => {
        await sql.begin(async (open) => {
          await queue(open, server.url + "/open");
          // By the time a later request is answered, an early one would have been sent too.
          await responseTo(sql, await queue(sql, server.url + "/other-1"));
          assertEquals(paths().includes("/open"), false);
        });
        await eventually(
          "the committed request",
          () => Promise.resolve(paths().includes("/open")),
        );
        await sql.begin(async (open) => {
          await queue(open, server.url + "/rolled-back");
          throw new Error("undone");
        }).catch((error) => assertEquals(error.message, "undone"));
        await responseTo(sql, await queue(sql, server.url + "/other-2"));
        assertEquals(paths().includes("/rolled-back"), false);
      },
    );

    await t.step(
      "shows no answer of a batch before its slowest has ended",
      async () => {
        const ids = await sql.begin(async (open) => [
          await queue(open, server.url + "/held"),
          await queue(open, server.url + "/quick"),
        ]);
        await eventually(
          "the quick call",
          () => Promise.resolve(paths().includes("/quick")),
        );
        const late = await queue(sql, server.url + "/late");
        const [shown] =
          await sql`select count(*)::int from net._http_response where id = any(${ids})`;
        assertEquals(shown?.count, 0);
        assertEquals(paths().includes("/late"), false);
        server.release();
        for (const id of [...ids, late]) {
          assertEquals((await responseTo(sql, id)).status_code, 201);
        }
      },
    );

    await t.step(
      "records a timeout and a refused connection",
      async () => {
        await using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
        const url = `http://127.0.0.1:${silent.addr.port}/`;
        const timedOut = await responseTo(sql, await queue(sql, url, 100));
        assertEquals([timedOut.status_code, timedOut.timed_out], [null, true]);
        assertMatch(timedOut.error_msg ?? "", /Timeout of 100 ms reached/);
        const refused = await responseTo(
          sql,
          await queue(sql, "http://127.0.0.1:1/"),
        );
        assertEquals([refused.status_code, refused.timed_out], [null, false]);
        assert(refused.error_msg);
      },
    );

    await t.step(
      "raises 23502 for a null address, as the real one does",
      async () => {
        const error = await assertRejects(() =>
          Promise.resolve(sql`select net.http_post(null::text)`)
        );
        assertEquals((error as { code?: string }).code, "23502");
      },
    );

    await t.step("refuses a content type other than JSON", async () => {
      await assertRejects(
        () =>
          Promise.resolve(
            sql`select net.http_post('http://x', headers := '{"content-type": "text/xml"}')`,
          ),
        Error,
        'Content-Type header must be "application/json"',
      );
    });

    await t.step(
      "keeps what is queued while paused, and while Postgres restarts",
      async () => {
        stack.net.pause();
        const held = await queue(sql, server.url + "/while-paused");
        await assertRejects(() =>
          eventually(
            "nothing",
            () => Promise.resolve(paths().includes("/while-paused")),
            300,
          )
        );
        stack.net.resume();
        assertEquals((await responseTo(sql, held)).status_code, 201);
        await stack.stopPostgres();
        await stack.startPostgres();
        await sql`select net.wait_until_running()`;
        assertEquals(
          (await responseTo(sql, await queue(sql, server.url + "/after")))
            .status_code,
          201,
        );
      },
    );

    await t.step(
      "loses its queue when Postgres crashes, as unlogged tables do",
      async () => {
        stack.net.pause();
        await queue(sql, server.url + "/lost");
        await stack.stopPostgres("SIGQUIT");
        await stack.startPostgres();
        const [left] =
          await sql`select count(*)::int from net.http_request_queue`;
        assertEquals(left?.count, 0);
      },
    );
  });
});
