import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import type { EventJob } from "./job.ts";
import { RowError } from "./mapping.ts";
import { OutOfTime } from "./permits.ts";
import { LeaseLost } from "./leases.ts";
import {
  OTHER_SLUG,
  type Pushes,
  withPushes,
  ZO_EVENTS,
} from "./push_for_tests.ts";
import { FIELDS, JOB, STATE, stateWith } from "./testing.ts";

const PAID = stateWith({ is_ticketed: true, ticket_price: 499 });
const TAGGED = {
  state: stateWith({ culture: "music" }),
  culture: { name: "Music", asset_file: null },
};
const TICKET_CALLS = [
  "events/ticket-types/list 200",
  "events/ticket-types/create 200",
  "events/ticket-types/list 200",
  "events/ticket-types/delete 200",
  "events/update 200",
];

/** An event that somebody else has under our slug, on another calendar. */
function takeSlug({ simulator }: Pushes) {
  return simulator.host.createEvent(ZO_EVENTS, {
    name: "Theirs",
    start_at: "2027-01-01T14:00:00Z",
    timezone: "UTC",
    slug: JOB.slug,
  });
}

/** True when guests could get a ticket for nothing. */
function openForFree({ simulator }: Pushes): boolean {
  return simulator.events().some((event) =>
    event.visibility !== "private" &&
    event.ticketTypes.some((type) => type.type === "free" && !type.is_hidden)
  );
}

Deno.test("a new event is one call under the stored slug", () =>
  withPushes(async (pushes) => {
    const result = await pushes.push();
    const sent = { ...FIELDS, slug: JOB.slug };
    assertEquals(pushes.calls(), ["events/create 200"]);
    assertEquals<unknown>(pushes.body(0), sent);
    assertEquals(JSON.parse(JSON.stringify(result)), {
      outcome: "done",
      luma_event_id: pushes.event().id,
      sent,
      warning: null,
    });
  }));

Deno.test("a new event is told only what there is to say, and what was corrected is told to admins", () =>
  withPushes(async (pushes) => {
    const { warning } = await pushes.push({
      state: stateWith({
        description: null,
        meeting_url: "ask me",
        max_capacity: 0,
        lat: null,
      }),
    });
    const { slug: _, coordinate: __, ...fields } = { ...FIELDS, slug: "" };
    const { description_md: _d, meeting_url: _m, max_capacity: _c, ...rest } =
      fields;
    assertEquals<unknown>(pushes.body(0), { ...rest, slug: JOB.slug });
    for (const part of ["ask me", "max_capacity 0", "lat null"]) {
      assertStringIncludes(warning ?? "", part);
    }
  }));

Deno.test("a culture becomes a tag, which is made if the calendar has none", () =>
  withPushes(async (pushes) => {
    await pushes.push(TAGGED);
    assertEquals(pushes.calls(), [
      "events/create 200",
      "calendars/event-tags/apply 404",
      "calendars/event-tags/create 200",
      "calendars/event-tags/apply 200",
    ]);
    const { id, tags } = pushes.event();
    assertEquals(tags.map(({ name }) => name), ["Music"]);
    // More calls followed the create, so the database knew of the event before them.
    assertEquals(pushes.database.created, [[JOB.slug, id]]);
  }));

Deno.test("the culture default is no tag", () =>
  withPushes(async (pushes) => {
    await pushes.push({
      state: stateWith({ culture: "default" }),
      culture: { name: "Other", asset_file: null },
    });
    assertEquals(pushes.calls(), ["events/create 200"]);
  }));

Deno.test("a paid event is private until it has its ticket", () =>
  withPushes(async (pushes) => {
    const state = { ...PAID, visibility: "members-only" };
    const result = await pushes.push({ state });
    assertEquals(pushes.calls(), ["events/create 200", ...TICKET_CALLS]);
    assertEquals<unknown>(pushes.body(0), {
      ...FIELDS,
      visibility: "private",
      slug: JOB.slug,
    });
    const { id, visibility, ticketTypes } = pushes.event();
    assertEquals(pushes.body(5), { event_id: id, visibility: "members-only" });
    assertEquals(visibility, "members-only");
    assertEquals(result.sent?.visibility, "members-only");
    assertEquals(ticketTypes.map(({ type, cents }) => [type, cents]), [
      ["paid", 49900],
    ]);
  }));

