import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createLumaClient } from "./client.ts";
import { LumaError } from "./errors.ts";
import { EVENT, GUEST, TEST_KEY, withServer } from "./testing.ts";

Deno.test("what is absent stays absent, what is null stays null, and unknown fields stay", async () => {
  const answer = {
    ...EVENT,
    meeting_url: null,
    max_tables: 4,
    geo_address_json: { address: "Hall 1", floor: 2 },
  };
  const event = await withServer(
    () => Response.json(answer),
    (luma) => luma.getEvent("evt-1"),
  );
  assertEquals(event, answer);
  assert(!("description_md" in event));
});

Deno.test("a word that Luma has added since does not make a page unreadable", async () => {
  const list = await withServer(
    () =>
      Response.json({
        entries: [{ ...GUEST, approval_status: "on_hold" }],
        has_more: false,
      }),
    (luma) => luma.listGuests("evt-1"),
  );
  assertEquals(list.entries[0]?.approval_status, "on_hold");
});

Deno.test("a page that announces more without a cursor is refused, so that no list is cut off unseen", async () => {
  const error = await assertRejects(
    () =>
      withServer(
        () => Response.json({ entries: [EVENT], has_more: true }),
        (luma) => luma.listEvents(),
      ),
    LumaError,
    "next_cursor: missing although has_more is true",
  );
  assertEquals([error.kind, error.maybeApplied], ["invalid_response", false]);
});

Deno.test("a slug belongs to an event, to a calendar, or to nothing", async () => {
  const found = { type: "event", event: { id: "evt-9", name: "Run" } };
  const calendar = {
    type: "calendar",
    calendar: { id: "cal-9", name: "Runs" },
  };
  const ids = [];
  for (const entity of [found, calendar, null]) {
    ids.push(
      await withServer(
        () => Response.json({ entity }),
        (luma) => luma.lookupSlug("run"),
      ),
    );
  }
  assertEquals(ids, ["evt-9", null, null]);
});

Deno.test("a found event without an id is refused rather than taken for a free slug", async () => {
  await assertRejects(
    () =>
      withServer(
        () => Response.json({ entity: { type: "event", event: {} } }),
        (luma) => luma.lookupSlug("run"),
      ),
    LumaError,
    "entity.event.id",
  );
});

Deno.test("an image goes to its upload address without the key, and not by the fetch that is counted", async () => {
  let seen: unknown;
  await withServer(async (request) => {
    seen = {
      method: request.method,
      bytes: [...await request.bytes()],
      type: request.headers.get("content-type"),
      key: request.headers.get("x-luma-api-key"),
    };
    return new Response();
  }, (luma, baseUrl) => {
    const bytes = new Uint8Array([1, 2, 3]);
    return luma.uploadImage(`${baseUrl}/put`, bytes, "image/png");
  }, { fetch: () => Promise.reject(new Error("counted as a call to Luma")) });
  assertEquals(seen, {
    method: "PUT",
    bytes: [1, 2, 3],
    type: "image/png",
    key: null,
  });
});

Deno.test("an upload that is refused says so with its status", async () => {
  const error = await assertRejects(
    () =>
      createLumaClient({
        apiKey: TEST_KEY,
        baseUrl: "http://127.0.0.1",
        uploadFetch: () =>
          Promise.resolve(
            new Response("<Error>expired</Error>", { status: 403 }),
          ),
      }).uploadImage("https://up.example/1", new Uint8Array(1), "image/png"),
    LumaError,
    "PUT upload_url answered 403",
  );
  assertEquals([error.kind, error.status, error.lumaMessage], [
    "http",
    403,
    null,
  ]);
});

Deno.test("a key or an address that cannot be used is named before anything is sent", () => {
  for (const apiKey of ["", "two words", "line\n", "ключ"]) {
    const error = assertThrows(
      () => createLumaClient({ apiKey, baseUrl: "https://luma.example" }),
      TypeError,
      "apiKey must be",
    );
    assert(apiKey === "" || !error.message.includes(apiKey));
  }
  for (const baseUrl of ["", "public-api.luma.com", "ftp://luma.example"]) {
    assertThrows(
      () => createLumaClient({ apiKey: TEST_KEY, baseUrl }),
      TypeError,
      `baseUrl is "${baseUrl}" but must be`,
    );
  }
});
