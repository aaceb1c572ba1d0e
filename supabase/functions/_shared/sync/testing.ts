/** Rows and jobs for the tests in this folder. */
import type { EventJob, EventState } from "./job.ts";

/** An approved event with a value in every column that Luma is told of. */
export const STATE: EventState = {
  shown: true,
  title: "Open mic",
  description: "Bring a **song**.",
  starts_at: "2027-01-01T14:00:00+00:00",
  ends_at: "2027-01-01T16:30:00+00:00",
  tz: "Asia/Kolkata",
  lat: 12.93,
  lng: 77.63,
  location_raw: "80 Feet Road, Bengaluru",
  location_name: "Zo House",
  location_type: "custom",
  meeting_point: "roof",
  meeting_url: "https://meet.example/abc",
  cover_image_url: null,
  visibility: "public",
  max_capacity: 40,
  culture: null,
  category: "community",
  is_ticketed: false,
  ticket_price: null,
  ticket_currency: "INR",
};

export function stateWith(changes: Partial<EventState>): EventState {
  return { ...STATE, ...changes };
}

/** A job for an event that is new to Luma. */
export const JOB: EventJob = {
  entity: "event",
  id: "00000000-0000-4000-8000-000000000001",
  lease: "lease-1",
  version: 1,
  calendar: "blr",
  slug: "open-mic-1a2b3c",
  luma_event_id: null,
  look: false,
  look_tags: false,
  maybe_created: false,
  create_matches: false,
  created_from: null,
  cancel_on_luma: false,
  state: STATE,
  changed: null,
  culture: null,
  previous_culture: null,
  maybe_cultures: [],
  luma_cover: null,
};

/** What the mapping makes of STATE. */
export const FIELDS = {
  name: "Open mic",
  description_md: "Bring a **song**.",
  start_at: "2027-01-01T14:00:00.000Z",
  end_at: "2027-01-01T16:30:00.000Z",
  timezone: "Asia/Kolkata",
  coordinate: { latitude: 12.93, longitude: 77.63 },
  geo_address_json: {
    type: "manual" as const,
    address: "Zo House, 80 Feet Road, Bengaluru (Meeting point: roof)",
  },
  meeting_url: "https://meet.example/abc",
  visibility: "public" as const,
  max_capacity: 40,
};
