import { assertEquals } from "@std/assert";
import type { LumaClient } from "./client.ts";
import { LUMA_ROUTES } from "./routes.ts";
import {
  EVENT,
  GUEST,
  TEST_KEY,
  TICKET_TYPE,
  WEBHOOK,
  withServer,
} from "./testing.ts";

const page = (entry: unknown) => ({ entries: [entry], has_more: false });
/** Each method: how it is called, what Luma answers, the query and body that must arrive. */
const CALLS: {
  method: keyof typeof LUMA_ROUTES;
  call: (luma: LumaClient) => Promise<unknown>;
  answer: unknown;
  query?: string;
  body?: unknown;
}[] = [
  {
    method: "getSelf",
    call: (luma) => luma.getSelf(),
    answer: { id: "usr-1" },
  },
  {
    method: "getCalendar",
    call: (luma) => luma.getCalendar(),
    answer: { id: "cal-1", name: "Runs" },
  },
  {
    method: "listEvents",
    call: (luma) =>
      luma.listEvents({
        after: "2026-12-01T00:00:00Z",
        cursor: "c 1",
        limit: 50,
      }),
    answer: page(EVENT),
    query:
      "after=2026-12-01T00%3A00%3A00Z&sort_column=start_at&sort_direction=asc&pagination_cursor=c+1&pagination_limit=50",
  },
  {
    method: "getEvent",
    call: (luma) => luma.getEvent("evt-1"),
    answer: EVENT,
    query: "event_id=evt-1",
  },
  {
    method: "createEvent",
    call: (luma) =>
      luma.createEvent({
        name: "Run",
        start_at: EVENT.start_at,
        timezone: "UTC",
        slug: "run-1",
      }),
    answer: { id: "evt-1" },
    body: {
      name: "Run",
      start_at: EVENT.start_at,
      timezone: "UTC",
      slug: "run-1",
    },
  },
  {
    method: "updateEvent",
    call: (luma) =>
      luma.updateEvent("evt-1", { max_capacity: null, name: undefined }, {
        suppressNotifications: true,
      }),
    answer: {},
    body: {
      event_id: "evt-1",
      max_capacity: null,
      suppress_notifications: true,
    },
  },
  {
    method: "lookupSlug",
    call: (luma) => luma.lookupSlug("run-1"),
    answer: { entity: null },
    query: "slug=run-1",
  },
  {
    method: "requestCancel",
    call: (luma) => luma.requestCancel("evt-1"),
    answer: { cancellation_token: "t", is_paid: false, guest_count: 2 },
    body: { event_id: "evt-1" },
  },
  {
    method: "cancelEvent",
    call: (luma) =>
      luma.cancelEvent({ event_id: "evt-1", cancellation_token: "t" }),
    answer: {},
    body: { event_id: "evt-1", cancellation_token: "t" },
  },
  {
    method: "listGuests",
    call: (luma) =>
      luma.listGuests("evt-1", {
        status: "waitlist",
        sortBy: "registered_at",
        direction: "desc",
        cursor: "c",
      }),
    answer: page(GUEST),
    query:
      "event_id=evt-1&approval_status=waitlist&sort_column=registered_at&sort_direction=desc&pagination_cursor=c",
  },
  {
    method: "getGuest",
    call: (luma) => luma.getGuest("evt-1", "a+b@example.com"),
    answer: GUEST,
    query: "event_id=evt-1&id=a%2Bb%40example.com",
  },
  {
    method: "addGuests",
    call: (luma) =>
      luma.addGuests({
        event_id: "evt-1",
        guests: [{ email: "a@example.com", name: null }],
        approval_status: "approved",
        send_email: false,
      }),
    answer: {},
    body: {
      event_id: "evt-1",
      guests: [{ email: "a@example.com", name: null }],
      approval_status: "approved",
      send_email: false,
    },
  },
  {
    method: "updateGuestStatus",
    call: (luma) =>
      luma.updateGuestStatus({
        event_id: "evt-1",
        guest_id: "gst-1",
        status: "declined",
        send_email: true,
      }),
    answer: {},
    body: {
      event_id: "evt-1",
      guest_id: "gst-1",
      status: "declined",
      send_email: true,
    },
  },
  {
    method: "createUploadUrl",
    call: (luma) => luma.createUploadUrl("image/png"),
    answer: {
      upload_url: "https://up.example/1",
      file_url: "https://images.lumacdn.com/1",
    },
    body: { content_type: "image/png" },
  },
  {
    method: "listEventTags",
    call: (luma) => luma.listEventTags(),
    answer: page({ id: "tag-1", name: "food", color: "red" }),
  },
  {
    method: "createEventTag",
    call: (luma) => luma.createEventTag({ name: "food" }),
    answer: { id: "tag-1" },
    body: { name: "food" },
  },
  {
    method: "applyEventTag",
    call: (luma) => luma.applyEventTag("food", ["evt-1"]),
    answer: { applied_count: 1, skipped_count: 0 },
    body: { tag: "food", event_ids: ["evt-1"] },
  },
  {
    method: "unapplyEventTag",
    call: (luma) => luma.unapplyEventTag("tag-1", ["evt-1"]),
    answer: { removed_count: 1, skipped_count: 0 },
    body: { tag: "tag-1", event_ids: ["evt-1"] },
  },
  {
    method: "listTicketTypes",
    call: (luma) => luma.listTicketTypes("evt-1", { includeHidden: true }),
    answer: { entries: [TICKET_TYPE] },
    query: "event_id=evt-1&include_hidden=true",
  },
  {
    method: "createTicketType",
    call: (luma) =>
      luma.createTicketType({
        event_id: "evt-1",
        name: "Entry",
        type: "paid",
        cents: 50000,
        currency: "inr",
      }),
    answer: TICKET_TYPE,
    body: {
      event_id: "evt-1",
      name: "Entry",
      type: "paid",
      cents: 50000,
      currency: "inr",
    },
  },
  {
    method: "updateTicketType",
    call: (luma) =>
      luma.updateTicketType({
        event_ticket_type_id: "ttype-1",
        max_capacity: null,
      }),
    answer: TICKET_TYPE,
    body: { event_ticket_type_id: "ttype-1", max_capacity: null },
  },
  {
    method: "deleteTicketType",
    call: (luma) => luma.deleteTicketType("ttype-1"),
    answer: {},
    body: { event_ticket_type_id: "ttype-1" },
  },
  {
    method: "createWebhook",
    call: (luma) =>
      luma.createWebhook({ url: WEBHOOK.url, event_types: ["*"] }),
    answer: WEBHOOK,
    body: { url: WEBHOOK.url, event_types: ["*"] },
  },
  {
    method: "listWebhooks",
    call: (luma) => luma.listWebhooks(),
    answer: page(WEBHOOK),
  },
  {
    method: "getWebhook",
    call: (luma) => luma.getWebhook("wh-1"),
    answer: WEBHOOK,
    query: "id=wh-1",
  },
  {
    method: "updateWebhook",
    call: (luma) => luma.updateWebhook({ id: "wh-1", status: "paused" }),
    answer: WEBHOOK,
    body: { id: "wh-1", status: "paused" },
  },
  {
    method: "deleteWebhook",
    call: (luma) => luma.deleteWebhook("wh-1"),
    answer: {},
    body: { id: "wh-1" },
  },
];

for (const { method, call, answer, query = "", body } of CALLS) {
  Deno.test(`${method} sends ${LUMA_ROUTES[method]} with the key and nothing undefined`, async () => {
    let seen: unknown;
    await withServer(async (request) => {
      const url = new URL(request.url);
      const text = await request.text();
      seen = {
        route: `${request.method} ${url.pathname}`,
        query: url.search.slice(1),
        body: text ? JSON.parse(text) : undefined,
        key: request.headers.get("x-luma-api-key"),
        type: request.headers.get("content-type"),
      };
      return Response.json(answer);
    }, call);
    assertEquals(seen, {
      route: LUMA_ROUTES[method],
      query,
      body,
      key: TEST_KEY,
      type: body ? "application/json" : null,
    });
  });
}

Deno.test("every route of the client has its call above", () => {
  assertEquals(CALLS.map((c) => c.method), Object.keys(LUMA_ROUTES) as []);
});
