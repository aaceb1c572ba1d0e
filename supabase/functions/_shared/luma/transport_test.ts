import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { MAX_BODY_BYTES, type RateLimitState } from "./answer.ts";
import { createLumaClient, type LumaClient } from "./client.ts";
import { LumaError } from "./errors.ts";
import { TEST_KEY, withRawServer, withServer } from "./testing.ts";

const create = (luma: LumaClient) =>
  luma.createEvent({
    name: "Run",
    start_at: "2026-12-01T01:30:00Z",
    timezone: "UTC",
  });
const read = (luma: LumaClient) => luma.getSelf();

/** The error of a call, after the check that nothing in it quotes the key. */
async function errorOf(work: () => Promise<unknown>): Promise<LumaError> {
  const error = await assertRejects(work, LumaError);
  assert(!Deno.inspect(error).includes(TEST_KEY), error.message);
  assert(!JSON.stringify(error).includes(TEST_KEY), error.message);
  return error;
}

const facts = (error: LumaError) => ({
  kind: error.kind,
  status: error.status,
  maybeApplied: error.maybeApplied,
  message: error.message,
});

const answering = (body: BodyInit, init: ResponseInit) => () =>
  new Response(body, init);

Deno.test("a refused create carries Luma's message and surely had no effect", async () => {
  const body = JSON.stringify({ message: "name is required" });
  const error = await errorOf(() =>
    withServer(answering(body, { status: 400 }), create)
  );
  assertEquals(facts(error), {
    kind: "http",
    status: 400,
    maybeApplied: false,
    message: "POST /v1/events/create answered 400: name is required",
  });
  assertEquals(error.lumaMessage, "name is required");
  assertEquals(error.route, "POST /v1/events/create");
});

Deno.test("a key that Luma quotes while refusing it is taken out", async () => {
  const body = JSON.stringify({ message: `Unknown key ${TEST_KEY}.` });
  const error = await errorOf(() =>
    withServer(answering(body, { status: 401 }), read)
  );
  assertEquals(error.lumaMessage, "Unknown key [API key].");
  assertEquals(error.status, 401);
});

Deno.test("a key quoted in the failure of fetch is taken out", async () => {
  const luma = createLumaClient({
    apiKey: TEST_KEY,
    baseUrl: "http://127.0.0.1",
    fetch: () => Promise.reject(`refused ${TEST_KEY}`),
  });
  const error = await assertRejects(() => luma.getSelf(), LumaError);
  assertEquals(
    error.message,
    "GET /v1/users/get-self failed before a complete answer: refused [API key]",
  );
});

Deno.test("a 429 carries Retry-After in seconds and what is left of the window", async () => {
  const states: RateLimitState[] = [];
  const headers = {
    "retry-after": "42",
    "x-ratelimit-limit": "200",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": "1796000000",
  };
  const error = await errorOf(() =>
    withServer(answering("{}", { status: 429, headers }), create, {
      onRateLimit: (state) => states.push(state),
    })
  );
  assertEquals(error.retryAfterSeconds, 42);
  assertEquals(error.maybeApplied, false);
  assertEquals(states, [{
    limit: 200,
    remaining: 0,
    resetAt: new Date(1796000000 * 1000),
  }]);
});

Deno.test("a 429 may name a date to wait for", async () => {
  const date = new Date(Date.now() + 30_000).toUTCString();
  const headers = { "retry-after": date };
  const error = await errorOf(() =>
    withServer(answering("", { status: 429, headers }), read)
  );
  const seconds = error.retryAfterSeconds ?? -1;
  // The date is cut to whole seconds, and some time has passed since.
  assert(seconds >= 20 && seconds <= 30, `${seconds}`);
});

Deno.test("a 500 to a POST may have taken effect, to a GET it has not", async () => {
  const server = answering("<html>Bad gateway</html>", { status: 502 });
  assertEquals(facts(await errorOf(() => withServer(server, create))), {
    kind: "http",
    status: 502,
    maybeApplied: true,
    message: "POST /v1/events/create answered 502",
  });
  assertEquals(
    (await errorOf(() => withServer(server, read))).maybeApplied,
    false,
  );
});

Deno.test("a success that is not JSON is an invalid response, and a POST may have taken effect", async () => {
  const error = await errorOf(() =>
    withServer(answering("<html></html>", { status: 200 }), create)
  );
  assertEquals(facts(error), {
    kind: "invalid_response",
    status: 200,
    maybeApplied: true,
    message: "POST /v1/events/create answered 200 but the body is not JSON",
  });
});

Deno.test("a success without what the product relies on names the field and not its value", async () => {
  const error = await errorOf(() =>
    withServer(answering(`{"id": 7312}`, { status: 200 }), create)
  );
  assertEquals(error.kind, "invalid_response");
  assertMatch(error.message, /not as documented: id: .*expected string/);
  assert(!error.message.includes("7312"));
});

