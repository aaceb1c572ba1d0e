import { assert, assertEquals, assertRejects } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import { type Pushes, withPushes } from "./push_for_tests.ts";
import { FIELDS, JOB, stateWith } from "./testing.ts";

const paid = (ticket_price: number) =>
  stateWith({ is_ticketed: true, ticket_price });
const HIDDEN = stateWith({ shown: false });

/** Visibility, and the types and prices that guests can choose from. */
function offer(pushes: Pushes) {
  const { visibility, ticketTypes } = pushes.event();
  return [
    visibility,
    ...ticketTypes.filter((type) => !type.is_hidden).map((type) =>
      type.cents ?? type.type
    ),
  ];
}

Deno.test("an update sends the fields that changed, and guests are told", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    const result = await pushes.push({
      luma_event_id: id,
      state: stateWith({ title: "Open stage", max_capacity: null }),
      changed: ["title", "max_capacity"],
    });
    assertEquals(pushes.calls(), ["events/update 200"]);
    const changes = { name: "Open stage", max_capacity: null };
    assertEquals<unknown>(pushes.body(0), { event_id: id, ...changes });
    assertEquals(result, {
      outcome: "done",
      luma_event_id: id,
      sent: changes,
      warning: null,
    });
  }));

Deno.test("a change that Luma shows nothing of costs no call", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    for (const changed of [[], ["cover_image_url"], ["location_type", "x"]]) {
      const state = stateWith({
        location_name: null,
        location_raw: null,
        location_type: "online",
      });
      const result = await pushes.push({ luma_event_id: id, changed, state });
      assertEquals(result.outcome, "done");
    }
    assertEquals(pushes.calls(), []);
  }));

Deno.test("emptied fields are emptied on Luma, and a place that stays there is told to admins", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    const { warning } = await pushes.push({
      luma_event_id: id,
      state: stateWith({
        description: "",
        meeting_url: null,
        lat: null,
        lng: null,
      }),
      changed: ["description", "meeting_url", "lat", "lng"],
    });
    const { description_md, meeting_url, coordinate } = pushes.event();
    assertEquals([description_md, meeting_url], ["", null]);
    assertEquals(coordinate, FIELDS.coordinate);
    assert(warning?.includes("still shows the old one"), warning ?? "none");
  }));

Deno.test("another type of place is no place that was emptied", () =>
  withPushes(async (pushes) => {
    const nowhere = { location_name: null, location_raw: null };
    const state = stateWith({ ...nowhere, meeting_point: null });
    const luma_event_id = await pushes.existing({ state });
    const push = (changed: string[]) =>
      pushes.push({ luma_event_id, changed, state });
    assertEquals((await push(["location_type"])).warning, null);
    const { warning } = await push(["location_type", "location_name"]);
    assert(warning?.includes("The place was emptied"), warning ?? "none");
  }));

Deno.test("another price closes the event while its ticket changes", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({ state: paid(499) });
    const { sent } = await pushes.push({
      luma_event_id: id,
      state: { ...paid(599), title: "Gala" },
      changed: ["ticket_price", "title"],
    });
    assertEquals(pushes.calls(), [
      "events/update 200",
      "events/ticket-types/list 200",
      "events/ticket-types/update 200",
      "events/update 200",
    ]);
    assertEquals(pushes.body(0), {
      event_id: id,
      name: "Gala",
      visibility: "private",
    });
    assertEquals(pushes.body(3), { event_id: id, visibility: "public" });
    assertEquals<unknown>(sent, { name: "Gala", visibility: "public" });
    assertEquals(offer(pushes), ["public", 59900]);
  }));

Deno.test("a free event that becomes a paid one is never open without its ticket", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    pushes.simulator.host.setStripeConnected("cal-ZVonmjVxLk7F2oM", false);
    const job = {
      luma_event_id: id,
      state: paid(499),
      changed: ["is_ticketed", "ticket_price"],
    };
    await assertRejects(() => pushes.push(job), LumaError, "Stripe");
    assertEquals(offer(pushes), ["private", "free"]);
    pushes.simulator.host.setStripeConnected("cal-ZVonmjVxLk7F2oM", true);
    await pushes.push(job);
    assertEquals(offer(pushes), ["public", 49900]);
  }));

Deno.test("a paid event that becomes free stays open and gets a free ticket", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({ state: paid(499) });
    await pushes.push({ luma_event_id: id, changed: ["is_ticketed"] });
    assertEquals(pushes.calls(), [
      "events/ticket-types/list 200",
      "events/ticket-types/create 200",
      "events/ticket-types/list 200",
      "events/ticket-types/delete 200",
    ]);
    assertEquals(offer(pushes), ["public", "free"]);
  }));

Deno.test("a first push that was cut short as a paid event, and is free now, ends with a free ticket alone", () =>
  withPushes(async (pushes) => {
    pushes.simulator.faults.add({ path: "/v1/events/update", status: 503 });
    const cutShort = () => pushes.push({ state: paid(499) });
    await assertRejects(cutShort, LumaError, "503");
    assertEquals(offer(pushes), ["private", 49900]);
    pushes.simulator.faults.clear();
    await pushes.push({ luma_event_id: pushes.event().id });
    assertEquals(offer(pushes), ["public", "free"]);
  }));

Deno.test("an edit of a paid event that is not about its price leaves the ticket alone", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({ state: paid(499) });
    const state = { ...paid(499), visibility: "members-only" };
    await pushes.push({ luma_event_id: id, state, changed: ["visibility"] });
    assertEquals(pushes.calls(), ["events/update 200"]);
    assertEquals(offer(pushes), ["members-only", 49900]);
  }));

