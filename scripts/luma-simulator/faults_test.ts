import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ApiError } from "./errors.ts";
import { BLR, EVENT, withSimulator } from "./testing.ts";

const CREATE = "/v1/events/create";

Deno.test("a connection closed after the effect leaves the event, and the client with an error", async () => {
  await withSimulator({}, async ({ post, get, simulator }) => {
    const fault = simulator.faults.add({
      path: CREATE,
      close: true,
      when: "after",
    });
    await assertRejects(() => post(CREATE, { ...EVENT, slug: "my-event" }));
    fault.remove();
    const [request] = simulator.requests;
    assertEquals([request?.status, request?.outcome, request?.fault], [
      null,
      "closed",
      fault.id,
    ]);
    const [event] = simulator.events();
    const found = await get("/v1/entity/lookup", { slug: "my-event" });
    const entity = found.body["entity"] as { event: { id: string } };
    assertEquals(entity.event.id, event?.id);
  });
});

Deno.test("a connection closed before the effect leaves nothing", async () => {
  await withSimulator({}, async ({ post, simulator }) => {
    simulator.faults.add({ path: CREATE, close: true, count: 1 });
    await assertRejects(() => post(CREATE, EVENT));
    assertEquals(simulator.events(), []);
    assertEquals((await post(CREATE, EVENT)).status, 200);
  });
});

Deno.test("nth and count choose the requests, and other paths, methods and calendars are spared", async () => {
  await withSimulator({}, async ({ post, get, simulator }) => {
    const fault = simulator.faults.add({
      method: "POST",
      path: "/v1/events/*",
      calendar: BLR,
      nth: 2,
      count: 2,
      status: 503,
      message: "down",
    });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) {
      statuses.push((await post(CREATE, EVENT)).status);
    }
    assertEquals(statuses, [200, 503, 503, 200]);
    assertEquals(fault.hits, 2);
    simulator.faults.add({
      method: "POST",
      path: CREATE,
      calendar: BLR,
      status: 500,
    });
    assertEquals((await post(CREATE, EVENT, "luma-key-zo-events")).status, 200);
    assertEquals((await get("/v1/calendars/get")).status, 200);
    const last = await post(CREATE, EVENT);
    assertEquals([last.status, last.body], [500, {
      message: "simulated failure",
    }]);
  });
});

Deno.test("chance hits a share of the requests, the same ones for the same seed", async () => {
  const statusesOf = async (seed: number) => {
    const statuses: number[] = [];
    await withSimulator(
      { seed, rateLimitPerMinute: 1_000 },
      async ({ get, simulator }) => {
        simulator.faults.add({ chance: 0.3, status: 503 });
        for (let i = 0; i < 100; i++) {
          statuses.push((await get("/v1/calendars/get")).status);
        }
      },
    );
    return statuses;
  };
  const first = await statusesOf(1);
  const hit = first.filter((status) => status === 503).length;
  assert(hit > 15 && hit < 45, `${hit} of 100`);
  assertEquals(await statusesOf(1), first);
  assertNotEquals(await statusesOf(2), first);
});

Deno.test("contains hits the requests whose raw body holds the text, and only those are counted", async () => {
  await withSimulator({}, async ({ create, post, get, simulator }) => {
    const event_id = await create();
    const fault = simulator.faults.add({
      path: "/v1/events/guests/*",
      contains: "bad@example.org",
      nth: 2,
      status: 400,
      message: "guests.1.email: bounces",
    });
    const add = async (...emails: string[]) => {
      const guests = emails.map((email) => ({ email }));
      const body = { event_id, guests, send_email: false };
      return (await post("/v1/events/guests/add", body)).status;
    };
    assertEquals(await add("bad@example.org"), 200);
    assertEquals(await add("ann@example.org"), 200);
    assertEquals(await add("ann@example.org", "bad@example.org"), 400);
    assertEquals(await add("ann@example.org", "BAD@example.org"), 200);
    const query = { event_id, id: "bad@example.org" };
    assertEquals((await get("/v1/events/guests/get", query)).status, 200);
    assertEquals(fault.hits, 1);
  });
});

