/**
 * The one place that turns rows into what Luma holds. Pure: no calls, no clock.
 * Values that Luma would refuse are corrected, with a warning for an admin, where there is one obvious
 * correction; where there is none, RowError says what to mend.
 */
import {
  EventChanges,
  EventInput,
  type EventInput as Input,
} from "../luma/inputs.ts";
import { VISIBILITIES, type Visibility } from "../luma/types.ts";
import type { EventState } from "./job.ts";

/** A row that cannot be shown on Luma. The message is for an admin: field, value, what to do. */
export class RowError extends Error {
  override readonly name = "RowError";
}

/** The plan's time zone for rows without a usable one. Times are instants: this only decides how Luma shows them. */
const DEFAULT_TIMEZONE = "Asia/Kolkata";

/** Luma shows an event without an end as one without a length; the app means "open end". */
const DEFAULT_DURATION_MS = 2 * 60 * 60 * 1000;

/** Longer than names are; what is longer is a mistake, and Luma could refuse a whole call for it. */
const MAX_GUEST_NAME = 100;

/** Which columns each field of Luma is made of. `cover_url` is added by the caller, who uploads it. */
const SOURCES: Record<
  Exclude<keyof EventChanges, "slug" | "cover_url">,
  readonly (keyof EventState)[]
> = {
  name: ["title"],
  description_md: ["description"],
  start_at: ["starts_at"],
  end_at: ["ends_at"],
  timezone: ["tz"],
  coordinate: ["lat", "lng"],
  geo_address_json: [
    "location_name",
    "location_raw",
    "location_type",
    "meeting_point",
  ],
  meeting_url: ["meeting_url"],
  visibility: ["shown", "visibility"],
  max_capacity: ["max_capacity"],
};

/** Columns that decide how an event is paid for. */
const TICKET_COLUMNS: readonly (keyof EventState)[] = [
  "is_ticketed",
  "category",
  "ticket_price",
  "ticket_currency",
];

/** What Luma should hold of a row. */
export interface LumaEventFields {
  fields: Omit<Input, "slug" | "cover_url">;
  warnings: string[];
}

/** Maps a whole row. Throws RowError. */
export function toLumaEvent(state: EventState): LumaEventFields {
  const warnings: string[] = [];
  const start = instant("starts_at", state.starts_at);
  const end = state.ends_at === null
    ? new Date(start.getTime() + DEFAULT_DURATION_MS)
    : instant("ends_at", state.ends_at);
  // toISOString writes later years with a sign, which Luma's format has not.
  if (end >= new Date("9999-12-31")) {
    throw new RowError(
      `The event ends at ${end.toISOString()}, later than Luma can show: correct starts_at and ends_at.`,
    );
  }
  if (end <= start) {
    throw new RowError(
      `ends_at (${end.toISOString()}) is not after starts_at (${start.toISOString()}): correct one of them.`,
    );
  }
  const fields = EventInput.omit({ slug: true, cover_url: true }).parse({
    name: title(state.title),
    description_md: description(state.description, warnings),
    start_at: start.toISOString(),
    end_at: end.toISOString(),
    timezone: timezone(state.tz, warnings),
    coordinate: coordinate(state, warnings),
    geo_address_json: address(state),
    meeting_url: meetingUrl(state.meeting_url, warnings),
    visibility: visibility(state, warnings),
    max_capacity: capacity(state.max_capacity, warnings),
  });
  return { fields, warnings };
}

/**
 * Those fields that the changed columns (null: all) are part of. A place can be changed but not taken away:
 * Luma's update knows no null for it (OpenAPI, /v1/events/update). `isOpenEnded`: the row has no end, so it moves
 * with the start; one that was set stays as it is on Luma, where a host may have moved it.
 */
export function pickChanged(
  { fields, warnings }: LumaEventFields,
  changed: readonly string[] | null,
  isOpenEnded = false,
): { changes: EventChanges; warnings: string[] } {
  const touched = (columns: readonly string[]) =>
    changed === null || columns.some((column) => changed.includes(column));
  const picked = Object.entries(SOURCES).filter(([field, columns]) =>
    touched(columns) ||
    (field === "end_at" && isOpenEnded && touched(SOURCES.start_at))
  ).map(([field]) => field as keyof typeof SOURCES);
  const changes = EventChanges.parse(
    Object.fromEntries(picked.map((field) => [field, fields[field]])),
  );
  const kept = (["coordinate", "geo_address_json"] as const).filter((field) =>
    fields[field] === undefined &&
    SOURCES[field].some((column) =>
      // The type of a place says nothing of its own.
      column !== "location_type" && changed?.includes(column)
    )
  );
  return {
    changes,
    warnings: kept.length === 0 ? warnings : [
      ...warnings,
      "The place was emptied, but Luma's API cannot take a place away: it still shows the old one. Remove it on Luma.",
    ],
  };
}

/** The price of a ticketed event in the currency's smallest unit, or null for a free one. Throws RowError. */
export function ticketPrice(
  state: EventState,
): { cents: number; currency: string } | null {
  if (!state.is_ticketed && state.category !== "ticketed") return null;
  const price = state.ticket_price;
  if (price === null || !(price > 0)) {
    throw new RowError(
      `The event is ticketed, but ticket_price is ${price}: set a price above 0, or is_ticketed to false and another category.`,
    );
  }
  const currency = (state.ticket_currency ?? "").trim() || "INR";
  let digits: number;
  try {
    digits = new Intl.NumberFormat("en", { style: "currency", currency })
      .resolvedOptions().maximumFractionDigits ?? 2;
  } catch {
    throw new RowError(
      `ticket_currency "${currency}" is not a currency code: use one like INR or USD.`,
    );
  }
  const cents = Math.round(price * 10 ** digits);
  if (cents < 1 || !Number.isSafeInteger(cents)) {
    throw new RowError(
      `ticket_price ${price} ${currency} is not an amount that can be charged: correct it.`,
    );
  }
  return { cents, currency: currency.toLowerCase() };
}

