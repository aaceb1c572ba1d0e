import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import { TEST_KEY, withServer } from "../luma/testing.ts";
import { toFailure } from "./failure.ts";
import { RowError } from "./mapping.ts";

const ROUTE = "POST /v1/events/update";

/** A Luma that answers getSelf so. */
function luma(answer: () => Promise<{ id: string }>) {
  const asked: string[] = [];
  const getSelf = () => {
    asked.push("getSelf");
    return answer();
  };
  return { getSelf, asked };
}

const works = () => Promise.resolve({ id: "usr-1" });
const http = (status: number, route = ROUTE) =>
  new LumaError({ kind: "http", route, status, lumaMessage: "says Luma" });

Deno.test("a row that cannot be shown is told in its own words, without asking Luma", async () => {
  const client = luma(works);
  assertEquals(await toFailure(new RowError("title is empty"), "blr", client), {
    kind: "invalid_row",
    message: "title is empty",
  });
  assertEquals(client.asked, []);
});

Deno.test("an error of another kind may have happened after a call", async () => {
  for (const error of [new TypeError("x is not a function"), "x is not a"]) {
    const failure = await toFailure(error, "blr", luma(works));
    assertEquals(failure.kind, "internal");
    assertStringIncludes(failure.message, "x is not a");
  }
});

Deno.test("every kind of LumaError keeps its kind, status and words", async () => {
  const timeout = new LumaError({
    kind: "timeout",
    route: ROUTE,
    detail: "took longer than 10 s",
  });
  assertEquals(await toFailure(timeout, "blr", luma(works)), {
    kind: "timeout",
    status: null,
    message: "POST /v1/events/update took longer than 10 s",
    retry_after: null,
  });
  for (const kind of ["network", "invalid_response"] as const) {
    const error = new LumaError({ kind, route: "GET /v1/x", sent: false });
    const failure = await toFailure(error, "blr", luma(works));
    assertEquals(failure.kind, kind);
  }
  const limited = new LumaError({
    kind: "http",
    route: ROUTE,
    status: 429,
    retryAfterSeconds: 37,
  });
  assertEquals(await toFailure(limited, "blr", luma(works)), {
    kind: "http",
    status: 429,
    message: "POST /v1/events/update answered 429",
    retry_after: 37,
  });
  const failed = await toFailure(http(502), "blr", luma(works));
  assertEquals(failed.status, 502);
});

Deno.test("401 is the key's trouble: the message names its setting and how to go on", async () => {
  const client = luma(works);
  const failure = await toFailure(http(401), "zo_events", client);
  assertEquals([failure.kind, failure.status], ["http", 401]);
  assertStringIncludes(failure.message, "answered 401: says Luma");
  assertStringIncludes(failure.message, "LUMA_ZO_EVENTS_API_KEY");
  assertStringIncludes(failure.message, "luma.resume('zo_events')");
  assertEquals(client.asked, []);
});

Deno.test("403 with a key that works is about this event alone", async () => {
  const client = luma(works);
  const failure = await toFailure(http(403), "blr", client);
  assertEquals([failure.kind, failure.status], ["refused", 403]);
  assertEquals(
    failure.message,
    "POST /v1/events/update answered 403: says Luma",
  );
  assertEquals(client.asked, ["getSelf"]);
});

Deno.test("403 with a key that Luma refuses everywhere is the key's trouble", async () => {
  for (const status of [401, 403]) {
    const refused = luma(() => Promise.reject(http(status, "GET /v1/x")));
    const failure = await toFailure(http(403), "blr", refused);
    assertEquals([failure.kind, failure.status], ["http", 403]);
    assertStringIncludes(failure.message, "LUMA_BLR_API_KEY");
  }
});

Deno.test("403 while the key cannot be checked is no verdict: the job is tried again", async () => {
  const troubles = [
    http(500),
    http(429),
    new LumaError({ kind: "timeout", route: "GET /v1/users/get-self" }),
    new Error("the run's time is up"),
  ];
  for (const trouble of troubles) {
    const client = luma(() => Promise.reject(trouble));
    const failure = await toFailure(http(403), "blr", client);
    assertEquals(failure.kind, "internal");
    assertEquals(failure.message.includes("_API_KEY"), false);
  }
});

Deno.test("no message holds the key, though Luma quotes it", () =>
  withServer(
    () =>
      Response.json({ message: `no such key: ${TEST_KEY}` }, { status: 401 }),
    async (client) => {
      const error = await client.getCalendar().catch((error) => error);
      const failure = await toFailure(error, "blr", client);
      assert(!JSON.stringify(failure).includes(TEST_KEY), failure.message);
      assertStringIncludes(failure.message, "no such key");
    },
  ));
