import { plainText } from "./markdown.ts";
import type {
  SimCalendar,
  SimEvent,
  SimExternalEvent,
  SimGuest,
  SimTicket,
  SimUser,
  World,
} from "./world.ts";

// How Luma's API and webhooks show what is kept: exactly the fields of its OpenAPI document, no more.

const AVATAR_URL = "https://images.lumacdn.com/avatars-default/avatar.png";

export const pageUrl = (slug: string) => `https://luma.com/${slug}`;

export function userView(user: SimUser) {
  return { ...personNames(user.name), ...userBase(user), email: user.email };
}

function userBase(user: SimUser) {
  return { id: user.id, name: user.name, avatar_url: AVATAR_URL };
}

function personNames(name: string | null) {
  const [first, ...rest] = (name ?? "").split(/\s+/).filter(Boolean);
  return {
    first_name: first ?? null,
    last_name: rest.length > 0 ? rest.join(" ") : null,
  };
}

export function calendarView(calendar: SimCalendar) {
  return {
    id: calendar.id,
    name: calendar.name,
    slug: calendar.slug,
    avatar_url: null,
    url: pageUrl(calendar.slug),
    description: null,
    social_image_url: null,
    cover_image_url: null,
    is_personal: false,
    location: null,
    coordinate: null,
    instagram_handle: null,
    twitter_handle: null,
    youtube_handle: null,
    website: null,
  };
}

function owner(world: World, event: SimEvent): SimUser {
  const calendar = world.calendars.find((c) => c.id === event.calendar_id);
  if (!calendar) throw new Error(`event ${event.id} is on no calendar`);
  return calendar.owner;
}

/** The fields that events/get, calendars/events/list and the webhooks have in common. */
function eventBase(world: World, event: SimEvent) {
  return {
    platform: "luma",
    id: event.id,
    user_id: owner(world, event).id,
    calendar_id: event.calendar_id,
    start_at: event.start_at,
    duration_interval: duration(event),
    end_at: event.end_at,
    created_at: event.created_at,
    timezone: event.timezone,
    name: event.name,
    geo_address_json: event.geo_address_json,
    coordinate: event.coordinate,
    meeting_url: event.meeting_url,
    location_type: locationType(event),
    location_visibility: "public",
    cover_url: event.cover_url,
    registration_questions: event.registration_questions,
    url: pageUrl(event.slug),
    visibility: event.visibility,
    waitlist_status: event.waitlist_status,
    feedback_email: event.feedback_email,
  };
}

const descriptions = (event: SimEvent) => ({
  description: plainText(event.description_md),
  description_md: event.description_md,
});

const tags = (event: SimEvent) => ({
  tags: event.tags.map(({ id, name }) => ({ id, name })),
});

/** The answer of /v1/events/get. */
export function eventView(world: World, event: SimEvent) {
  return {
    ...eventBase(world, event),
    ...descriptions(event),
    hosts: [userView(owner(world, event))],
  };
}

/** An entry of /v1/calendars/events/list: since July 2026 without the descriptions (Luma's changelog). */
export function eventEntry(world: World, event: SimEvent) {
  return { ...eventBase(world, event), ...tags(event) };
}

export function externalEventEntry(event: SimExternalEvent) {
  return {
    platform: "external",
    ...event,
    duration_interval: duration(event),
    geo_address_json: null,
    coordinate: null,
    tags: [],
  };
}

/** The `data` of the event.* webhooks, deprecated fields included. */
export function eventData(world: World, event: SimEvent) {
  return {
    ...eventBase(world, event),
    ...descriptions(event),
    geo_latitude: event.coordinate && String(event.coordinate.latitude),
    geo_longitude: event.coordinate && String(event.coordinate.longitude),
    ...tags(event),
  };
}

/** The `data` of calendar.event.added for an event of this calendar. */
export function calendarEventAddedData(calendar: SimCalendar, event: SimEvent) {
  return {
    platform: "luma",
    id: event.id,
    name: event.name,
    url: pageUrl(event.slug),
    cover_url: event.cover_url,
    start_at: event.start_at,
    end_at: event.end_at,
    timezone: event.timezone,
    calendar: calendarView(calendar),
    hosts: [userBase(calendar.owner)],
  };
}

