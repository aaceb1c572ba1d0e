import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { plainText, renderedMarkdown } from "./markdown.ts";
import { EVENT, withSimulator, ZO_EVENTS } from "./testing.ts";

Deno.test("create answers the id alone, and events/get the whole event", async () => {
  await withSimulator({}, async ({ post, get }) => {
    const created = await post("/v1/events/create", {
      ...EVENT,
      slug: "open-mic",
      start_at: "2027-01-01T19:30:00+05:30",
      coordinate: { longitude: 77.63, latitude: 0 },
      geo_address_json: {
        type: "manual",
        address: "12  Main Road\nKoramangala",
      },
    });
    assertEquals(Object.keys(created.body), ["id"]);
    const event_id = String(created.body["id"]);
    const { body } = await get("/v1/events/get", { event_id });
    const place = body["geo_address_json"] as Record<string, unknown>;
    assertEquals(
      [
        body["url"],
        body["start_at"],
        body["duration_interval"],
        body["location_type"],
        place["address"],
      ],
      [
        "https://luma.com/open-mic",
        "2027-01-01T14:00:00.000Z",
        "PT2H",
        "offline",
        "12 Main Road Koramangala",
      ],
    );
    assertEquals(body["coordinate"], { longitude: 77.63, latitude: 0 });
  });
});

Deno.test("location_type follows the place and the link", async () => {
  const cases = [
    [{}, "missing"],
    [{ meeting_url: "https://us02web.zoom.us/j/1" }, "zoom"],
    [{ meeting_url: "https://meet.google.com/abc" }, "meet"],
    [{ meeting_url: "https://notzoom.us/j/1" }, "unknown"],
    [{
      meeting_url: "https://zoom.us/j/1",
      coordinate: { longitude: 0, latitude: 0 },
    }, "offline"],
  ] as const;
  await withSimulator({}, async ({ create, get }) => {
    for (const [changes, expected] of cases) {
      const { body } = await get("/v1/events/get", {
        event_id: await create(changes),
      });
      assertEquals(body["location_type"], expected);
    }
  });
});

Deno.test("a slug is taken over all calendars, in any letter case, and free again after the event is cancelled", async () => {
  await withSimulator({}, async ({ create, post, get, simulator }) => {
    const first = await create({ slug: "open-mic" }, "luma-key-zo-events");
    const refused = await post("/v1/events/create", {
      ...EVENT,
      slug: "Open-Mic",
    });
    assertEquals([refused.status, refused.body], [400, {
      message: 'slug: "Open-Mic" is already taken',
    }]);
    assertEquals(
      (await post("/v1/events/create", { ...EVENT, slug: "blrxzo" })).status,
      400,
    );
    const second = await create({ slug: "other" });
    const update = await post("/v1/events/update", {
      event_id: second,
      slug: "open-mic",
    });
    assertEquals(update.status, 400);
    const found = await get("/v1/entity/lookup", { slug: "open-mic" });
    assertStringIncludes(JSON.stringify(found.body), first);
    simulator.host.cancelEvent(first);
    const gone = await get("/v1/entity/lookup", { slug: "open-mic" });
    assertEquals(gone.body, { entity: null });
    await create({ slug: "open-mic" });
  });
});

Deno.test("an update changes what it names, and a refused one changes nothing", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const event_id = await create({ max_capacity: 5, description_md: "text" });
    const before = structuredClone(simulator.event(event_id));
    const refused = await post("/v1/events/update", {
      event_id,
      name: "New",
      end_at: "2020-01-01T00:00:00Z",
    });
    assertEquals(refused.status, 400);
    assertEquals(simulator.event(event_id), before);
    const taken = await post("/v1/events/update", {
      event_id,
      name: "New",
      max_capacity: null,
    });
    assertEquals([taken.status, taken.body], [200, {}]);
    assertEquals(simulator.event(event_id), {
      ...before!,
      name: "New",
      max_capacity: null,
    });
  });
});

