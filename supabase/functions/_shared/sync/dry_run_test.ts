import { assertEquals } from "@std/assert";
import { createLumaClient } from "../luma/client.ts";
import type { CallRecord } from "../store.ts";
import { dryRunFetch } from "./dry_run.ts";
import type { EventJob } from "./job.ts";
import { pushEvent } from "./push_event.ts";
import { FIELDS, JOB, stateWith } from "./testing.ts";

/** Pushes a job in dry_run: the calls that would have been made, and what came of it. */
async function dryRun(changes: Partial<EventJob>) {
  const calls: CallRecord[] = [];
  const client = createLumaClient({
    apiKey: "luma-key-blr",
    // Nothing listens here: a call that left after all would fail.
    baseUrl: "http://127.0.0.1:1",
    fetch: dryRunFetch(calls),
  });
  const job = { ...JOB, ...changes };
  const result = await pushEvent(job, {
    client,
    store: {
      created: () => Promise.resolve(true),
      createAgain: () => Promise.resolve(true),
      slugTaken: () => Promise.resolve(job.slug),
    },
    covers: null,
  });
  return { calls, result, routes: calls.map(({ route }) => route) };
}

const PAID = stateWith({ is_ticketed: true, ticket_price: 499 });

Deno.test("what would be sent is recorded with its body, and nothing leaves", async () => {
  const before = Date.now();
  const { calls, result } = await dryRun({});
  assertEquals(result.outcome, "done");
  assertEquals(calls.length, 1);
  const { at, ...call } = calls[0]!;
  assertEquals<unknown>(call, {
    route: "POST /v1/events/create",
    ms: 0,
    status: null,
    body: { ...FIELDS, slug: "open-mic-1a2b3c" },
  });
  assertEquals(Date.parse(at) >= before && Date.parse(at) <= Date.now(), true);
});

const JOBS: [string, Partial<EventJob>, string[]][] = [
  ["a new event with a tag and a price", {
    state: { ...PAID, culture: "music" },
    culture: { name: "Music", asset_file: null },
  }, [
    "POST /v1/events/create",
    "GET /v1/events/ticket-types/list",
    "POST /v1/events/ticket-types/create",
    "GET /v1/events/ticket-types/list",
    "POST /v1/events/update",
    "POST /v1/calendars/event-tags/apply",
  ]],
  ["an event that may exist", { maybe_created: true, create_matches: true }, [
    "GET /v1/entity/lookup",
    "POST /v1/events/create",
  ]],
  ["an update of everything", {
    luma_event_id: "evt-1",
    state: { ...PAID, culture: null },
    changed: ["title", "ticket_price", "culture"],
    previous_culture: "Music",
  }, [
    "POST /v1/calendars/event-tags/unapply",
    "POST /v1/events/update",
    "GET /v1/events/ticket-types/list",
    "POST /v1/events/ticket-types/create",
    "GET /v1/events/ticket-types/list",
    "POST /v1/events/update",
  ]],
  ["an event that is hidden", { luma_event_id: "evt-1", state: null }, [
    "POST /v1/events/update",
  ]],
  ["an event that is cancelled", {
    luma_event_id: "evt-1",
    state: stateWith({ shown: false }),
    cancel_on_luma: true,
  }, ["POST /v1/events/cancel/request", "POST /v1/events/cancel"]],
];

for (const [what, changes, expected] of JOBS) {
  Deno.test(`dry_run goes the whole way for ${what}`, async () => {
    assertEquals((await dryRun(changes)).routes, expected);
  });
}
