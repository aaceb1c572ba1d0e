/**
 * The wire shapes that the product sends to Luma and relies on in what comes back.
 * Source: Luma's OpenAPI document (`/openapi.json` on the API host), except where a comment says otherwise.
 *
 * Reading is lenient where Luma may grow: unknown fields stay (raw_payload keeps them), and words such as a
 * status or a visibility are plain strings, because one new word must not make a whole page unreadable.
 * Reading is strict about the fields that no row can be made without. A field that is absent was not told,
 * and null means empty: the two are never merged.
 */
import { z } from "zod";

/** The values Luma takes for an event's visibility. */
export const VISIBILITIES = ["public", "members-only", "private"] as const;

/** The statuses that `POST /v1/events/guests/add` can give to new guests. */
export const ADDABLE_STATUSES = [
  "approved",
  "pending_approval",
  "waitlist",
] as const;

/** The statuses that `POST /v1/events/guests/update-status` can set. */
export const SETTABLE_STATUSES = [...ADDABLE_STATUSES, "declined"] as const;

/** The statuses a guest can have on Luma. */
export const GUEST_STATUSES = [
  ...SETTABLE_STATUSES,
  "invited",
  "session",
] as const;

/** The kinds of delivery a webhook subscription can name; `*` is all of them. */
export const WEBHOOK_EVENT_TYPES = [
  "*",
  "calendar.event.added",
  "calendar.person.subscribed",
  "event.canceled",
  "event.created",
  "event.updated",
  "guest.registered",
  "guest.updated",
  "ticket.registered",
] as const;

export type Visibility = typeof VISIBILITIES[number];
export type AddableStatus = typeof ADDABLE_STATUSES[number];
export type SettableStatus = typeof SETTABLE_STATUSES[number];
export type GuestStatus = typeof GUEST_STATUSES[number];
export type WebhookEventType = typeof WEBHOOK_EVENT_TYPES[number];

/** An ISO 8601 time with its offset, for example `2026-12-01T18:30:00.000Z`. */
const timestamp = z.iso.datetime({ offset: true });
const text = z.string().nullish();

/** Degrees; (0, 0) is a place. */
export const Coordinate = z.looseObject({
  longitude: z.number(),
  latitude: z.number(),
});
export type Coordinate = z.infer<typeof Coordinate>;

/** An address as Luma resolved it. What was sent as `manual` comes back in `address`. */
export const GeoAddress = z.looseObject({
  address: text,
  full_address: text,
  description: text,
  city: text,
  region: text,
  country: text,
});
export type GeoAddress = z.infer<typeof GeoAddress>;

export const Tag = z.looseObject({ id: z.string(), name: z.string() });
export type Tag = z.infer<typeof Tag>;

export const Host = z.looseObject({
  id: z.string(),
  email: text,
  name: text,
});
export type Host = z.infer<typeof Host>;

/**
 * An event as Luma tells it. `GET /v1/events/get` has `hosts` and no `tags`; lists and webhooks have `tags`
 * and no `hosts`; lists leave out the descriptions (Luma's changelog, July 2026). No answer has the slug or
 * max_capacity.
 */
export const LumaEvent = z.looseObject({
  id: z.string(),
  calendar_id: z.string(),
  name: z.string(),
  start_at: timestamp,
  end_at: timestamp,
  timezone: z.string(),
  url: z.string(),
  visibility: z.string(),
  created_at: timestamp.nullish(),
  description: text,
  description_md: text,
  geo_address_json: GeoAddress.nullish(),
  coordinate: Coordinate.nullish(),
  meeting_url: text,
  location_type: text,
  cover_url: text,
  tags: z.array(Tag).nullish(),
  hosts: z.array(Host).nullish(),
});
export type LumaEvent = z.infer<typeof LumaEvent>;

/** One ticket of a guest; a guest is checked in ticket by ticket. */
export const GuestTicket = z.looseObject({
  id: z.string(),
  name: text,
  event_ticket_type_id: text,
  checked_in_at: timestamp.nullish(),
});
export type GuestTicket = z.infer<typeof GuestTicket>;

/** A guest of an event. `phone_number` is in international form (`+91…`). */
export const LumaGuest = z.looseObject({
  id: z.string(),
  user_email: z.string(),
  user_name: text,
  phone_number: text,
  approval_status: z.string(),
  invited_at: timestamp.nullish(),
  registered_at: timestamp.nullish(),
  event_tickets: z.array(GuestTicket).nullish(),
});
export type LumaGuest = z.infer<typeof LumaGuest>;

/** A ticket type of an event. `cents` is in the currency's smallest unit. */
export const TicketType = z.looseObject({
  id: z.string(),
  name: z.string(),
  type: z.string(),
  cents: z.number().nullish(),
  currency: text,
  max_capacity: z.number().nullish(),
  is_hidden: z.boolean().nullish(),
  require_approval: z.boolean().nullish(),
});
export type TicketType = z.infer<typeof TicketType>;

/** A webhook subscription. `secret` signs its deliveries: never log one of these whole. */
export const Webhook = z.looseObject({
  id: z.string(),
  url: z.string(),
  event_types: z.array(z.string()),
  status: z.string(),
  secret: z.string(),
});
export type Webhook = z.infer<typeof Webhook>;

export const CalendarTag = Tag.extend({ color: text });
export type CalendarTag = z.infer<typeof CalendarTag>;

/** The user behind the key. */
export const Self = z.looseObject({
  id: z.string(),
  name: text,
  email: text,
});
export type Self = z.infer<typeof Self>;

/** The calendar that the key belongs to. */
export const Calendar = z.looseObject({
  id: z.string(),
  name: z.string(),
  slug: text,
  url: text,
});
export type Calendar = z.infer<typeof Calendar>;

/** What `GET /v1/entity/lookup` finds: a slug belongs to an event or to a calendar, or to nothing. */
export const EntityLookup = z.looseObject({
  entity: z.discriminatedUnion("type", [
    z.looseObject({
      type: z.literal("event"),
      event: z.looseObject({ id: z.string() }),
    }),
    z.looseObject({ type: z.literal("calendar") }),
  ]).nullable(),
});

/** `upload_url` takes one PUT of the bytes; `file_url` is the address on Luma's CDN that an event's cover may have. */
export const UploadUrl = z.looseObject({
  upload_url: z.string(),
  file_url: z.string(),
});
export type UploadUrl = z.infer<typeof UploadUrl>;

/** The first half of a cancellation; the token is good for 15 minutes. */
export const CancelRequest = z.looseObject({
  cancellation_token: z.string(),
  /** True when guests have paid: `should_refund` is then required to cancel. */
  is_paid: z.boolean(),
  guest_count: z.number(),
});
export type CancelRequest = z.infer<typeof CancelRequest>;

export const Id = z.looseObject({ id: z.string() });
export const Empty = z.looseObject({});
export const TagApplied = z.looseObject({
  applied_count: z.number(),
  skipped_count: z.number(),
});
export const TagUnapplied = z.looseObject({
  removed_count: z.number(),
  skipped_count: z.number(),
});

/** A list that Luma answers whole. */
export function listOf<T extends z.ZodType>(entry: T) {
  return z.looseObject({ entries: z.array(entry) });
}

/**
 * A page of a list. A page that announces more without saying where is refused: taking it for the last one
 * would record a cut-off run as complete.
 */
export function pageOf<T extends z.ZodType>(entry: T) {
  return listOf(entry).extend({
    has_more: z.boolean(),
    next_cursor: z.string().nullish(),
  }).refine((page) => !page.has_more || page.next_cursor, {
    path: ["next_cursor"],
    message: "missing although has_more is true",
  });
}