/** A guest as guests/add takes it. Luma keeps the name that a person already has there (OpenAPI, guests/add). */
export function toLumaGuest(
  { email, name }: { email: string; name: string | null },
): { email: string; name?: string } {
  // By code points: half of an emoji is no text.
  const shown = [...oneLine(name)].slice(0, MAX_GUEST_NAME).join("").trim();
  return shown ? { email, name: shown } : { email };
}

/** True when the changed columns concern the ticket. */
export function ticketChanged(changed: readonly string[]): boolean {
  return TICKET_COLUMNS.some((column) => changed.includes(column));
}

/** True when the changed columns can give the event another cover. */
export function coverChanged(state: EventState, changed: readonly string[]) {
  return changed.includes("cover_image_url") ||
    (changed.includes("culture") && !state.cover_image_url?.trim());
}

/** `private` unless the event is shown; a visibility that nobody knows counts as public, the column's default. */
function visibility(state: EventState, warnings: string[]): Visibility {
  if (!state.shown) return "private";
  const wanted = state.visibility ?? "public";
  const known = VISIBILITIES.find((value) => value === wanted);
  if (!known) {
    warnings.push(
      `visibility "${wanted}" is not one of ${
        VISIBILITIES.join(", ")
      }; shown as public.`,
    );
  }
  return known ?? "public";
}

function instant(column: string, value: string | null): Date {
  const date = new Date(value ?? NaN);
  if (Number.isNaN(date.getTime())) {
    throw new RowError(`${column} is ${value}, which is no time: correct it.`);
  }
  return date;
}

/** Control characters cannot be seen or typed, and Luma's editor has no use for them. */
function clean(text: string | null): string {
  return (text ?? "").replace(/\r\n?/g, "\n").replace(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    "",
  ).trim();
}

function oneLine(text: string | null): string {
  return clean(text).replace(/\s+/g, " ");
}

function title(value: string | null): string {
  // Luma's document names no longest title, so a long one is sent whole: cutting it here would be a guess.
  const name = oneLine(value);
  if (!name) throw new RowError("title is empty: give the event a title.");
  return name;
}

/** Luma takes images in descriptions from its own CDN alone, so others become links. */
function description(value: string | null, warnings: string[]): string {
  const text = clean(value);
  const linked = text.replace(
    /!\[([^\]]*)\]\((?!\s*<?https:\/\/images\.lumacdn\.com\/)/g,
    (_, alt: string) => `[${alt || "Image"}](`,
  );
  if (linked !== text) {
    warnings.push(
      "The description has images that are not on Luma's CDN; they are shown as links.",
    );
  }
  return linked;
}

function timezone(value: string | null, warnings: string[]): string {
  const name = value?.trim();
  if (!name) return DEFAULT_TIMEZONE;
  try {
    // Intl also takes offsets (+05:30) and abbreviations (IST, which is three places); Luma wants an IANA name.
    if (!/^[a-z]+\/|^(utc|gmt)$/i.test(name)) throw new RangeError();
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: name })
      .resolvedOptions();
    // Intl does not mind letter case, and calls some zones by an old name (Asia/Calcutta).
    return [timeZone, DEFAULT_TIMEZONE].find((known) =>
      known.toLowerCase() === name.toLowerCase()
    ) ?? name;
  } catch {
    warnings.push(
      `tz "${name}" is not an IANA time zone; ${DEFAULT_TIMEZONE} is used.`,
    );
    return DEFAULT_TIMEZONE;
  }
}

/** (0, 0) is a place; half a pair or a point off the globe is none. */
function coordinate(
  { lat, lng }: EventState,
  warnings: string[],
): Input["coordinate"] {
  if (lat === null && lng === null) return undefined;
  if (
    lat === null || lng === null || !(Math.abs(lat) <= 90) ||
    !(Math.abs(lng) <= 180)
  ) {
    warnings.push(
      `lat ${lat}, lng ${lng} is not a point on the globe; no map is shown.`,
    );
    return undefined;
  }
  return { latitude: lat, longitude: lng };
}

/** One line for people: the place's name, its address unless that begins with the name, and where to meet. */
function address(state: EventState): Input["geo_address_json"] {
  const [name, raw, point] = [
    state.location_name,
    state.location_raw,
    state.meeting_point,
  ].map(oneLine);
  const place = name && raw && !raw.toLowerCase().startsWith(name.toLowerCase())
    ? `${name}, ${raw}`
    : raw || name || "";
  if (state.location_type === "online" && !place) return undefined;
  const meet = point ? `Meeting point: ${point}` : "";
  const line = place && meet ? `${place} (${meet})` : place || meet;
  return line ? { type: "manual", address: line } : undefined;
}

function meetingUrl(value: string | null, warnings: string[]): string {
  const url = value?.trim();
  if (!url) return "";
  if (/^https?:\/\//i.test(url) && URL.canParse(url)) return url;
  warnings.push(`meeting_url "${url}" is not an http(s) address; left out.`);
  return "";
}

function capacity(value: number | null, warnings: string[]): number | null {
  if (value === null || value > 0) return value;
  warnings.push(
    `max_capacity ${value} is not above 0; shown without a limit.`,
  );
  return null;
}
