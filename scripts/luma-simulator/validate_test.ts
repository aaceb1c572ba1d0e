import { assertEquals, assertStringIncludes } from "@std/assert";
import { BLR, EVENT, withSimulator } from "./testing.ts";

const REFUSED: [why: string, body: unknown, message: string][] = [
  ["a missing field", { ...EVENT, name: undefined }, 'missing field "name"'],
  [
    "an unknown field",
    { ...EVENT, geo_latitude: "1" },
    'unknown field "geo_latitude"',
  ],
  ["a wrong type", { ...EVENT, name: 7 }, "name: "],
  [
    "null where the document has no null",
    { ...EVENT, coordinate: null },
    "coordinate: ",
  ],
  ["an empty name", { ...EVENT, name: "  " }, "name: must not be empty"],
  [
    "an unknown time zone",
    { ...EVENT, timezone: "Asia/Nowhere" },
    "timezone: not an IANA",
  ],
  [
    "an offset as time zone",
    { ...EVENT, timezone: "+05:30" },
    "timezone: not an IANA",
  ],
  [
    "a time without an offset",
    { ...EVENT, start_at: "2027-01-01T14:00:00" },
    "start_at: ",
  ],
  [
    "an end before the start",
    { ...EVENT, end_at: "2027-01-01T13:00:00Z" },
    "end_at: ",
  ],
  ["a latitude out of range", {
    ...EVENT,
    coordinate: { latitude: 90.1, longitude: 0 },
  }, "coordinate.latitude: "],
  ["an unknown field in a place", {
    ...EVENT,
    geo_address_json: { type: "manual", address: "x", city: "y" },
  }, 'unknown field "geo_address_json.city"'],
  ["a place of the old form", {
    ...EVENT,
    geo_address_json: { full_address: "x" },
  }, "geo_address_json.type"],
  [
    "a cover elsewhere",
    { ...EVENT, cover_url: "https://example.org/a.png" },
    "cover_url: must start with https://images.lumacdn.com/",
  ],
  ["a slug of two letters", { ...EVENT, slug: "ab" }, "slug: "],
  ["a slug of 51 letters", { ...EVENT, slug: "a".repeat(51) }, "slug: "],
  [
    "a slug that is no part of an address",
    { ...EVENT, slug: "a b/c" },
    "slug: may hold",
  ],
  [
    "a capacity that is no whole number",
    { ...EVENT, max_capacity: 1.5 },
    "max_capacity: ",
  ],
  ["an image outside the CDN in the description", {
    ...EVENT,
    description_md: "![a](https://example.org/a.png)",
  }, "description_md: the image"],
  ["a feedback delay over a week", {
    ...EVENT,
    feedback_email: { enabled: true, delay: "P8D" },
  }, "feedback_email.delay: "],
  ["no object", [EVENT], "body: "],
];

for (const [why, body, message] of REFUSED) {
  Deno.test(`events/create refuses ${why} with 400 and the field's name`, async () => {
    await withSimulator({}, async ({ post, simulator }) => {
      const answer = await post("/v1/events/create", body);
      assertEquals(answer.status, 400);
      assertStringIncludes(String(answer.body["message"]), message);
      assertEquals(simulator.events(), []);
    });
  });
}

Deno.test("the problem of a list's entry is named with its position", async () => {
  await withSimulator({}, async ({ post, create }) => {
    const answer = await post("/v1/events/guests/add", {
      event_id: await create(),
      guests: [{ email: "ann@example.org" }, { email: "nobody" }],
    });
    assertEquals(answer.status, 400);
    assertEquals(
      answer.body["message"],
      'guests.1.email: not an e-mail address (got "nobody")',
    );
  });
});

Deno.test("an unknown query parameter is refused", async () => {
  await withSimulator({}, async ({ get }) => {
    const answer = await get("/v1/calendars/events/list", { limit: "5" });
    assertEquals(answer.status, 400);
    assertEquals(answer.body["message"], 'unknown field "limit"');
  });
});

Deno.test("a missing or wrong key is 401, another calendar's event 403, an unknown event 404", async () => {
  await withSimulator({}, async ({ get, create, simulator }) => {
    const event_id = await create();
    const path = "/v1/events/get";
    assertEquals((await get(path, { event_id }, "nope")).status, 401);
    const bare = await fetch(`${simulator.url}${path}?event_id=${event_id}`);
    assertEquals(bare.status, 401);
    assertEquals(await bare.json(), {
      message: "the header x-luma-api-key is missing",
    });
    const foreign = await get(path, { event_id }, "luma-key-zo-events");
    assertEquals(foreign.status, 403);
    assertEquals((await get(path, { event_id: "evt-x" })).status, 404);
    assertEquals((await get(path, { event_id })).status, 200);
    assertEquals(simulator.requests.map((r) => r.status), [
      200,
      401,
      401,
      403,
      404,
      200,
    ]);
    assertEquals(simulator.requests[5]?.calendar, BLR);
  });
});

Deno.test("an unknown route and a known one with the wrong method are 404", async () => {
  await withSimulator({}, async ({ get, post }) => {
    assertEquals((await post("/v1/event/create", EVENT)).status, 404);
    assertEquals((await get("/v1/events/create")).status, 404);
  });
});

Deno.test("a body that is no JSON, or not declared as JSON, is refused", async () => {
  await withSimulator({}, async ({ simulator }) => {
    const send = (body: string, type: string) =>
      fetch(`${simulator.url}/v1/events/create`, {
        method: "POST",
        body,
        headers: { "x-luma-api-key": "luma-key-blr", "content-type": type },
      });
    const broken = await send("{", "application/json");
    assertEquals([broken.status, await broken.json()], [400, {
      message: "the body is not valid JSON",
    }]);
    const form = await send(JSON.stringify(EVENT), "text/plain");
    assertEquals(form.status, 400);
    await form.body?.cancel();
    assertEquals(simulator.events(), []);
  });
});
