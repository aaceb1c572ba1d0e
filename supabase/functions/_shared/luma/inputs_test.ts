import { assertEquals } from "@std/assert";
import { EventChanges, EventInput } from "./inputs.ts";

const EVENT = {
  name: "Run",
  start_at: "2026-12-01T07:00:00+05:30",
  timezone: "Asia/Kolkata",
};

/** The fields that a schema refuses, as dotted paths. */
function refused(value: object): string[] {
  const result = EventInput.safeParse({ ...EVENT, ...value });
  return result.error?.issues.map((issue) => issue.path.join(".")) ?? [];
}

Deno.test("an event that Luma would refuse is refused with the field's name", () => {
  assertEquals(refused({}), []);
  assertEquals(refused({ name: "" }), ["name"]);
  assertEquals(refused({ start_at: "tomorrow" }), ["start_at"]);
  assertEquals(refused({ slug: "ab" }), ["slug"]);
  assertEquals(refused({ slug: "a".repeat(51) }), ["slug"]);
  assertEquals(refused({ visibility: "secret" }), ["visibility"]);
  assertEquals(refused({ max_capacity: 1.5 }), ["max_capacity"]);
  assertEquals(refused({ coordinate: { longitude: 181, latitude: 0 } }), [
    "coordinate.longitude",
  ]);
  assertEquals(refused({ cover_url: "https://example.com/a.png" }), [
    "cover_url",
  ]);
  assertEquals(refused({ geo_address_json: { type: "manual" } }), [
    "geo_address_json.address",
  ]);
});

Deno.test("(0, 0) is a place and a cover on Luma's CDN is taken", () => {
  assertEquals(refused({ coordinate: { longitude: 0, latitude: 0 } }), []);
  const cover_url = "https://images.lumacdn.com/uploads/a.png";
  assertEquals(refused({ cover_url }), []);
});

Deno.test("changes keep what is absent absent and null null", () => {
  assertEquals(EventChanges.parse({ max_capacity: null }), {
    max_capacity: null,
  });
  assertEquals(EventChanges.parse({}), {});
});
