/**
 * What the product sends to Luma, in Luma's own field names (source: Luma's OpenAPI document).
 * Events have schemas, because their values come from rows that people wrote: the mapping parses with them,
 * so a value that Luma would refuse is named before a call is spent on it. The other bodies are made by code.
 * `undefined` leaves a field as it is on Luma; null empties, and only `max_capacity` can be emptied so.
 */
import { z } from "zod";
import {
  type AddableStatus,
  type SettableStatus,
  VISIBILITIES,
  type WebhookEventType,
} from "./types.ts";

/** A cover must have been uploaded to Luma's CDN; every other address is refused. */
const coverUrl = z.url().regex(/^https:\/\/images\.lumacdn\.com\//, {
  message: "must be an image on Luma's CDN (https://images.lumacdn.com/…)",
});

const timestamp = z.iso.datetime({ offset: true });

/** `POST /v1/events/create`: the fields the product sets. `timezone` is an IANA name. */
export const EventInput = z.strictObject({
  name: z.string().min(1),
  start_at: timestamp,
  end_at: timestamp.optional(),
  timezone: z.string().min(1),
  slug: z.string().min(3).max(50).optional(),
  description_md: z.string().optional(),
  cover_url: coverUrl.optional(),
  coordinate: z.strictObject({
    longitude: z.number().min(-180).max(180),
    latitude: z.number().min(-90).max(90),
  }).optional(),
  geo_address_json: z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("manual"), address: z.string().min(1) }),
    z.strictObject({
      type: z.literal("google"),
      place_id: z.string().min(1),
      description: z.string().nullish(),
    }),
  ]).optional(),
  meeting_url: z.string().optional(),
  visibility: z.enum(VISIBILITIES).optional(),
  max_capacity: z.int().nullish(),
});

export type EventInput = z.infer<typeof EventInput>;

/** `POST /v1/events/update`: only what changes. */
export const EventChanges = EventInput.partial();
export type EventChanges = z.infer<typeof EventChanges>;

/**
 * `POST /v1/events/guests/add`: many guests, one status. `send_email` has no default here, because Luma's
 * is to mail every guest.
 */
export interface AddGuestsInput {
  event_id: string;
  guests: { email: string; name?: string | null }[];
  approval_status: AddableStatus;
  send_email: boolean;
  ticket?: { event_ticket_type_id: string };
}

/** `POST /v1/events/guests/update-status`. `send_email` has no default here, because Luma's is to mail the guest. */
export interface GuestStatusInput {
  event_id: string;
  /** The guest's id (`gst-…`) or e-mail. */
  guest_id: string;
  status: SettableStatus;
  send_email: boolean;
  /** Refund a guest who has paid; Luma's default is false. */
  should_refund?: boolean;
}

/** `POST /v1/events/cancel`. Irreversible: it mails all guests, refunds if asked, and deletes the event. */
export interface CancelInput {
  event_id: string;
  cancellation_token: string;
  should_refund?: boolean;
}

/** What a ticket type can say. `cents` is in the currency's smallest unit; `currency` is in lower case, as in Luma's own lists (`inr`). */
export interface TicketTypeFields {
  name: string;
  type: "free" | "paid";
  cents?: number | null;
  currency?: string | null;
  max_capacity?: number | null;
  description?: string | null;
  is_hidden?: boolean;
  require_approval?: boolean;
}

/** `POST /v1/events/ticket-types/create`. */
export interface TicketTypeInput extends TicketTypeFields {
  event_id: string;
}

/** `POST /v1/events/ticket-types/update`: only what changes. */
export interface TicketTypeChanges extends Partial<TicketTypeFields> {
  event_ticket_type_id: string;
}

/** The colours Luma has for event tags. */
export type TagColor =
  | "cranberry"
  | "barney"
  | "red"
  | "green"
  | "blue"
  | "purple"
  | "yellow"
  | "orange";

/** The image types Luma's upload takes. */
export type ImageType = "image/jpeg" | "image/png";

/** `POST /v2/webhooks/update`: only what changes; a paused webhook delivers nothing. */
export interface WebhookChanges {
  id: string;
  event_types?: WebhookEventType[];
  status?: "active" | "paused";
}
