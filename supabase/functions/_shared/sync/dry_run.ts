/** A stand-in for Luma in dry_run: records what would be sent, and sends nothing. */
import { redactedBody } from "../redact.ts";
import type { CallRecord } from "../store.ts";

/** Answers by route, in the shapes of Luma's OpenAPI document; every other route answers `{}`. */
const ANSWERS: Record<string, unknown> = {
  "POST /v1/events/create": { id: "evt-dry-run" },
  "GET /v1/entity/lookup": { entity: null },
  "POST /v1/calendars/event-tags/apply": { applied_count: 1, skipped_count: 0 },
  "POST /v1/calendars/event-tags/unapply": {
    removed_count: 1,
    skipped_count: 0,
  },
  "GET /v1/events/ticket-types/list": { entries: [] },
  "POST /v1/events/ticket-types/create": {
    id: "ttype-dry-run",
    name: "Ticket",
    type: "paid",
  },
  "GET /v1/events/guests/get": {
    id: "gst-dry-run",
    user_email: "",
    approval_status: "invited",
  },
  "GET /v1/events/guests/list": { entries: [], has_more: false },
  "POST /v1/events/cancel/request": {
    cancellation_token: "dry-run",
    is_paid: false,
    guest_count: 0,
  },
};

/** A fetch that adds each call, with its body (guests shortened), to `calls`. */
export function dryRunFetch(calls: CallRecord[]): typeof fetch {
  return (input, init) => {
    const { pathname } = new URL(String(input));
    const route = `${init?.method ?? "GET"} ${pathname}`;
    calls.push({
      route,
      at: new Date().toISOString(),
      ms: 0,
      status: null,
      body: typeof init?.body === "string"
        ? redactedBody(JSON.parse(init.body))
        : undefined,
    });
    return Promise.resolve(Response.json(ANSWERS[route] ?? {}));
  };
}
