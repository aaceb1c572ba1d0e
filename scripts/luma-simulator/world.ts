import type { z } from "zod";
import { type Random, type RandomText, randomText } from "./ids.ts";
import type {
  anyGuestStatus,
  feedbackEmail,
  registrationQuestion,
  tagColor,
  visibility,
  webhookType,
} from "./schema_fields.ts";

export type GuestStatus = z.output<typeof anyGuestStatus>;
export type Visibility = z.output<typeof visibility>;
export type WebhookSubject = z.output<typeof webhookType>;
export type WebhookType = Exclude<WebhookSubject, "*">;

export interface SimCalendar {
  id: string;
  name: string;
  slug: string;
  /** What `x-luma-api-key` has to be for this calendar. */
  key: string;
  /** Whose key it is: the host of every event. */
  owner: SimUser;
  /** False: paid ticket types are refused, as on a calendar without a Stripe account. */
  stripeConnected: boolean;
  tags: SimTag[];
}

/** A Luma account; one e-mail address (compared in lower case) is one account over all calendars. */
export interface SimUser {
  id: string;
  email: string;
  name: string | null;
  phone_number: string | null;
}

export interface SimTag {
  id: string;
  name: string;
  color: z.output<typeof tagColor>;
}

export interface SimTicketType {
  id: string;
  name: string;
  type: "free" | "paid";
  cents: number | null;
  /** Lower case, as Luma's document lists currencies. */
  currency: string | null;
  require_approval: boolean;
  is_hidden: boolean;
  description: string | null;
  valid_start_at: string | null;
  valid_end_at: string | null;
  max_capacity: number | null;
  is_flexible: boolean;
  min_cents: number | null;
}

export interface SimTicket {
  id: string;
  name: string;
  event_ticket_type_id: string;
  amount: number;
  currency: string | null;
  checked_in_at: string | null;
}

export interface SimGuest {
  /** `gst-…` */
  id: string;
  /** `g-…`, another name of the guest that the API takes. */
  key: string;
  user_id: string;
  user_email: string;
  user_name: string | null;
  phone_number: string | null;
  approval_status: GuestStatus;
  created_at: string;
  registered_at: string | null;
  invited_at: string | null;
  event_tickets: SimTicket[];
}

export interface GeoAddress {
  address: string;
  city: string | null;
  region: string | null;
  country: string | null;
  city_state: string | null;
  full_address: string | null;
  google_maps_place_id: string | null;
  apple_maps_place_id: string | null;
  description: string | null;
}

/** An event as Luma keeps it, under the API's own field names; also what the API does not show. */
export interface SimEvent {
  /** `evt-…` */
  id: string;
  calendar_id: string;
  name: string;
  slug: string;
  /** ISO 8601 in UTC, whatever offset it was sent with. */
  start_at: string;
  end_at: string;
  created_at: string;
  timezone: string;
  /** As Luma renders it back, not as it was sent. */
  description_md: string;
  geo_address_json: GeoAddress | null;
  coordinate: { longitude: number; latitude: number } | null;
  meeting_url: string | null;
  cover_url: string;
  visibility: Visibility;
  max_capacity: number | null;
  registration_questions: z.output<typeof registrationQuestion>[];
  feedback_email: z.output<typeof feedbackEmail>;
  can_register_for_multiple_tickets: boolean;
  name_requirement: "full-name" | "first-last";
  phone_number_requirement: "optional" | "required" | null;
  reminders_disabled: boolean;
  show_guest_list: boolean;
  tint_color: string | null;
  waitlist_status: "disabled" | "enabled";
  guests: SimGuest[];
  tags: SimTag[];
  ticketTypes: SimTicketType[];
}

/** An event on another platform that a host put on the calendar's page. */
export interface SimExternalEvent {
  id: string;
  calendar_id: string;
  name: string;
  start_at: string;
  end_at: string;
  created_at: string;
  timezone: string;
  url: string;
  host: string | null;
}

export interface SimWebhook {
  id: string;
  calendar_id: string;
  url: string;
  event_types: WebhookSubject[];
  status: "active" | "paused";
  secret: string;
  created_at: string;
}

export interface SimImage {
  /** The last part of its address on the CDN. */
  name: string;
  /** The type that the upload address was asked for; null takes JPEG and PNG. */
  contentType: "image/jpeg" | "image/png" | null;
  /** Null until the bytes were uploaded. */
  bytes: Uint8Array | null;
}

/** A message that Luma would have sent to a guest. */
export interface SimEmail {
  time: string;
  to: string;
  event_id: string;
  about: "guest-added" | "status-changed" | "event-changed" | "event-canceled";
}

/** Hands a webhook to the sender; how and when it leaves is not the world's business. */
export type Emit = (
  type: WebhookType,
  calendarId: string,
  data: Record<string, unknown>,
) => void;

/** Everything that Luma would keep in its database, and the clock and chance it runs on. */
export class World {
  calendars: SimCalendar[] = [];
  events = new Map<string, SimEvent>();
  externalEvents: SimExternalEvent[] = [];
  users = new Map<string, SimUser>();
  webhooks: SimWebhook[] = [];
  images = new Map<string, SimImage>();
  emails: SimEmail[] = [];
  cancellations = new Map<string, { eventId: string; expiresAt: number }>();
  readonly random: RandomText;

  constructor(
    readonly now: () => number,
    readonly emit: Emit,
    random: Random,
  ) {
    this.random = randomText(random);
  }

  /** Now, as ISO 8601 in UTC. */
  time(): string {
    return new Date(this.now()).toISOString();
  }

  id(prefix: string): string {
    return `${prefix}-${this.random(16)}`;
  }

  /** The account of this e-mail address, made when it is new; a name it already has stays. */
  user(email: string, name?: string | null): SimUser {
    const key = email.trim().toLowerCase();
    const user = this.users.get(key) ??
      { id: this.id("usr"), email: key, name: null, phone_number: null };
    this.users.set(key, user);
    user.name ??= name?.trim() || null;
    return user;
  }

  mail(email: Omit<SimEmail, "time">): void {
    this.emails.push({ time: this.time(), ...email });
  }

  /** Forgets everything that happened; the calendars and their keys stay. */
  reset(): void {
    this.events.clear();
    this.externalEvents = [];
    this.webhooks = [];
    this.images.clear();
    this.emails.length = 0;
    this.cancellations.clear();
    for (const calendar of this.calendars) calendar.tags = [];
  }
}