Deno.test("a private event stays private when its price changes", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({ state: paid(499) });
    await pushes.push({
      luma_event_id: id,
      state: { ...paid(599), visibility: "private" },
      changed: ["ticket_price", "visibility"],
    });
    assertEquals(offer(pushes), ["private", 59900]);
  }));

Deno.test("another culture is another tag, and none takes the old one off", () =>
  withPushes(async (pushes) => {
    const tag = (name: string) => ({ name, asset_file: null });
    const id = await pushes.existing({
      state: stateWith({ culture: "music" }),
      culture: tag("Music"),
    });
    const job = { luma_event_id: id, changed: ["culture"] };
    await pushes.push({
      ...job,
      state: stateWith({ culture: "food" }),
      culture: tag("Food"),
      previous_culture: "Music",
    });
    const names = () => pushes.event().tags.map(({ name }) => name);
    assertEquals(names(), ["Food"]);
    await pushes.push({
      ...job,
      state: stateWith({ culture: "default" }),
      culture: tag("Other"),
      previous_culture: "Food",
    });
    assertEquals(names(), []);
    assertEquals(pushes.calls().filter((call) => call.includes("events/")), []);
  }));

Deno.test("a tag that Luma refuses is a warning, and the event is done", () =>
  withPushes(async (pushes) => {
    pushes.simulator.faults.add({
      path: "/v1/calendars/event-tags/*",
      status: 400,
      message: "too many tags",
    });
    const result = await pushes.push({
      state: stateWith({ culture: "music" }),
      culture: { name: "Music", asset_file: null },
    });
    assertEquals(result.outcome, "done");
    assert(result.warning?.includes("too many tags"), result.warning ?? "none");
  }));

Deno.test("an update of an event that Luma no longer has fails", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    pushes.simulator.host.cancelEvent(id);
    const job = { luma_event_id: id, changed: ["title"] };
    const error = await assertRejects(() => pushes.push(job), LumaError);
    assertEquals(error.status, 404);
  }));

Deno.test("an event that is not shown any more becomes private, and nothing else of it changes", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    for (const state of [stateWith({ shown: false, title: "" }), null]) {
      pushes.simulator.clearRequests();
      const job = { luma_event_id: id, state, changed: ["shown", "title"] };
      const result = await pushes.push(job);
      assertEquals(pushes.calls(), ["events/update 200"]);
      assertEquals(pushes.body(0), { event_id: id, visibility: "private" });
      assertEquals(result.sent, { visibility: "private" });
      assertEquals(result.luma_event_id, id);
    }
    assertEquals(pushes.event().name, FIELDS.name);
    // Shown again: with the edits that were made meanwhile.
    const state = stateWith({ title: "Encore" });
    await pushes.push({
      luma_event_id: id,
      state,
      changed: ["shown", "title"],
    });
    assertEquals(offer(pushes)[0], "public");
    assertEquals(pushes.event().name, "Encore");
  }));

Deno.test("an event that Luma never had is hidden without a call, or with a look where it might be", () =>
  withPushes(async (pushes) => {
    const never = await pushes.push({ state: HIDDEN });
    assertEquals(never, { outcome: "nothing_to_do" });
    assertEquals(pushes.calls(), []);

    const looked = await pushes.push({ state: null, maybe_created: true });
    assertEquals(looked, { outcome: "nothing_to_do" });
    assertEquals(pushes.calls(), ["entity/lookup 200"]);

    const id = await pushes.existing();
    await pushes.push({ state: HIDDEN, maybe_created: true });
    assertEquals(pushes.calls(), [
      "entity/lookup 200",
      "events/get 200",
      "events/update 200",
    ]);
    assertEquals(pushes.database.created, [[JOB.slug, id]]);
    assertEquals(offer(pushes)[0], "private");
  }));

Deno.test("an event that has vanished from Luma is hidden enough; one that Luma keeps from us is a failure", () =>
  withPushes(async (pushes) => {
    const gone = { luma_event_id: "evt-gone", state: HIDDEN };
    assertEquals(await pushes.push(gone), { outcome: "removed" });
    assertEquals(await pushes.push({ ...gone, cancel_on_luma: true }), {
      outcome: "removed",
    });
    pushes.simulator.faults.add({ path: "/v1/events/update", status: 403 });
    await assertRejects(() => pushes.push(gone), LumaError, "403");
  }));

Deno.test("a real cancel deletes the event, and refunds only guests who have paid", () =>
  withPushes(async (pushes) => {
    for (const refund of [undefined, true]) {
      const state = refund ? paid(499) : undefined;
      const id = await pushes.existing(state && { state });
      pushes.simulator.guest.register(id, {
        name: "A",
        email: "a@example.com",
      });
      const result = await pushes.push({
        luma_event_id: id,
        state: HIDDEN,
        cancel_on_luma: true,
      });
      assertEquals(result, { outcome: "removed" });
      assertEquals(pushes.calls(), [
        "events/cancel/request 200",
        "events/cancel 200",
      ]);
      const body = pushes.body(1) as { should_refund?: boolean };
      assertEquals(body.should_refund, refund);
      assertEquals(pushes.simulator.events(), []);
    }
  }));

Deno.test("a cancel whose answer was lost is done when it is looked at again", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing();
    const job = { luma_event_id: id, state: HIDDEN, cancel_on_luma: true };
    pushes.simulator.faults.add({
      path: "/v1/events/cancel",
      status: 502,
      when: "after",
      count: 1,
    });
    await assertRejects(() => pushes.push(job), LumaError, "502");
    assertEquals(await pushes.push(job), { outcome: "removed" });
    assertEquals(pushes.simulator.events(), []);
  }));
