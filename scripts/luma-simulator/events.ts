import type { z } from "zod";
import { ApiError } from "./errors.ts";
import { checkCover, DEFAULT_COVER_URL } from "./images.ts";
import { renderedMarkdown } from "./markdown.ts";
import type { createEvent as createSchema, hostEventPatch } from "./schemas.ts";
import { defaultTicketType } from "./ticket_types.ts";
import { calendarEventAddedData, eventData } from "./views.ts";
import type { GeoAddress, SimCalendar, SimEvent, World } from "./world.ts";

export type EventInput = z.output<typeof createSchema>;
export type EventPatch = z.output<typeof hostEventPatch>;

const HOUR_MS = 3_600_000;
/** Changes to these are mailed to the guests (Luma OpenAPI, suppress_notifications). */
const MAILED_FIELDS = [
  "name",
  "start_at",
  "end_at",
  "timezone",
  "coordinate",
  "geo_address_json",
  "meeting_url",
] as const;

/** @throws ApiError 400 when Luma would refuse it: slug taken, times reversed, a cover not uploaded. */
export function createEvent(
  world: World,
  calendar: SimCalendar,
  input: EventInput,
): SimEvent {
  const startAt = instant(input.start_at);
  const event = applied(world, {
    id: world.id("evt"),
    calendar_id: calendar.id,
    name: input.name,
    slug: world.random(8).toLowerCase(),
    start_at: startAt,
    end_at: new Date(Date.parse(startAt) + HOUR_MS).toISOString(),
    created_at: world.time(),
    timezone: input.timezone,
    description_md: "",
    geo_address_json: null,
    coordinate: null,
    meeting_url: null,
    cover_url: DEFAULT_COVER_URL,
    visibility: "public",
    max_capacity: null,
    registration_questions: [],
    feedback_email: { enabled: true, delay: "PT0M" },
    can_register_for_multiple_tickets: false,
    name_requirement: "full-name",
    phone_number_requirement: null,
    reminders_disabled: false,
    show_guest_list: true,
    tint_color: null,
    waitlist_status: "disabled",
    guests: [],
    tags: [],
    ticketTypes: [defaultTicketType(world)],
  }, input);
  world.events.set(event.id, event);
  world.emit("event.created", calendar.id, eventData(world, event));
  const added = calendarEventAddedData(calendar, event);
  world.emit("calendar.event.added", calendar.id, added);
  return event;
}

/**
 * Changes the fields that the patch names; null empties, absence leaves. A patch that changes
 * nothing fires no webhook and sends no mail.
 */
export function updateEvent(
  world: World,
  event: SimEvent,
  patch: EventPatch,
  suppressNotifications = false,
): void {
  // The whole patch is checked on a copy, so that a refused one leaves no half-made change.
  const next = applied(world, { ...event }, patch);
  const changed = (fields: readonly (keyof SimEvent)[]) =>
    fields.some((f) => JSON.stringify(event[f]) !== JSON.stringify(next[f]));
  const changedAny = changed(
    (Object.keys(next) as (keyof SimEvent)[]).filter((f) => f !== "guests"),
  );
  const mail = !suppressNotifications && changed(MAILED_FIELDS);
  Object.assign(event, next);
  if (!changedAny) return;
  if (mail) mailGuests(world, event, "event-changed");
  world.emit("event.updated", event.calendar_id, eventData(world, event));
}

/** Deletes the event for good, as Luma's cancel does; its slug is free again. */
export function cancelEvent(world: World, event: SimEvent): void {
  world.events.delete(event.id);
  mailGuests(world, event, "event-canceled");
  world.emit("event.canceled", event.calendar_id, eventData(world, event));
}

function applied(world: World, event: SimEvent, patch: EventPatch): SimEvent {
  const { start_at, end_at, description_md, geo_address_json, slug, ...plain } =
    patch;
  for (const [field, value] of Object.entries(plain)) {
    if (value !== undefined) Object.assign(event, { [field]: value });
  }
  if (plain.name !== undefined) event.name = plain.name.trim();
  // An empty link is no link: the document has no null here.
  if (plain.meeting_url === "") event.meeting_url = null;
  if (plain.cover_url !== undefined) checkCover(world, plain.cover_url);
  if (start_at !== undefined) event.start_at = instant(start_at);
  if (end_at !== undefined) event.end_at = instant(end_at);
  if (event.end_at <= event.start_at) {
    throw new ApiError(
      400,
      `end_at: ${event.end_at} is not after start_at ${event.start_at}`,
    );
  }
  if (description_md !== undefined) {
    event.description_md = renderedMarkdown(description_md);
  }
  if (geo_address_json !== undefined) {
    event.geo_address_json = geo_address_json && resolved(geo_address_json);
  }
  if (slug !== undefined) {
    checkSlug(world, slug, event.id);
    event.slug = slug;
  }
  return event;
}

/** Years outside 0000-9999 cannot occur here, so that ISO texts compare as the instants do. */
function instant(text: string): string {
  return new Date(text).toISOString();
}

function checkSlug(world: World, slug: string, eventId: string): void {
  const taken = findBySlug(world, slug);
  if (taken && taken.id !== eventId) {
    throw new ApiError(400, `slug: "${slug}" is already taken`);
  }
}

/** The event or calendar whose page is `https://luma.com/<slug>`; letter case does not matter. */
export function findBySlug(
  world: World,
  slug: string,
): SimEvent | SimCalendar | undefined {
  const same = (entity: { slug: string }) =>
    entity.slug.toLowerCase() === slug.toLowerCase();
  return world.events.values().find(same) ?? world.calendars.find(same);
}

/** Luma answers places in a form of its own: spaces made uniform, a Google id looked up. */
function resolved(
  input: NonNullable<EventPatch["geo_address_json"]>,
): GeoAddress {
  const manual = input.type === "manual";
  const address = manual
    ? input.address.replace(/\s+/g, " ").trim()
    : `Google place ${input.place_id}`;
  return {
    address,
    city: null,
    region: null,
    country: null,
    city_state: null,
    full_address: address,
    google_maps_place_id: manual ? null : input.place_id,
    apple_maps_place_id: null,
    description: manual ? null : input.description ?? null,
  };
}

function mailGuests(
  world: World,
  event: SimEvent,
  about: "event-changed" | "event-canceled",
): void {
  for (const guest of event.guests) {
    if (guest.approval_status === "declined") continue;
    world.mail({ to: guest.user_email, event_id: event.id, about });
  }
}