Deno.test("guests are mailed about a new time, unless notifications are suppressed", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const event_id = await create();
    const guests = [{ email: "ann@example.org" }];
    await post("/v1/events/guests/add", {
      event_id,
      guests,
      send_email: false,
    });
    const update = { event_id, suppress_notifications: true, name: "Quiet" };
    await post("/v1/events/update", update);
    await post("/v1/events/update", { event_id, visibility: "private" });
    assertEquals(simulator.emails, []);
    await post("/v1/events/update", { event_id, name: "Loud" });
    assertEquals(simulator.emails.map((m) => [m.to, m.about]), [[
      "ann@example.org",
      "event-changed",
    ]]);
  });
});

Deno.test("a description comes back in Luma's form, and sending that back changes nothing", async () => {
  const sent =
    "# Hi  \r\n\r\n\r\n\r\n* one\n+ two\n\n__bold__ and *thin*\n\n***\n";
  const kept = "# Hi\n\n- one\n- two\n\n**bold** and *thin*\n\n---";
  assertEquals(renderedMarkdown(sent), kept);
  assertEquals(renderedMarkdown(kept), kept);
  assertEquals(plainText("## A **b** [c](https://example.org)"), "A b c");
  await withSimulator({}, async ({ create, get }) => {
    const event_id = await create({ description_md: sent });
    const { body } = await get("/v1/events/get", { event_id });
    assertNotEquals(body["description_md"], sent);
    assertEquals(body["description_md"], kept);
  });
});

Deno.test("cancelling takes a token that is fresh and of this event", async () => {
  let now = Date.now();
  await withSimulator(
    { now: () => now },
    async ({ create, post, get, simulator }) => {
      const event_id = await create();
      const other = await create();
      const token = async () => {
        const { body } = await post("/v1/events/cancel/request", { event_id });
        assertEquals([body["is_paid"], body["guest_count"]], [false, 0]);
        return body["cancellation_token"];
      };
      const cancel = async (id: string, cancellation_token: unknown) =>
        (await post("/v1/events/cancel", { event_id: id, cancellation_token }))
          .status;
      assertEquals(await cancel(event_id, "made-up"), 400);
      assertEquals(await cancel(other, await token()), 400);
      const old = await token();
      now += 15 * 60_000 + 1;
      assertEquals(await cancel(event_id, old), 400);
      assert(simulator.event(event_id));
      assertEquals(await cancel(event_id, await token()), 200);
      assertEquals((await get("/v1/events/get", { event_id })).status, 404);
      assertEquals(simulator.events().map((e) => e.id), [other]);
    },
  );
});

Deno.test("the same seed gives the same ids, and without one they differ", async () => {
  const ids: string[] = [];
  for (const options of [{ seed: 7 }, { seed: 7 }, {}]) {
    await withSimulator(options, async ({ create }) => {
      ids.push(await create());
    });
  }
  assertEquals(ids[0], ids[1]);
  assertNotEquals(ids[0], ids[2]);
});

Deno.test("tags are applied by id or name to the calendar's own events, the others are counted", async () => {
  await withSimulator({}, async ({ create, post, get, simulator }) => {
    const own = await create();
    const foreign = await create({}, "luma-key-zo-events");
    assertEquals(simulator.event(foreign)?.calendar_id, ZO_EVENTS);
    const path = "/v1/calendars/event-tags";
    const tag = await post(`${path}/create`, { name: "Music", color: "red" });
    assertEquals((await post(`${path}/create`, { name: "music" })).status, 400);
    const event_ids = [own, foreign, "evt-x"];
    const applied = await post(`${path}/apply`, { tag: "music", event_ids });
    assertEquals(applied.body, { applied_count: 1, skipped_count: 2 });
    assertEquals(simulator.event(own)?.tags.map((t) => t.name), ["Music"]);
    const list = await get(`${path}/list`);
    assertEquals(list.body, {
      entries: [{ id: tag.body["id"], name: "Music", color: "red" }],
      has_more: false,
    });
    assertEquals(
      (await post(`${path}/apply`, { tag: "Art", event_ids })).status,
      404,
    );
    const removed = await post(`${path}/unapply`, {
      tag: tag.body["id"],
      event_ids,
    });
    assertEquals(removed.body, { removed_count: 1, skipped_count: 2 });
    assertEquals(simulator.event(own)?.tags, []);
  });
});
