/** The rows that queries.ts answers. */

export type Mode = "off" | "dry_run" | "live";

export interface Headline {
  mode: Mode;
  dead: number;
}

export interface Health {
  waiting: number;
  in_flight: number;
  dead: number;
  missed_changes: number;
  duplicates: number;
  last_drain: Date | null;
  problem: string | null;
}

export interface Alert {
  kind: string;
  calendar: string | null;
  message: string;
  raised_at: Date;
}

export interface Queue {
  entity: string;
  calendar: string | null;
  due: number;
  waiting: number;
  in_flight: number;
  dead: number;
  oldest_due: Date | null;
}

/** So many events or RSVPs wait or failed for the same reason; one of them by name. */
export interface Reason {
  entity: "event" | "rsvp";
  status: string;
  note: string | null;
  count: number;
  event_id: string;
  title: string | null;
}

export interface Count {
  status: string;
  count: number;
}

export interface Calendar {
  calendar: string;
  name: string | null;
  ready: boolean;
  problem: string | null;
  paused_by: "admin" | "luma" | null;
  paused_until: Date | null;
  calls_last_minute: number;
  calls_left: number;
  calls_per_minute: number;
  last_webhook: Date | null;
  webhooks_missed: boolean;
  last_pull: Date | null;
}

export interface Lag {
  direction: "to Luma" | "from Luma";
  entity: string;
  changes: number;
  p50_ms: number;
  p99_ms: number;
  max_ms: number;
}

export interface Traffic {
  bucket_at: Date;
  calendar: string | null;
  calls: number;
  failed: number;
  rate_limited: number;
  p50_ms: number | null;
  p99_ms: number | null;
}

export interface Backfill {
  state: "none" | "running" | "stopped" | "done";
  started_at: Date | null;
  total: number;
  done: number;
  waiting: number;
  dead: number;
  per_minute: number | null;
  ends_at: Date | null;
}

interface EventStatus {
  event_id: string;
  title: string;
  submission_status: string | null;
  starts_at: Date;
  tz: string | null;
  status: string;
  note: string | null;
  calendar: string | null;
  luma_url: string | null;
  synced_at: Date | null;
}

export interface EventLine extends EventStatus {
  rsvps: number;
  rsvps_waiting: number;
  rsvps_failed: number;
}

export interface Event extends EventStatus {
  luma_event_id: string | null;
  due_at: Date | null;
  attempts: number | null;
  source_type: string | null;
  visibility: string | null;
  location_name: string | null;
  max_capacity: number | null;
  current_rsvp_count: number | null;
  external_count: number | null;
}

export interface Rsvp {
  rsvp_id: string;
  user_id: string;
  name: string | null;
  email: string | null;
  rsvp_status: string | null;
  status: string;
  luma_status: string | null;
  note: string | null;
  synced_at: Date | null;
  /** Of all that there are. */
  total: number;
}

/** A call to Luma as luma.attempts keeps it; status null: no answer came. */
export interface Call {
  route: string;
  at: string;
  ms?: number;
  status?: number | null;
  body?: unknown;
}

export interface HistoryLine {
  /** Counted from the oldest, so it stays. */
  place: number;
  at: Date;
  what: string;
  entity: string;
  who: string | null;
  outcome: string | null;
  detail: string | null;
  took_ms: number | null;
  calls: Call[];
  total: number;
}

export interface Conflict {
  id: number;
  noticed_at: Date;
  entity: "event" | "rsvp";
  event_id: string;
  title: string | null;
  user_id: string | null;
  field: string;
  app_value: unknown;
  luma_value: unknown;
  winner: "app" | "luma";
  total: number;
}

export interface DeadLetter {
  entity: string;
  title: string | null;
  calendar: string | null;
  error: string | null;
  dead_at: Date;
  changed_at: Date;
  /** What luma.retry() calls it: a uuid, or a webhook's id. */
  id: string;
  event_id: string | null;
  total: number;
}

export interface Delivery {
  webhook_id: string;
  calendar: string;
  type: string;
  state: string;
  outcome: string | null;
  error: string | null;
  received_at: Date;
  times_received: number;
  event_id: string | null;
  title: string | null;
  took_ms: number | null;
}

export interface Pull {
  calendar: string;
  title: string | null;
  luma_event_id: string | null;
  state: string;
  reads: string;
  reason: string;
  requested_at: Date;
  started_at: Date | null;
  took_ms: number | null;
  events: number;
  guests: number;
  inserted: number;
  updated: number;
  unchanged: number;
  to_read: number;
  errors: number;
  calls: number;
  problems: string[];
}

export interface LogLine {
  at: Date;
  who: string;
  via: string | null;
  what: string;
  detail: unknown;
}
