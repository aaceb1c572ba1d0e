import { z } from "zod";
import {
  anyGuestStatus,
  coordinate,
  coverUrl,
  dateTime,
  email,
  eventId,
  eventName,
  feedbackEmail,
  geoAddress,
  guestStatus,
  pagination,
  registrationQuestion,
  slug,
  sortDirection,
  tagColor,
  timezone,
  visibility,
  webhookType,
} from "./schema_fields.ts";

// One strict schema for each route, written after Luma's OpenAPI document of August 2026: a field
// that the document does not name is refused, and so is null where the document has no null.

export const nothing = z.strictObject({});

const optionalEventFields = {
  can_register_for_multiple_tickets: z.boolean().optional(),
  cover_url: coverUrl.optional(),
  coordinate: coordinate.optional(),
  description_md: z.string().optional(),
  end_at: dateTime.optional(),
  geo_address_json: geoAddress.optional(),
  max_capacity: z.int().nullish(),
  meeting_url: z.string().optional(),
  name_requirement: z.enum(["full-name", "first-last"]).optional(),
  phone_number_requirement: z.enum(["optional", "required"]).nullish(),
  registration_questions: z.array(registrationQuestion).optional(),
  reminders_disabled: z.boolean().optional(),
  feedback_email: feedbackEmail.optional(),
  show_guest_list: z.boolean().optional(),
  slug: slug.optional(),
  tint_color: z.string().regex(
    /^#([\da-f]{3}|[\da-f]{4}|[\da-f]{6}|[\da-f]{8})$/i,
    { error: "not a hex color such as #bb2dc7" },
  ).optional(),
  visibility: visibility.optional(),
};

export const createEvent = z.strictObject({
  ...optionalEventFields,
  name: eventName,
  start_at: dateTime,
  timezone,
});

/** A change to an event. No field but max_capacity and phone_number_requirement takes null. */
const eventPatch = z.strictObject({
  ...optionalEventFields,
  name: eventName.optional(),
  start_at: dateTime.optional(),
  timezone: timezone.optional(),
});

export const updateEvent = eventPatch.extend({
  event_id: eventId,
  suppress_notifications: z.boolean().optional(),
});

export const eventById = z.strictObject({ event_id: eventId });

export const listEvents = z.strictObject({
  ...pagination,
  before: dateTime.optional(),
  after: dateTime.optional(),
  // A parameter given once arrives as text, repeated as a list.
  platforms: z.preprocess(
    (value) => typeof value === "string" ? [value] : value,
    z.array(z.enum(["luma", "external"])).optional(),
  ),
  sort_column: z.enum(["start_at"]).optional(),
  sort_direction: sortDirection,
  status: z.enum(["approved", "pending"]).optional(),
});

export const cancelEvent = z.strictObject({
  event_id: eventId,
  cancellation_token: z.string(),
  should_refund: z.boolean().optional(),
});

export const lookup = z.strictObject({ slug: z.string() });

export const getGuest = z.strictObject({ event_id: eventId, id: z.string() });

export const listGuests = z.strictObject({
  ...pagination,
  event_id: eventId,
  approval_status: anyGuestStatus.optional(),
  sort_column: z.enum([
    "name",
    "email",
    "created_at",
    "registered_at",
    "checked_in_at",
  ]).optional(),
  sort_direction: sortDirection,
});

const ticketRef = z.strictObject({ event_ticket_type_id: z.string() });

export const addGuests = z.strictObject({
  event_id: eventId,
  guests: z.array(z.strictObject({ email, name: z.string().nullish() })),
  ticket: ticketRef.nullish(),
  tickets: z.array(ticketRef).nullish(),
  approval_status: z.enum(["approved", "pending_approval", "waitlist"])
    .nullish(),
  send_email: z.boolean().nullish(),
});

export const updateGuestStatus = z.strictObject({
  event_id: eventId,
  guest_id: z.string(),
  status: guestStatus,
  should_refund: z.boolean().optional(),
  send_email: z.boolean().nullish(),
  message: z.string().max(200).nullish(),
});

export const createUploadUrl = z.strictObject({
  content_type: z.enum(["image/jpeg", "image/png"]).nullish(),
});

export const createTag = z.strictObject({
  name: eventName,
  color: tagColor.nullish(),
});
export const updateTag = z.strictObject({
  tag_id: z.string(),
  name: eventName.optional(),
  color: tagColor.optional(),
});
export const deleteTag = z.strictObject({ tag_id: z.string() });
export const applyTag = z.strictObject({
  tag: z.string(),
  event_ids: z.array(eventId).min(1),
});

const ticketTypeFields = {
  require_approval: z.boolean().optional(),
  is_hidden: z.boolean().optional(),
  description: z.string().nullish(),
  valid_start_at: z.string().nullish(),
  valid_end_at: z.string().nullish(),
  max_capacity: z.number().nullish(),
  cents: z.number().nullish(),
  currency: z.string().nullish(),
  is_flexible: z.boolean().optional(),
  min_cents: z.number().nullish(),
};
const ticketKind = z.enum(["free", "paid"]);

export const createTicketType = z.strictObject({
  ...ticketTypeFields,
  event_id: eventId,
  name: eventName,
  type: ticketKind,
});
export const updateTicketType = z.strictObject({
  ...ticketTypeFields,
  event_ticket_type_id: z.string(),
  name: eventName.optional(),
  type: ticketKind.optional(),
});
export const ticketTypeById = z.strictObject({
  event_ticket_type_id: z.string(),
});
export const listTicketTypes = z.strictObject({
  event_id: eventId,
  include_hidden: z.string().optional(),
});

export const createWebhook = z.strictObject({
  url: z.url().regex(/^http/, { error: "must be an http or https address" }),
  event_types: z.array(webhookType).min(1),
});
export const updateWebhook = z.strictObject({
  id: z.string(),
  event_types: z.array(webhookType).min(1).optional(),
  status: z.enum(["active", "paused"]).optional(),
});
export const webhookById = z.strictObject({ id: z.string() });
export const listWebhooks = z.strictObject(pagination);

/** What a host can change on Luma's own pages: more than the API takes, such as removing the place. */
export const hostEventPatch = eventPatch.extend({
  coordinate: coordinate.nullish(),
  geo_address_json: geoAddress.nullish(),
  meeting_url: z.string().nullish(),
  waitlist_status: z.enum(["disabled", "enabled"]).optional(),
});