Deno.test("a paid event whose ticket Luma refuses stays private, fails, and opens once the ticket is taken", () =>
  withPushes(async (pushes) => {
    pushes.simulator.calendars[0]!.stripeConnected = false;
    const refused = () => pushes.push({ state: PAID });
    await assertRejects(refused, LumaError, "Stripe is not connected");
    const { id } = pushes.event();
    assertEquals(pushes.event().visibility, "private");
    assertEquals(pushes.database.created, [[JOB.slug, id]]);

    pushes.simulator.calendars[0]!.stripeConnected = true;
    pushes.simulator.clearRequests();
    await pushes.push({ state: PAID, luma_event_id: id });
    assertEquals(pushes.calls(), ["events/update 200", ...TICKET_CALLS]);
    assertEquals(pushes.event().visibility, "public");
    assert(!openForFree(pushes));
  }));

Deno.test("a row that cannot be shown costs no call", () =>
  withPushes(async (pushes) => {
    const rows = [
      stateWith({ title: " " }),
      stateWith({ ends_at: STATE.starts_at }),
    ];
    for (const state of rows) {
      await assertRejects(() => pushes.push({ state }), RowError);
      const linked = () => pushes.push({ state, luma_event_id: "evt-1" });
      await assertRejects(linked, RowError);
    }
    const unpriced = stateWith({ is_ticketed: true });
    await assertRejects(() => pushes.push({ state: unpriced }), RowError);
    assertEquals(pushes.calls(), []);
  }));

Deno.test("an event that is there but has lost its price is closed before that is reported", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({});
    const state = stateWith({ is_ticketed: true });
    const job = { state, luma_event_id: id, changed: ["is_ticketed"] };
    await assertRejects(() => pushes.push(job), RowError, "ticket_price");
    assertEquals(pushes.calls(), ["events/update 200"]);
    assertEquals(pushes.event().visibility, "private");
  }));

Deno.test("an event whose create was never answered is adopted, and nothing is sent twice", () =>
  withPushes(async (pushes) => {
    const state = stateWith({ tz: "Mars" });
    const id = await pushes.existing({ state });
    const job = { state, maybe_created: true, create_matches: true };
    const result = await pushes.push(job);
    assertEquals(pushes.calls(), ["entity/lookup 200", "events/get 200"]);
    assertEquals(pushes.database.created, [[JOB.slug, id]]);
    // The create said all this, so it counts as told.
    assertEquals<unknown>(result.sent, FIELDS);
    assertEquals(result.luma_event_id, id);
    assertStringIncludes(result.warning ?? "", "Mars");
  }));

Deno.test("a paid event that is adopted gets its ticket, tag and visibility", () =>
  withPushes(async (pushes) => {
    const job = { ...TAGGED, state: { ...PAID, culture: "music" } };
    pushes.simulator.faults.add({ path: "/v1/events/ticket-*", status: 500 });
    await assertRejects(() => pushes.push(job), LumaError, "500");
    pushes.simulator.faults.clear();
    pushes.simulator.clearRequests();
    await pushes.push({ ...job, maybe_created: true, create_matches: true });
    assertEquals(pushes.calls().slice(0, 7), [
      "entity/lookup 200",
      "events/get 200",
      ...TICKET_CALLS,
    ]);
    assertEquals(pushes.event().visibility, "public");
    assertEquals(pushes.event().tags.length, 1);
  }));

Deno.test("an event that was created from another state is adopted and told everything, without mail", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({ state: stateWith({ title: "Before" }) });
    pushes.simulator.guest.register(id, { name: "A", email: "a@example.com" });
    const { sent } = await pushes.push({ maybe_created: true });
    assertEquals(pushes.calls(), [
      "entity/lookup 200",
      "events/get 200",
      "events/update 200",
    ]);
    assertEquals<unknown>(pushes.body(2), {
      ...FIELDS,
      event_id: id,
      suppress_notifications: true,
    });
    assertEquals<unknown>(sent, FIELDS);
    assertEquals(
      pushes.simulator.emails.filter(({ about }) => about === "event-changed"),
      [],
    );
  }));

