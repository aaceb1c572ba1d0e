import { assertEquals } from "@std/assert";
import { RateLimiter } from "./rate_limit.ts";
import { EVENT, withSimulator } from "./testing.ts";

Deno.test("the request over the limit is refused and blocks the key for one minute from then", () => {
  let now = 1_000_000_000_000;
  const limiter = new RateLimiter(3, () => now);
  const remaining = [1, 2, 3].map(() =>
    limiter.take("key").headers["x-ratelimit-remaining"]
  );
  assertEquals(remaining, ["2", "1", "0"]);
  now += 50_000;
  const refused = limiter.take("key");
  assertEquals(refused, {
    allowed: false,
    headers: {
      "x-ratelimit-limit": "3",
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": "1000000110",
      "retry-after": "60",
    },
  });
  now += 59_999;
  assertEquals(limiter.take("key").allowed, false);
  assertEquals(limiter.take("key").headers["retry-after"], "1");
  now += 1;
  assertEquals(limiter.take("key"), {
    allowed: true,
    headers: {
      "x-ratelimit-limit": "3",
      "x-ratelimit-remaining": "2",
      "x-ratelimit-reset": "1000000170",
    },
  });
});

Deno.test("a key that stays below the limit starts afresh each minute", () => {
  let now = 0;
  const limiter = new RateLimiter(2, () => now);
  for (let minute = 0; minute < 3; minute++) {
    assertEquals(limiter.take("key").allowed, true);
    assertEquals(limiter.take("key").allowed, true);
    now += 60_000;
  }
});

Deno.test("GET and POST share one limit, each key has its own, and refused requests have no effect", async () => {
  const options = { rateLimitPerMinute: 2, now: () => 1_800_000_000_000 };
  await withSimulator(options, async ({ get, post, simulator }) => {
    assertEquals((await get("/v1/calendars/get")).status, 200);
    assertEquals((await post("/v1/events/create", {})).status, 400);
    const refused = await post("/v1/events/create", EVENT);
    assertEquals(refused.status, 429);
    assertEquals(refused.headers.get("retry-after"), "60");
    assertEquals(simulator.events(), []);
    const other = await get("/v1/calendars/get", {}, "luma-key-zo-events");
    assertEquals(other.status, 200);
    assertEquals(other.headers.get("x-ratelimit-remaining"), "1");
  });
});
