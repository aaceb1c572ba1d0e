import { assertEquals } from "@std/assert";
import { storable, storableJson } from "./storable.ts";

Deno.test("what Postgres cannot store goes from texts and from names, at any depth", () => {
  const odd = { "a\0b": ["\ud800x", { "\udc00": null }], n: 1, s: "\0" };
  const clean = { ab: ["\ufffdx", { "\ufffd": null }], n: 1, s: "" };
  assertEquals(JSON.parse(storableJson(odd)), clean);
  const text = JSON.stringify(odd);
  assertEquals(JSON.parse(text, (_name, value) => storable(value)), clean);
  assertEquals(
    storableJson({ at: new Date(0) }),
    '{"at":"1970-01-01T00:00:00.000Z"}',
  );
});
