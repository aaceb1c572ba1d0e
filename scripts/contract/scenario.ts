/** A calendar's life from first event to last, using every method of the client. */
import type { LumaClient } from "../../supabase/functions/_shared/luma/client.ts";
import type { EventInput } from "../../supabase/functions/_shared/luma/inputs.ts";
import {
  GUEST_STATUSES,
  SETTABLE_STATUSES,
} from "../../supabase/functions/_shared/luma/types.ts";

/** What the scenario needs besides the client. */
export interface Stage {
  luma: LumaClient;
  /** Where webhooks are to be sent. */
  webhookUrl: string;
  /** Does with an event what hosts and guests do on Luma's own pages. */
  peopleVisit(eventId: string): void;
  /** Resolves when no delivery is on its way. */
  delivered(): Promise<void>;
}

/** The types of delivery that the scenario causes. */
export const CAUSED_DELIVERIES = [
  "calendar.event.added",
  "event.canceled",
  "event.created",
  "event.updated",
  "guest.registered",
  "guest.updated",
  "ticket.registered",
];

const DAY_MS = 86_400_000;

/** Plays the scenario. Throws LumaError when a call fails. */
export async function playScenario(stage: Stage): Promise<void> {
  const { luma, webhookUrl } = stage;
  await luma.getSelf();
  await luma.getCalendar();
  const webhook = await luma.createWebhook({
    url: webhookUrl,
    event_types: ["*"],
  });

  const eventId = await anEventWithEverything(luma);
  await theEventIsRead(luma, eventId);
  await otherWaysToHoldAnEvent(luma);
  await tagsComeAndGo(luma, eventId);
  await ticketTypesComeAndGo(luma, eventId);
  await guestsComeAndGo(luma, eventId);
  stage.peopleVisit(eventId);
  await everyGuestIsRead(luma, eventId);

  const { cancellation_token, is_paid } = await luma.requestCancel(eventId);
  await luma.cancelEvent({
    event_id: eventId,
    cancellation_token,
    should_refund: is_paid ? true : undefined,
  });
  await stage.delivered();
  await theWebhookEnds(luma, webhook.id);
}

async function anEventWithEverything(luma: LumaClient): Promise<string> {
  const { upload_url, file_url } = await luma.createUploadUrl("image/png");
  await luma.uploadImage(upload_url, PNG, "image/png");
  const { id } = await luma.createEvent({
    ...inDays(7),
    name: "Contract run",
    timezone: "Asia/Kolkata",
    slug: "contract-run",
    description_md: "**Bring** water.\n\n- shoes\n- a towel",
    cover_url: file_url,
    coordinate: { longitude: 77.63, latitude: 12.93 },
    geo_address_json: { type: "manual", address: "Cubbon Park, Bengaluru" },
    visibility: "public",
    max_capacity: 40,
  });
  await luma.updateEvent(id, {
    name: "Contract run, later",
    ...inDays(8),
    max_capacity: null,
  }, { suppressNotifications: true });
  return id;
}

async function theEventIsRead(luma: LumaClient, eventId: string) {
  await luma.getEvent(eventId);
  await luma.lookupSlug("contract-run");
  await luma.lookupSlug("nobody-has-this-slug");
}

async function otherWaysToHoldAnEvent(luma: LumaClient) {
  await luma.createEvent({
    ...inDays(9),
    name: "Contract call",
    timezone: "UTC",
    meeting_url: "https://meet.google.com/abc-defg-hij",
    visibility: "private",
  });
  const { id } = await luma.createEvent({
    ...inDays(10),
    name: "Contract walk",
    timezone: "Europe/Paris",
    geo_address_json: { type: "google", place_id: "ChIJExample" },
    visibility: "members-only",
  });
  await luma.updateEvent(id, { description_md: "" });
  const { after, before } = {
    after: time(0),
    before: time(30),
  };
  const first = await luma.listEvents({ after, before, limit: 2 });
  const cursor = first.next_cursor ?? undefined;
  await luma.listEvents({ after, before, limit: 2, cursor, direction: "asc" });
  await luma.listEvents({ direction: "desc" });
  await luma.listEventEntries({ after, limit: 100 });
}

async function tagsComeAndGo(luma: LumaClient, eventId: string) {
  const { id } = await luma.createEventTag({
    name: "Health & Fitness",
    color: "green",
  });
  await luma.createEventTag({ name: "Food" });
  await luma.applyEventTag(id, [eventId]);
  await luma.applyEventTag("Food", [eventId]);
  await luma.listEventTags();
  await luma.listEvents();
  await luma.unapplyEventTag("Food", [eventId]);
}

async function ticketTypesComeAndGo(luma: LumaClient, eventId: string) {
  const { id } = await luma.createTicketType({
    event_id: eventId,
    name: "Entry",
    type: "paid",
    cents: 49900,
    currency: "inr",
    max_capacity: 30,
    description: null,
    require_approval: false,
  });
  await luma.updateTicketType({
    event_ticket_type_id: id,
    cents: 59900,
    is_hidden: true,
  });
  await luma.listTicketTypes(eventId);
  await luma.listTicketTypes(eventId, { includeHidden: true });
  await luma.deleteTicketType(id);
}

async function guestsComeAndGo(luma: LumaClient, eventId: string) {
  const guests = ["one", "two", "three"].map((name) => ({
    email: `${name}@example.com`,
    name,
  }));
  const add = { event_id: eventId, send_email: false };
  await luma.addGuests({ ...add, guests, approval_status: "approved" });
  for (const status of ["pending_approval", "waitlist"] as const) {
    const email = `${status}@example.com`;
    await luma.addGuests({
      ...add,
      guests: [{ email, name: null }],
      approval_status: status,
    });
  }
  const page = await luma.listGuests(eventId, { limit: 2 });
  const cursor = page.next_cursor ?? undefined;
  await luma.listGuests(eventId, { limit: 2, cursor });
  await luma.listGuestEntries(eventId, { limit: 100 });
  await luma.listGuests(eventId, {
    status: "approved",
    sortBy: "registered_at",
    direction: "desc nulls last",
  });
  const { id } = await luma.getGuest(eventId, "one@example.com");
  for (const status of SETTABLE_STATUSES) {
    await luma.updateGuestStatus({
      event_id: eventId,
      guest_id: id,
      status,
      send_email: false,
    });
    await luma.getGuest(eventId, id);
  }
}

async function everyGuestIsRead(luma: LumaClient, eventId: string) {
  const { entries } = await luma.listGuests(eventId);
  for (const guest of entries) await luma.getGuest(eventId, guest.id);
  for (const status of GUEST_STATUSES) {
    await luma.listGuests(eventId, { status });
  }
}

async function theWebhookEnds(luma: LumaClient, id: string) {
  await luma.listWebhooks();
  await luma.updateWebhook({ id, status: "paused" });
  await luma.updateWebhook({ id, event_types: ["event.created"] });
  await luma.getWebhook(id);
  await luma.deleteWebhook(id);
}

function time(days: number): string {
  return new Date(Date.now() + days * DAY_MS).toISOString();
}

/** A start in so many days, and an end two hours later. */
function inDays(days: number): Pick<EventInput, "start_at" | "end_at"> {
  return { start_at: time(days), end_at: time(days + 2 / 24) };
}

/** The smallest PNG: one transparent pixel. */
const PNG = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
);
