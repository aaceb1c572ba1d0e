/** One edit of each field, as the app makes it and as a host makes it, and what either side shall say then. */
import { assertEquals } from "@std/assert";
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { type Kind, rowWithVersion } from "./luma_deliveries.ts";
import { settle } from "./luma_side.ts";
import { calls, type EventRow, type Stack } from "./testing.ts";

export type Patch = Parameters<Stack["simulator"]["host"]["updateEvent"]>[1];

/** One field, edited on both sides. */
export interface Edit {
  /** Luma's name of it, as in luma.conflicts. */
  field: string;
  app: EventRow;
  luma: Patch;
  /** What the row says then, by column, beside what the app has edited. */
  appSays?: EventRow;
  /** What Luma says then, in the form that is compared; null where that is the patch itself. */
  lumaSays?: unknown;
  /** The columns when Luma wins. */
  columns: EventRow;
  /** Luma's own when the app wins. */
  told: Partial<SimEvent>;
}

export const inDays = (days: number) =>
  new Date(Math.floor(Date.now() / 1000) * 1000 + days * 86_400_000);

/** A time in luma.event_state(). */
const stated = (date: Date) => date.toISOString().replace(".000Z", "+00:00");

export function manual(address: string) {
  return { geo_address_json: { type: "manual" as const, address } };
}

function resolved(address: string) {
  return {
    address,
    full_address: address,
    city: null,
    region: null,
    country: null,
    city_state: null,
    google_maps_place_id: null,
    apple_maps_place_id: null,
    description: null,
  };
}

/** Every field but the cover, which is another file on either side. */
export function edits(): Edit[] {
  const [start, end, hostStart, hostEnd] = [8, 9, 10, 11].map(inDays) as [
    Date,
    Date,
    Date,
    Date,
  ];
  return [
    {
      field: "name",
      app: { title: "Ours" },
      luma: { name: "Theirs" },
      columns: { title: "Theirs" },
      told: { name: "Ours" },
    },
    {
      field: "description_md",
      app: { description: "* ours" },
      luma: { description_md: "* theirs" },
      lumaSays: "- theirs",
      columns: { description: "- theirs" },
      told: { description_md: "- ours" },
    },
    {
      field: "start_at",
      app: { starts_at: start },
      luma: { start_at: hostStart.toISOString() },
      appSays: { starts_at: stated(start) },
      columns: { starts_at: hostStart },
      told: { start_at: start.toISOString() },
    },
    {
      field: "end_at",
      app: { ends_at: end },
      luma: { end_at: hostEnd.toISOString() },
      appSays: { ends_at: stated(end) },
      columns: { ends_at: hostEnd },
      told: { end_at: end.toISOString() },
    },
    {
      field: "timezone",
      app: { tz: "Europe/Lisbon" },
      luma: { timezone: "Asia/Tokyo" },
      columns: { tz: "Asia/Tokyo" },
      told: { timezone: "Europe/Lisbon" },
    },
    {
      field: "coordinate",
      app: { lat: 1.5, lng: 2.5 },
      luma: { coordinate: { latitude: 3.5, longitude: 4.5 } },
      columns: { lat: 3.5, lng: 4.5 },
      told: { coordinate: { latitude: 1.5, longitude: 2.5 } },
    },
    {
      field: "geo_address_json",
      app: { location_name: "Pier", location_raw: "1 Sea Road" },
      luma: manual("2  Hill Road"),
      appSays: { meeting_point: null },
      lumaSays: "2 Hill Road",
      columns: { location_name: null, location_raw: "2 Hill Road" },
      told: { geo_address_json: resolved("Pier, 1 Sea Road") },
    },
    {
      field: "meeting_url",
      app: { meeting_url: "https://meet.example.com/ours" },
      luma: { meeting_url: "https://meet.example.com/theirs" },
      columns: { meeting_url: "https://meet.example.com/theirs" },
      told: { meeting_url: "https://meet.example.com/ours" },
    },
    {
      field: "visibility",
      app: { visibility: "members-only" },
      luma: { visibility: "private" },
      columns: { visibility: "private" },
      told: { visibility: "members-only" },
    },
  ];
}

/** An entry of luma.conflicts for such an edit. */
export function conflictOf(edit: Edit, kind: Kind): EventRow {
  const said = Object.values(edit.luma)[0];
  return {
    field: edit.field,
    app_value: { ...edit.app, ...edit.appSays },
    luma_value: edit.lumaSays ?? said,
    winner: kind === "ours" ? "app" : "luma",
  };
}

export function merged<T extends object>(parts: readonly T[]): T {
  return Object.assign({}, ...parts);
}

export async function edit(
  { sql }: Pick<Stack, "sql">,
  id: string,
  columns: EventRow,
): Promise<void> {
  await sql`update public.canonical_events set ${
    sql(columns)
  } where id = ${id}`;
}

/** Nothing more happens, on either side. */
export async function assertRest(stack: Stack, id: string): Promise<void> {
  const before = await rowWithVersion(stack, id);
  stack.simulator.clearRequests();
  await settle(stack);
  assertEquals(calls(stack), []);
  assertEquals(await rowWithVersion(stack, id), before);
}

/** In an order that a test can tell beforehand. */
export const byField = (conflicts: EventRow[]) =>
  conflicts.toSorted((a, b) => String(a.field).localeCompare(String(b.field)));
