/** The shapes that the database's luma_* functions answer, checked at the edge. */
import { z } from "zod";
import { SETTABLE_STATUSES } from "../luma/types.ts";

const text = z.string().nullable();
/**
 * Postgres writes NaN and the infinities as text, and a numeric can be larger than any double. They pass here,
 * because one such row would make the whole claim unreadable; the mapping says what is wrong with them.
 */
const number = z.union([
  z.custom<number>((value) => typeof value === "number"),
  z.enum(["NaN", "Infinity", "-Infinity"]).transform(Number),
]).nullable();

/** `luma.event_state()`: the synced columns of a row. A row that was deleted has nothing but `shown: false`. */
export const EventState = z.object({
  shown: z.boolean(),
  title: text,
  description: text,
  starts_at: text,
  ends_at: text,
  tz: text,
  lat: number,
  lng: number,
  location_raw: text,
  location_name: text,
  location_type: text,
  meeting_point: text,
  meeting_url: text,
  cover_image_url: text,
  visibility: text,
  max_capacity: number,
  culture: text,
  category: text,
  is_ticketed: z.boolean().nullable(),
  ticket_price: number,
  ticket_currency: text,
});
export type EventState = z.infer<typeof EventState>;

/** A leased event, as `luma.event_job()` describes it. */
export const EventJob = z.object({
  entity: z.literal("event"),
  id: z.string(),
  lease: z.string(),
  version: z.number(),
  calendar: z.string(),
  slug: z.string(),
  luma_event_id: text,
  /** Webhooks have left unclear what Luma holds: read it first, with its tags if `look_tags`. */
  look: z.boolean(),
  look_tags: z.boolean(),
  /** Of a backfill or an adoption: guests are mailed nothing. */
  quiet: z.boolean().optional(),
  /** A create call may have reached Luma before: look the slug up first. */
  maybe_created: z.boolean(),
  /** If so, that call was made with this very state. */
  create_matches: z.boolean(),
  /** If it was made with another one, and nothing was agreed on since: that state. */
  created_from: EventState.nullable(),
  /** The event is cancelled, and the settings want a real cancel. */
  cancel_on_luma: z.boolean(),
  /** Null for a row that was deleted. */
  state: z.union([
    EventState,
    z.strictObject({ shown: z.literal(false) }).transform(() => null),
  ]),
  /** The fields that differ from the last agreed state; null when there is none, so all of them. */
  changed: z.array(z.string()).nullable(),
  culture: z.object({ name: text, asset_file: text }).nullable(),
  previous_culture: text,
  /** Cultures whose tags were maybe put on by runs that died. */
  maybe_cultures: z.array(z.string()).default([]),
  /** The cover that Luma was last told, by its address on Luma's CDN. */
  luma_cover: text,
});
export type EventJob = z.infer<typeof EventJob>;

/** One guest of a batch: what `luma.guest_need()` said of its RSVP, and the lease of that RSVP's job. */
export const GuestJob = z.object({
  rsvp_id: z.string(),
  lease: z.string(),
  email: z.string(),
  name: text,
  /** What Luma should hold. */
  wanted: z.enum(SETTABLE_STATUSES),
  /** What both sides last agreed on; null when Luma was never told, or nobody knows. */
  agreed: z.enum(SETTABLE_STATUSES).nullable(),
  /** An earlier call about this guest may or may not have taken effect: look before calling. */
  in_doubt: z.boolean(),
  luma_guest_id: text,
});
export type GuestJob = z.infer<typeof GuestJob>;

/** Leased RSVPs of one event, as `luma.guests_job()` describes them. */
export const GuestsJob = z.object({
  entity: z.literal("guests"),
  /** The event's id. */
  id: z.string(),
  calendar: z.string(),
  luma_event_id: z.string(),
  send_email: z.boolean(),
  guests: z.array(GuestJob),
});
export type GuestsJob = z.infer<typeof GuestsJob>;

/** Guests of one event that have to be read, as `luma.looks_job()` describes them. */
export const LooksJob = z.object({
  entity: z.literal("looks"),
  /** The event's id. */
  id: z.string(),
  calendar: z.string(),
  luma_event_id: z.string(),
  guests: z.array(z.object({
    lease: z.string(),
    email: z.string(),
    luma_guest_id: text,
  })),
});
export type LooksJob = z.infer<typeof LooksJob>;

export const Job = z.discriminatedUnion("entity", [
  EventJob,
  GuestsJob,
  LooksJob,
]);
export type Job = z.infer<typeof Job>;

export const Mode = z.enum(["off", "dry_run", "live"]);
export type Mode = z.infer<typeof Mode>;

export const DrainStart = z.object({
  run_id: z.string(),
  mode: Mode,
  problems: z.array(z.string()),
  lease_seconds: z.number(),
});

export const Claim = z.object({
  mode: Mode,
  jobs: z.array(Job),
  permits: z.record(z.string(), z.number()),
  /** So long after the request the permits were given, at the least. */
  permits_after_ms: z.number(),
  wait_ms: z.number().nullable(),
  /** Webhook deliveries wait to be applied. */
  deliveries_due: z.boolean(),
});
export type Claim = z.infer<typeof Claim>;

/** What is left to be sent of an event after it was read; `job` null: nothing. */
export const EventRead = z.object({ job: EventJob.nullable() }).nullable();

export const Deliveries = z.object({
  /** More wait. */
  more: z.boolean(),
  /** Those that could not be read when they came. */
  unread: z.array(z.object({
    webhook_id: z.string(),
    type: z.string(),
    data: z.record(z.string(), z.unknown()),
  })),
});

export const Permits = z.object({
  granted: z.number(),
  after_ms: z.number(),
  wait_ms: z.number(),
});

/** A pull that this function holds the lease of. */
export const PullRun = z.object({
  run_id: z.string(),
  lease: z.string(),
  calendar: z.string(),
});
export type PullRun = z.infer<typeof PullRun>;

const call = { permit_after_ms: z.number() };

/** What a pull does next. A call is made under a permit that was given so long after the request. */
export const PullStep = z.discriminatedUnion("do", [
  z.object({ do: z.literal("end") }),
  z.object({ do: z.literal("wait"), wait_ms: z.number() }),
  z.object({ do: z.literal("get_calendar"), ...call }),
  z.object({
    do: z.literal("list_events"),
    after: z.string(),
    cursor: text,
    ...call,
  }),
  z.object({ do: z.literal("get_event"), luma_event_id: z.string(), ...call }),
  z.object({
    do: z.literal("list_guests"),
    luma_event_id: z.string(),
    cursor: text,
    ...call,
  }),
]);
export type PullStep = z.infer<typeof PullStep>;

export const CoverBegin = z.discriminatedUnion("state", [
  z.object({ state: z.literal("uploaded"), luma_url: z.string() }),
  z.object({ state: z.literal("busy") }),
  z.object({
    state: z.literal("failed"),
    error: text,
    transient: z.boolean(),
  }),
  z.object({ state: z.literal("upload") }),
]);
export type CoverBegin = z.infer<typeof CoverBegin>;