export function externalEventAddedData(event: SimExternalEvent) {
  const { id, name, url, start_at, end_at, timezone, host } = event;
  return {
    platform: "external",
    id,
    name,
    url,
    start_at,
    end_at,
    timezone,
    host_name: host,
  };
}

/** The event as /v1/entity/lookup names it; `api_id` is the old name of `id`. */
export function eventEntity(event: SimEvent) {
  return {
    type: "event",
    event: {
      id: event.id,
      api_id: event.id,
      name: event.name,
      slug: event.slug,
      cover_url: event.cover_url,
      start_at: event.start_at,
      end_at: event.end_at,
    },
  };
}

export function calendarEntity(calendar: SimCalendar) {
  const { id, name, slug } = calendar;
  return {
    type: "calendar",
    calendar: { id, api_id: id, name, slug, avatar_url: null },
  };
}

/** An entry of /v1/events/guests/list. */
export function guestEntry(event: SimEvent, guest: SimGuest) {
  const { first_name, last_name } = personNames(guest.user_name);
  return {
    id: guest.id,
    user_id: guest.user_id,
    user_email: guest.user_email,
    user_name: guest.user_name,
    user_first_name: first_name,
    user_last_name: last_name,
    approval_status: guest.approval_status,
    check_in_qr_code: `https://luma.com/check-in/${event.id}?pk=${guest.key}`,
    eth_address: null,
    invited_at: guest.invited_at,
    joined_at: null,
    phone_number: guest.phone_number,
    registered_at: guest.registered_at,
    registration_answers: null,
    solana_address: null,
    utm_source: null,
    event_tickets: guest.event_tickets.map(ticketView),
  };
}

/** The answer of /v1/events/guests/get. */
export function guestView(event: SimEvent, guest: SimGuest) {
  return {
    ...guestEntry(event, guest),
    event_ticket_orders: guest.event_tickets.map(orderView),
  };
}

/** The `data` of the guest webhooks: the guest, the event under it, and the deprecated names. */
export function guestData(world: World, event: SimEvent, guest: SimGuest) {
  const named = (view: { id: string }) => ({ ...view, api_id: view.id });
  return {
    ...guestEntry(event, guest),
    event_tickets: guest.event_tickets.map(ticketView).map(named),
    custom_source: null,
    event_ticket_orders: guest.event_tickets.map(orderView).map(named),
    event: eventData(world, event),
  };
}

export function ticketView(ticket: SimTicket) {
  return {
    ...money(ticket),
    id: ticket.id,
    checked_in_at: ticket.checked_in_at,
    event_ticket_type_id: ticket.event_ticket_type_id,
    is_captured: true,
    name: ticket.name,
  };
}

function orderView(ticket: SimTicket) {
  const id = ticket.id.replace(/^tkt-/, "order-");
  return { ...money(ticket), id, coupon_info: null, is_captured: true };
}

function money(ticket: SimTicket) {
  return {
    amount: ticket.amount,
    amount_discount: 0,
    amount_tax: 0,
    currency: ticket.currency,
  };
}

function duration(event: { start_at: string; end_at: string }): string {
  const minutes = (Date.parse(event.end_at) - Date.parse(event.start_at)) /
    60_000;
  const hours = Math.floor(minutes / 60);
  const rest = Math.round(minutes % 60);
  return `PT${hours > 0 ? `${hours}H` : ""}${
    rest > 0 || hours === 0 ? `${rest}M` : ""
  }`;
}

const MEETING_HOSTS: [RegExp, string][] = [
  [/(^|\.)zoom\.us$/, "zoom"],
  [/(^|\.)meet\.google\.com$/, "meet"],
  [/(^|\.)(youtube\.com|youtu\.be)$/, "youtube"],
  [/(^|\.)twitch\.tv$/, "twitch"],
  [/(^|\.)(discord\.com|discord\.gg)$/, "discord"],
  [/(^|\.)(twitter\.com|x\.com)$/, "twitter"],
];

/** Read only on Luma: derived from the place and the link. */
function locationType(event: SimEvent): string {
  if (event.geo_address_json ?? event.coordinate) return "offline";
  if (event.meeting_url === null) return "missing";
  const host = URL.parse(event.meeting_url)?.hostname ?? "";
  return MEETING_HOSTS.find(([pattern]) => pattern.test(host))?.[1] ??
    "unknown";
}
