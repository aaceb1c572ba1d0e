/**
 * The fields of an event that can change on either side, in one form for both: what Luma tells, and what Luma
 * was told. Pure. Which column holds which field: the plan's "Luma Event Object → Our canonical_events Mapping".
 */
import type { Json } from "../database.types.ts";
import type { EventChanges } from "../luma/inputs.ts";
import { type LumaEvent, VISIBILITIES } from "../luma/types.ts";

/** What of an event can change on either side: Luma's value in a form that compares, and the columns it becomes. */
export interface FieldNews {
  value: Json;
  columns: Record<string, Json>;
}

/** Luma's names of those fields. The two strings are the deprecated form of `coordinate`. */
export const FIELD_NAMES = [
  "name",
  "description_md",
  "start_at",
  "end_at",
  "timezone",
  "coordinate",
  "geo_latitude",
  "geo_longitude",
  "geo_address_json",
  "meeting_url",
  "cover_url",
  "visibility",
] as const;

/** An event, or a part of one. A field that is absent was not told, and null empties. */
export type Told = Partial<Pick<LumaEvent, typeof FIELD_NAMES[number]>>;

/** About a metre: what a place loses on its way through Luma is no change of it. */
const PLACE_DECIMALS = 5;

/** The fields that were told, by Luma's name. A value that the columns cannot hold counts as not told. */
export function fieldsOf(told: Told): Record<string, FieldNews> {
  const fields: Record<string, FieldNews | undefined> = {
    name: field("title", told.name?.trim() || undefined),
    description_md: description(told.description_md),
    start_at: field("starts_at", instant(told.start_at)),
    end_at: field("ends_at", instant(told.end_at)),
    timezone: field("tz", timeZone(told.timezone)),
    coordinate: coordinate(told),
    geo_address_json: address(told.geo_address_json),
    meeting_url: meetingUrl(told.meeting_url),
    cover_url: field("cover_image_url", trimmed(told.cover_url)),
    visibility: field(
      "visibility",
      VISIBILITIES.find((known) => known === told.visibility),
    ),
  };
  return defined(fields);
}

/**
 * What Luma was told (the body of a create or update call), in the form that the values of `fieldsOf` have. Left
 * out is what Luma does not tell back: slug, max_capacity, and a Google place, which comes back as an address.
 */
export function toldFields(sent: EventChanges): Record<string, Json> {
  const { geo_address_json: place, ...told } = sent;
  const fields = fieldsOf({
    ...told,
    ...(place?.type === "manual" &&
      { geo_address_json: { full_address: place.address } }),
  });
  return Object.fromEntries(
    Object.entries(fields).map(([name, { value }]) => [name, value]),
  );
}

/** The same without what is undefined. */
export function defined<T>(
  values: Record<string, T | undefined>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, T] =>
      entry[1] !== undefined
    ),
  );
}

/** Null when nothing is left; undefined stays. */
export function trimmed(text: string | null | undefined) {
  return text === undefined ? undefined : text?.trim() || null;
}

/**
 * UTC, as `2026-12-01T18:30:00.000Z`. Undefined also for a year that Postgres does not read in this form (0000,
 * or one that an offset moves past 9999).
 */
export function instant(text: string | null | undefined): string | undefined {
  const date = new Date(text ?? NaN);
  if (Number.isNaN(date.getTime())) return undefined;
  const iso = date.toISOString();
  return /^\d{4}-/.test(iso) && !iso.startsWith("0000") ? iso : undefined;
}

/** An IANA name. The app formats times with it, which fails with one that nobody knows. */
function timeZone(told: string | undefined): string | undefined {
  const name = told?.trim();
  if (!name) return undefined;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name;
  } catch {
    return undefined;
  }
}

/** A field that is one column and compares as it is. */
function field(
  column: string,
  value: Json | undefined,
): FieldNews | undefined {
  return value === undefined
    ? undefined
    : { value, columns: { [column]: value } };
}

function description(told: Told["description_md"]): FieldNews | undefined {
  if (told === undefined) return undefined;
  return { value: told ?? "", columns: { description: told || null } };
}

/** (0, 0) is a place; a point off the globe says nothing. */
function coordinate(told: Told): FieldNews | undefined {
  const point = told.coordinate === undefined
    ? oldPoint(told)
    : told.coordinate;
  if (point === undefined) return undefined;
  if (point === null) return { value: null, columns: { lat: null, lng: null } };
  const { latitude, longitude } = point;
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) {
    return undefined;
  }
  return {
    value: { latitude: rounded(latitude), longitude: rounded(longitude) },
    // The app's geocoder need not look for a place that Luma has found.
    columns: { lat: latitude, lng: longitude, geocode_status: "success" },
  };
}

function oldPoint({ geo_latitude: lat, geo_longitude: lng }: Told) {
  if (lat === null && lng === null) return null;
  return { latitude: degrees(lat), longitude: degrees(lng) };
}

/** An empty text would be read as 0. */
function degrees(text: unknown): number {
  return typeof text === "string" && text.trim() ? Number(text) : NaN;
}

function rounded(degrees: number): number {
  // JSON has no -0, and what was stored has to equal what was not.
  return Number(degrees.toFixed(PLACE_DECIMALS)) + 0;
}

/** The whole line compares; the columns are what it was made of, as far as that can be told (mapping.ts, address). */
function address(told: Told["geo_address_json"]): FieldNews | undefined {
  if (told === undefined) return undefined;
  const { address, full_address: full } = told ?? {};
  if (told && address === undefined && full === undefined) return undefined;
  const line = oneLine(full) || oneLine(address);
  const other = oneLine(address);
  const { place, point } = withoutMeetingPoint(line);
  return {
    value: line || null,
    columns: {
      location_raw: place || null,
      location_name: oneLine(told?.description) ||
        (other !== line ? other : "") || null,
      meeting_point: point || null,
    },
  };
}

function oneLine(text: string | null | undefined): string {
  return (text ?? "").replace(/\s+/g, " ").trim();
}

/** The meeting point has a column of its own, and is a part of the line on Luma. */
function withoutMeetingPoint(line: string): { place: string; point: string } {
  const [, place = line, inside, alone] =
    /^(.*?) ?\(Meeting point: (.*)\)$|^Meeting point: (.*)$/.exec(line) ?? [];
  const point = inside ?? alone ?? "";
  return { place: alone === undefined ? place : "", point };
}

function meetingUrl(told: Told["meeting_url"]): FieldNews | undefined {
  const url = trimmed(told);
  if (url === undefined) return undefined;
  return {
    value: url,
    columns: { meeting_url: isWebAddress(url) ? url : null },
  };
}

/** As the check constraint of the column wants it, and no looser: Postgres counts more characters as space. */
function isWebAddress(url: string | null): url is string {
  return url !== null &&
    /^https?:\/\/[^\s\p{C}/?#@]+\.[^\s\p{C}]+$/iu.test(url) &&
    URL.parse(url)?.hostname.includes(".") === true;
}
