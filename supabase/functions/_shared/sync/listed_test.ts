import { assert, assertEquals } from "@std/assert";
import { EVENT, GUEST } from "../luma/testing.ts";
import { type Listed, listedEvent, listedGuest } from "./listed.ts";

const guestOf = (entry: unknown) => listedGuest("evt-1", entry);

/** What of an entry was read: "read" or the error. */
function became(listed: Listed): string {
  return "news" in listed ? "read" : listed.error;
}

Deno.test("an event of a list is news under its id", () => {
  const listed = listedEvent(EVENT);
  assert("news" in listed && "fields" in listed.news);
  assertEquals(listed.id, "evt-1");
  assertEquals(listed.news.luma_event_id, "evt-1");
  assertEquals(listed.news.fields.name, {
    value: "Morning run",
    columns: { title: "Morning run" },
  });
  // Lists tell no description: it is not told, rather than empty.
  assertEquals(listed.news.fields.description_md, undefined);
});

Deno.test("a guest of a list is news of the event that was asked for", () => {
  const listed = guestOf({ ...GUEST, user_email: " A@Example.com " });
  assert("news" in listed && "email" in listed.news);
  assertEquals([listed.id, listed.news.luma_event_id, listed.news.email], [
    "gst-1",
    "evt-1",
    "a@example.com",
  ]);
});

Deno.test("an entry that is not as the contract says keeps its id, and the error names the field and quotes nothing", () => {
  const cases: [Listed, string][] = [
    [listedEvent({ ...EVENT, name: null }), "event.name"],
    [listedEvent({ ...EVENT, start_at: "tomorrow-secret" }), "event.start_at"],
    [listedEvent({ ...EVENT, end_at: undefined }), "event.end_at"],
    [listedEvent({ ...EVENT, timezone: 5 }), "event.timezone"],
    [listedEvent({ ...EVENT, tags: [{ id: 1 }] }), "event.tags.0.id"],
    [guestOf({ ...GUEST, user_email: null }), "guest.user_email"],
    [guestOf({ ...GUEST, approval_status: ["secret"] }), "approval_status"],
    [
      guestOf({
        ...GUEST,
        event_tickets: [{ id: "t", checked_in_at: "noon" }],
      }),
      "guest.event_tickets.0.checked_in_at",
    ],
  ];
  for (const [listed, field] of cases) {
    assert("error" in listed, field);
    assert(listed.error.includes(`${field} is not as expected`), listed.error);
    assert(!/secret|noon/.test(listed.error), listed.error);
    assertEquals(
      listed.id,
      listed.error.startsWith("guest") ? "gst-1" : "evt-1",
    );
  }
});

Deno.test("what has not even an id is an error without one", () => {
  const entries = [null, undefined, 5, "evt-1", [], {}, { id: 7 }, { id: "" }];
  for (const entry of entries) {
    for (const listed of [listedEvent(entry), guestOf(entry)]) {
      assertEquals(listed.id, null);
      assert("error" in listed, JSON.stringify(entry));
    }
  }
});

Deno.test("what Luma may add, or leave open, does not make an entry unreadable", () => {
  assertEquals(became(listedEvent({ ...EVENT, tint: { a: 1 } })), "read");
  assertEquals(became(listedEvent({ ...EVENT, timezone: "Moon/Sea" })), "read");
  assertEquals(became(listedEvent({ ...EVENT, visibility: "new" })), "read");
  assertEquals(became(guestOf({ ...GUEST, user_email: "" })), "read");
  assertEquals(became(guestOf({ ...GUEST, approval_status: "new" })), "read");
  assertEquals(became(guestOf({ ...GUEST, event_tickets: null })), "read");
});