Deno.test("an event that was created from another, known state is agreed on as it was made, and read before more is sent", () =>
  withPushes(async (pushes) => {
    const before = stateWith({ title: "Before" });
    const id = await pushes.existing({ state: before });
    const result = await pushes.push({
      maybe_created: true,
      created_from: before,
    });
    assertEquals(pushes.calls(), ["entity/lookup 200", "events/get 200"]);
    const { visibility: _, ...sent } = FIELDS;
    assertEquals<unknown>(result.sent, { ...sent, name: "Before" });
    assertEquals([result.luma_event_id, result.look, result.from_create], [
      id,
      true,
      true,
    ]);
    for (const column of ["culture", "ticket_price", "cover_image_url"]) {
      assert(result.pending?.includes(column), column);
    }
  }));

Deno.test("an event that may have been created but was not is created", () =>
  withPushes(async (pushes) => {
    await pushes.push({ maybe_created: true, create_matches: true });
    assertEquals(pushes.calls(), ["entity/lookup 200", "events/create 200"]);
    assertEquals(pushes.event().slug, JOB.slug);
  }));

Deno.test("a slug that another calendar's event has is given up, whenever that is found out", () =>
  withPushes(async (pushes) => {
    const theirs = takeSlug(pushes);
    await pushes.push();
    assertEquals(pushes.calls().map((call) => call.replace(/ 40[34]/, " no")), [
      "events/create 400",
      "entity/lookup 200",
      "events/get no",
      "events/create 200",
    ]);
    const [, ours] = pushes.simulator.events();
    assertEquals(ours?.slug, OTHER_SLUG);
    pushes.simulator.host.cancelEvent(ours!.id);

    pushes.simulator.clearRequests();
    await pushes.push({ maybe_created: true, create_matches: true });
    assertEquals(pushes.calls().map((call) => call.replace(/ 40[34]/, " no")), [
      "entity/lookup 200",
      "events/get no",
      "events/create 200",
    ]);
    assertEquals(pushes.database.created, []);
    assertEquals(theirs.name, "Theirs");
  }));

Deno.test("a create that is refused because ours is there already becomes an update", () =>
  withPushes(async (pushes) => {
    const id = await pushes.existing({ state: stateWith({ title: "Before" }) });
    const result = await pushes.push();
    assertEquals(pushes.calls(), [
      "events/create 400",
      "entity/lookup 200",
      "events/get 200",
      "events/update 200",
    ]);
    assertEquals(result.luma_event_id, id);
    assertEquals(pushes.event().name, FIELDS.name);
    assertEquals(pushes.database.created, [[JOB.slug, id]]);
  }));

Deno.test("a create that is refused for another reason fails with Luma's words", () =>
  withPushes(async (pushes) => {
    for (const status of [400, 409, 422]) {
      pushes.simulator.faults.clear();
      pushes.simulator.faults.add({
        path: "/v1/events/create",
        status,
        message: "name: no swear words",
      });
      const error = await assertRejects(() => pushes.push(), LumaError);
      assertStringIncludes(error.message, "no swear words");
    }
    assertEquals(
      new Set(pushes.calls().filter((c) => !c.includes("create"))),
      new Set(["entity/lookup 200"]),
    );
    assertEquals(pushes.simulator.events(), []);
  }));

Deno.test("no other answer to a create is taken for a slug that is taken", () =>
  withPushes(async (pushes) => {
    for (const status of [401, 403, 404, 429, 500, 503]) {
      pushes.simulator.faults.clear();
      pushes.simulator.faults.add({ path: "/v1/events/create", status });
      await assertRejects(() => pushes.push(), LumaError);
    }
    assert(pushes.calls().every((call) => call.startsWith("events/create")));
  }));

/** What the database would say of the job after a run that failed. */
function nextJob(job: EventJob, { database }: Pushes): EventJob {
  const id = database.created.at(-1)?.[1] ?? null;
  return {
    ...job,
    luma_event_id: id,
    maybe_created: true,
    create_matches: true,
  };
}