Deno.test("a body without end is not read to its end", async () => {
  const chunk = new Uint8Array(1024 * 1024);
  let sent = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          sent += chunk.length;
          controller.enqueue(chunk);
        },
      }),
    );
  const error = await errorOf(() => withServer(endless, read));
  assertEquals(error.kind, "invalid_response");
  assertEquals(error.status, 200);
  assertMatch(error.message, new RegExp(`longer than ${MAX_BODY_BYTES} bytes`));
  assert(sent > MAX_BODY_BYTES);
});

Deno.test("an answer that never comes is a timeout, and a POST may have taken effect", async () => {
  const error = await errorOf(() =>
    withRawServer("", "hold", create, { timeoutMs: 50 })
  );
  assertEquals(facts(error), {
    kind: "timeout",
    status: null,
    maybeApplied: true,
    message: "POST /v1/events/create gave no complete answer within 0.05 s",
  });
});

const HALF_A_BODY =
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"id":';

Deno.test("a body that stops half-way is a timeout too", async () => {
  const error = await errorOf(() =>
    withRawServer(HALF_A_BODY, "hold", create, { timeoutMs: 50 })
  );
  assertEquals([error.kind, error.maybeApplied], ["timeout", true]);
});

Deno.test("the timeout ends the wait for a fetch and a body that ignore the signal", async () => {
  const stuck = new Response(
    new ReadableStream({ pull: () => new Promise(() => {}) }),
  );
  for (
    const never of [new Promise<Response>(() => {}), Promise.resolve(stuck)]
  ) {
    let told: AbortSignal | null | undefined;
    const luma = createLumaClient({
      apiKey: TEST_KEY,
      baseUrl: "http://127.0.0.1",
      fetch: (_, init) => {
        told = init?.signal;
        return never;
      },
      timeoutMs: 20,
    });
    assertEquals((await errorOf(() => read(luma))).kind, "timeout");
    assert(told?.aborted);
  }
});

Deno.test("a status survives an error body that never ends", async () => {
  const head =
    "HTTP/1.1 429 Slow down\r\nretry-after: 60\r\ncontent-length: 100\r\n\r\n{";
  const error = await errorOf(() =>
    withRawServer(head, "hold", create, { timeoutMs: 50 })
  );
  assertEquals([error.kind, error.status, error.retryAfterSeconds], [
    "http",
    429,
    60,
  ]);
});

Deno.test("a connection that drops before or within the answer is a network error", async () => {
  for (const bytes of ["", HALF_A_BODY]) {
    const error = await errorOf(() => withRawServer(bytes, "close", create));
    assertEquals([error.kind, error.status, error.maybeApplied], [
      "network",
      null,
      true,
    ]);
    assert(error.cause instanceof Error);
  }
});

Deno.test("a network error tells the reason, and not the e-mail that was asked for", async () => {
  const error = await errorOf(() =>
    withRawServer(
      "",
      "close",
      (luma) => luma.getGuest("evt-1", "me@example.com"),
    )
  );
  assertMatch(error.message, /connection closed before message completed/);
  assert(!/example/.test(error.message), error.message);
});

Deno.test("a redirect is not followed, because it would carry the key elsewhere", async () => {
  let calls = 0;
  const error = await errorOf(() =>
    withServer(() => {
      calls++;
      return new Response(null, {
        status: 302,
        headers: { location: "/elsewhere" },
      });
    }, read)
  );
  assertEquals([error.kind, error.status, calls], ["http", 302, 1]);
});

Deno.test("the caller can abort a call, and one aborted before it was sent had no effect", async () => {
  const controller = new AbortController();
  const sent = await errorOf(() =>
    withRawServer(
      "",
      "hold",
      (luma) =>
        luma.createEventTag({ name: "food" }, { signal: controller.signal }),
      {
        fetch(input, init) {
          const answer = fetch(input, init);
          controller.abort("stopping");
          return answer;
        },
      },
    )
  );
  assertEquals([sent.kind, sent.maybeApplied, sent.cause], [
    "network",
    true,
    "stopping",
  ]);
  const unsent = await errorOf(() =>
    withServer(
      () => Response.json({ id: "tag-1" }),
      (luma) =>
        luma.createEventTag({ name: "food" }, { signal: controller.signal }),
    )
  );
  assertEquals([unsent.kind, unsent.maybeApplied], ["network", false]);
});

Deno.test("a LumaError of the injected fetch is passed on as it is", async () => {
  const refused = new LumaError({
    kind: "network",
    route: "POST /v1/events/create",
    detail: "was not sent: no permit left",
    sent: false,
  });
  const luma = createLumaClient({
    apiKey: TEST_KEY,
    baseUrl: "http://127.0.0.1",
    fetch: () => Promise.reject(refused),
  });
  assert(await errorOf(() => create(luma)) === refused);
  assertEquals(refused.maybeApplied, false);
});
