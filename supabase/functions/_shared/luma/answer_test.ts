import { assertEquals } from "@std/assert";
import {
  MAX_BODY_BYTES,
  messageIn,
  rateLimitState,
  readBody,
  retryAfterSeconds,
} from "./answer.ts";

const NOW = new Date("2026-12-01T12:00:00Z");

Deno.test("Retry-After is seconds or an HTTP date, never negative, and null when unreadable", () => {
  const read = (header: string | null) => retryAfterSeconds(header, NOW);
  assertEquals(read("60"), 60);
  assertEquals(read("Tue, 01 Dec 2026 12:01:30 GMT"), 90);
  assertEquals(read("Tue, 01 Dec 2026 11:00:00 GMT"), 0);
  assertEquals(read("soon"), null);
  assertEquals(read(null), null);
});

Deno.test("X-RateLimit-Reset is read as Unix seconds, Unix milliseconds, or seconds to go", () => {
  const at = new Date("2026-12-01T12:00:45Z");
  for (const reset of [at.getTime() / 1000, at.getTime(), 45]) {
    const headers = new Headers({ "x-ratelimit-reset": String(reset) });
    assertEquals(rateLimitState(headers, NOW), {
      limit: null,
      remaining: null,
      resetAt: at,
    });
  }
});

Deno.test("an answer without rate-limit headers tells nothing about the limit", () => {
  assertEquals(rateLimitState(new Headers(), NOW), null);
  const broken = new Headers({ "x-ratelimit-limit": "many" });
  assertEquals(rateLimitState(broken, NOW), null);
});

Deno.test("Luma's words are found in JSON and in plain text, and pages of HTML are not words", () => {
  assertEquals(messageIn('{"message":"slug is taken"}'), "slug is taken");
  assertEquals(messageIn('{"error":"no such event"}'), "no such event");
  assertEquals(messageIn(" Not found \n"), "Not found");
  for (
    const body of ["", "<!doctype html>", "{}", "null", "[1]", '{"message":1}']
  ) {
    assertEquals(messageIn(body), null, body);
  }
  assertEquals(messageIn("x".repeat(600))?.length, 500);
});

Deno.test("a body is read up to the bound and no further", async () => {
  const body = "x".repeat(MAX_BODY_BYTES);
  assertEquals((await readBody(new Response(body)))?.length, MAX_BODY_BYTES);
  assertEquals(await readBody(new Response(body + "x")), null);
  assertEquals(await readBody(new Response()), "");
});