Deno.test("a 429 at will carries Retry-After", async () => {
  await withSimulator({}, async ({ get, simulator }) => {
    simulator.faults.add({ status: 429, retryAfterS: 7 });
    const answer = await get("/v1/calendars/get");
    assertEquals([answer.status, answer.headers.get("retry-after")], [
      429,
      "7",
    ]);
    assertEquals(answer.headers.get("x-ratelimit-remaining"), "199");
  });
});

Deno.test("latency holds the answer back for its time", async () => {
  await withSimulator({}, async ({ get, simulator }) => {
    simulator.faults.add({ latencyMs: 80 });
    const before = performance.now();
    assertEquals((await get("/v1/calendars/get")).status, 200);
    const took = performance.now() - before;
    assertEquals(took >= 75, true, `answered after ${took} ms`);
  });
});

Deno.test("a request held after its effect can lose its client, and is recorded so", async () => {
  await withSimulator({}, async ({ simulator }) => {
    const fault = simulator.faults.add({
      path: CREATE,
      hang: true,
      when: "after",
    });
    const client = new AbortController();
    const answer = fetch(simulator.url + CREATE, {
      method: "POST",
      body: JSON.stringify(EVENT),
      headers: {
        "x-luma-api-key": "luma-key-blr",
        "content-type": "application/json",
      },
      signal: client.signal,
    });
    const failed = assertRejects(() => answer);
    await fault.waitForHit();
    assertEquals(simulator.events().length, 1);
    client.abort();
    await failed;
    const request = await simulator.waitForRequest((r) =>
      r.outcome === "client-gone"
    );
    assertEquals(request.status, null);
    fault.release();
    // What was worked off is told all the same.
    await simulator.waitForRequest((r) => r.status === 200);
    assertEquals(request.outcome, "client-gone");
  });
});

Deno.test("a request held before its effect goes on when it is released", async () => {
  await withSimulator({}, async ({ post, simulator }) => {
    const fault = simulator.faults.add({ path: CREATE, hang: true });
    const answer = post(CREATE, EVENT);
    await fault.waitForHit();
    assertEquals(simulator.events(), []);
    fault.release();
    assertEquals((await answer).status, 200);
    assertEquals(simulator.events().length, 1);
  });
});

Deno.test("stopping closes held requests without their effect", async () => {
  await withSimulator({}, async ({ post, simulator }) => {
    const fault = simulator.faults.add({ path: CREATE, hang: true });
    const answer = assertRejects(() => post(CREATE, EVENT));
    await fault.waitForHit();
    await simulator.stop();
    await answer;
    assertEquals(simulator.events(), []);
  });
});

Deno.test("a fault without an effect, or with an unknown or wrong field, is refused", async () => {
  await withSimulator({}, ({ simulator }) => {
    assertThrows(
      () => simulator.faults.add({ path: CREATE }),
      ApiError,
      "needs an effect: one of latencyMs, status, close, hang",
    );
    const typo = { path: CREATE, status: 500, times: 3 };
    assertThrows(
      () => simulator.faults.add(typo),
      ApiError,
      'unknown field "times"',
    );
    assertThrows(
      () => simulator.faults.add({ contains: "", status: 500 }),
      ApiError,
      "contains: Too small",
    );
    const webhooks = { on: "webhook" as const, contains: "a", drop: true };
    assertThrows(
      () => simulator.faults.add(webhooks),
      ApiError,
      'unknown field "contains"',
    );
    return Promise.resolve();
  });
});

Deno.test("waiting finds requests of the past, and in vain says what was seen", async () => {
  await withSimulator({}, async ({ get, simulator }) => {
    await get("/v1/calendars/get");
    const past = await simulator.waitForRequest((r) => r.status === 200, 10);
    assertEquals(past.path, "/v1/calendars/get");
    const error = await assertRejects(
      () => simulator.waitForRequest((r) => r.path === CREATE, 10),
      Error,
    );
    assertStringIncludes(error.message, "GET /v1/calendars/get 200");
  });
});