for (const when of ["before", "after"] as const) {
  Deno.test(`a push that fails at any call, ${when} its effect, is made good by the next`, async () => {
    let failures = 0;
    for (let nth = 1; nth <= 8; nth++) {
      await withPushes(async (pushes) => {
        const job = { ...JOB, ...TAGGED, state: { ...PAID, culture: "music" } };
        pushes.simulator.faults.add({ nth, count: 1, status: 503, when });
        await pushes.push(job).catch(async (error) => {
          failures++;
          assert(error instanceof LumaError && error.status === 503);
          assert(!openForFree(pushes), `open for free after call ${nth}`);
          await pushes.push(nextJob(job, pushes));
        });
        const { visibility, ticketTypes, tags } = pushes.event();
        assertEquals(visibility, "public");
        assertEquals(ticketTypes.map(({ type }) => type), ["paid"]);
        assertEquals(tags.map(({ name }) => name), ["Music"]);
      });
    }
    assertEquals(failures, 8);
  });
}

Deno.test("a create whose connection broke after its effect ends as one event", () =>
  withPushes(async (pushes) => {
    pushes.simulator.faults.add({
      path: "/v1/events/create",
      close: true,
      when: "after",
      count: 1,
    });
    // fetch may repeat the call by itself, and then the push goes through at once.
    await pushes.push().catch((error) => {
      assert(error instanceof LumaError && error.maybeApplied, String(error));
      return pushes.push(nextJob(JOB, pushes));
    });
    assertEquals(pushes.event().slug, JOB.slug);
  }));

Deno.test("whoever has lost the lease stops before the next call", () =>
  withPushes(async (pushes) => {
    pushes.database.leaseHeld = false;
    await assertRejects(() => pushes.push(TAGGED), LeaseLost);
    assertEquals(pushes.calls(), ["events/create 200"]);

    pushes.simulator.clearRequests();
    const adopted = { maybe_created: true, create_matches: true };
    await assertRejects(() => pushes.push(adopted), LeaseLost);
    assertEquals(pushes.calls(), ["entity/lookup 200", "events/get 200"]);

    pushes.simulator.reset();
    await assertRejects(() => pushes.push({ maybe_created: true }), LeaseLost);
    assertEquals(pushes.calls(), ["entity/lookup 200"]);
    assertEquals(pushes.simulator.events(), []);

    pushes.simulator.reset();
    takeSlug(pushes);
    await assertRejects(() => pushes.push(adopted), LeaseLost);
    assertEquals(pushes.calls().length, 2);
    assertEquals(pushes.event().name, "Theirs");
  }));

Deno.test("a lease or the time that runs out between two calls ends the push there", async () => {
  for (const end of [new LeaseLost(), new OutOfTime()]) {
    await withPushes(async (pushes) => {
      let calls = 0;
      pushes.clientOptions.beforeCall = () =>
        ++calls === 3 ? Promise.reject(end) : Promise.resolve();
      const error = await assertRejects(() => pushes.push({ state: PAID }));
      assertEquals(error, end);
      assertEquals(pushes.calls(), [
        "events/create 200",
        "events/ticket-types/list 200",
      ]);
      assertEquals(pushes.event().visibility, "private");
    });
  }
});

Deno.test("an event under our slug that Luma keeps from us is somebody else's, in either of Luma's words for it", () =>
  withPushes(async (pushes) => {
    takeSlug(pushes);
    for (const status of [403, 404]) {
      pushes.simulator.faults.clear();
      pushes.simulator.faults.add({ path: "/v1/events/get", status });
      const result = await pushes.push({ maybe_created: true });
      assertEquals(result.sent?.slug, OTHER_SLUG);
      pushes.simulator.host.cancelEvent(result.luma_event_id!);
    }
    pushes.simulator.faults.clear();
    pushes.simulator.faults.add({ path: "/v1/events/get", status: 500 });
    const unknown = () => pushes.push({ maybe_created: true });
    await assertRejects(unknown, LumaError, "500");
    assertEquals(pushes.event().name, "Theirs");
  }));
