/**
 * The one place that turns what Luma tells into what the database merges ("news"). Pure: no calls, no clock.
 * A field that is absent was not told, and changes nothing; null empties. Nothing here decides what wins.
 */
import { z } from "zod";
import type { Json } from "../database.types.ts";
import { addressForm } from "../address_form.ts";
import { GuestTicket, LumaEvent, LumaGuest } from "../luma/types.ts";
import {
  defined,
  FIELD_NAMES,
  type FieldNews,
  fieldsOf,
  instant,
  type Told,
  trimmed,
} from "./from_luma_fields.ts";

export { type FieldNews, toldFields } from "./from_luma_fields.ts";

/** What Luma tells of an event. */
export interface EventNews {
  luma_event_id: string;
  /** Null when not told. */
  calendar_id: string | null;
  /** The event's page. */
  url: string | null;
  slug: string | null;
  /** By Luma's field name. A field that Luma did not tell is not here. */
  fields: Record<string, FieldNews>;
  /** Names of the event's tags, as told; absent when not told. */
  tags?: string[];
  /** Trimmed, lower-case e-mail of the first host; absent when not told, null when there is none. */
  host_email?: string | null;
  /** For raw_payload: all else that Luma told, without what has a column of its own, descriptions, and people. */
  rest: Record<string, Json>;
  /** Luma has cancelled, so deleted, the event. */
  gone: boolean;
}

/** What Luma tells of a guest. */
export interface GuestNews {
  luma_event_id: string;
  luma_guest_id: string;
  /** Trimmed, lower case. */
  email: string;
  name: string | null;
  /** In international form (`+91…`). */
  phone: string | null;
  /** Luma's approval_status; "session" becomes "approved". */
  status: string;
  /** ISO, UTC. */
  registered_at: string | null;
  /** ISO, UTC: the earliest check-in of any ticket. */
  checked_in_at: string | null;
  /** standard, vip, speaker or organizer, from the ticket names. */
  rsvp_type: string;
  tickets: {
    id: string;
    name: string | null;
    event_ticket_type_id: string | null;
  }[];
}

/** What a delivery says: a guest comes with the event it is for. */
export interface News {
  event: EventNews;
  guest?: GuestNews;
}

/** A delivery that is not as Luma's document says. The message names the field, and never quotes a value. */
export class NewsError extends Error {
  override readonly name = "NewsError";
}

/** What a column holds already, and people. The address is more than its columns: it has a city and a country. */
const NOT_IN_REST: ReadonlySet<string> = new Set([
  ...FIELD_NAMES.filter((name) => name !== "geo_address_json"),
  "description",
  "hosts",
]);

/** What people call such tickets. The first line with a word that any of a guest's tickets has is taken. */
const RSVP_TYPES: readonly [RegExp, string][] = [
  [words("organi[sz]er", "host", "crew", "staff"), "organizer"],
  [words("speaker", "panell?ist", "mentor"), "speaker"],
  [words("vip"), "vip"],
];

/** News of Luma's event, as events/get, a list or a webhook tells it. */
export function fromLumaEvent(event: LumaEvent): EventNews {
  return eventNews(event);
}

/** News of a guest of this event, as a list or a webhook tells it. */
export function fromLumaGuest(
  lumaEventId: string,
  guest: LumaGuest,
): GuestNews {
  const tickets = guest.event_tickets ?? [];
  // Texts of one form, in one zone: they sort as the times do.
  const checkIns = tickets.flatMap((t) => instant(t.checked_in_at) ?? [])
    .sort();
  return {
    luma_event_id: lumaEventId,
    luma_guest_id: guest.id,
    email: addressForm(guest.user_email),
    name: trimmed(guest.user_name) ?? null,
    phone: trimmed(guest.phone_number) ?? null,
    status: guest.approval_status === "session"
      ? "approved"
      : guest.approval_status,
    registered_at: instant(guest.registered_at) ?? null,
    checked_in_at: checkIns[0] ?? null,
    rsvp_type: rsvpType(tickets),
    tickets: tickets.map(({ id, name, event_ticket_type_id }) => ({
      id,
      name: trimmed(name) ?? null,
      event_ticket_type_id: event_ticket_type_id ?? null,
    })),
  };
}

/**
 * News of a webhook delivery; null for a type, or an event, that is not for the app's rows. Throws NewsError.
 * What each type's `data` is: Luma OpenAPI, webhooks.
 */
export function newsOf(
  type: string,
  data: Record<string, unknown>,
): News | null {
  switch (type) {
    case "event.created":
    case "event.updated":
    case "event.canceled": {
      if ((data["platform"] ?? "luma") !== "luma") return null;
      const event = eventNews(parse(type, LumaEvent, data));
      return { event: { ...event, gone: type === "event.canceled" } };
    }
    case "guest.registered":
    case "guest.updated":
    case "ticket.registered": {
      const { event, event_ticket: ticket, ...guest } = parse(
        type,
        GuestData,
        data,
      );
      const tickets = guest.event_tickets ?? [];
      if (ticket && !tickets.some(({ id }) => id === ticket.id)) {
        guest.event_tickets = [...tickets, ticket];
      }
      return {
        event: eventNews(event),
        guest: fromLumaGuest(event.id, guest),
      };
    }
    case "calendar.event.added": {
      // An event of another platform, or of no calendar, is none that the app could sync.
      if (data["platform"] !== "luma" || !data["calendar"]) return null;
      const { calendar, ...event } = parse(type, AddedEvent, data);
      return { event: eventNews({ ...event, calendar_id: calendar.id }) };
    }
    default:
      return null;
  }
}

/** An event that is not there any more. */
export function goneEvent(lumaEventId: string): EventNews {
  return {
    luma_event_id: lumaEventId,
    calendar_id: null,
    url: null,
    slug: null,
    fields: {},
    rest: {},
    gone: true,
  };
}

/**
 * The slug in the address of a page on Luma (`https://luma.com/<slug>`, also `lu.ma`), in lower case as ours
 * are; null when there is none.
 */
export function slugOf(url: string): string | null {
  const path = URL.parse(url)?.pathname ?? "";
  return path.split("/").filter(Boolean).at(-1)?.toLowerCase() ?? null;
}

/** The guest, with the event under it; ticket.registered tells which ticket it is about. */
const GuestData = LumaGuest.extend({
  event: LumaEvent,
  event_ticket: GuestTicket.nullish(),
});

/** A part of an event. Its hosts come without e-mail, and all else is about the calendar. */
const AddedEvent = z.object({
  ...LumaEvent.pick({
    id: true,
    name: true,
    url: true,
    cover_url: true,
    start_at: true,
    end_at: true,
    timezone: true,
  }).shape,
  platform: z.string(),
  calendar: z.object({ id: z.string() }),
});

/** Zod's words name types and formats, and its paths the fields of the schemas. */
function parse<T extends z.ZodType>(
  type: string,
  schema: T,
  data: Record<string, unknown>,
): z.infer<T> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  throw new NewsError(`${type}: ${problemsIn(result.error, "data")}`);
}

/** What is wrong with something that `name` is the name of; neither quotes what came. */
export function problemsIn({ issues }: z.ZodError, name: string): string {
  // The first few tell what is wrong; a guest with a hundred tickets could have as many.
  return issues.slice(0, 3).map(({ path, message }) =>
    `${[name, ...path].join(".")} is not as expected: ${message}`
  ).join("; ");
}

type ToldEvent =
  & Told
  & Pick<LumaEvent, "id" | "url">
  & Partial<Pick<LumaEvent, "calendar_id" | "tags" | "hosts">>;

function eventNews(told: ToldEvent): EventNews {
  const email = hostEmail(told.hosts);
  const rest = Object.entries(told).filter(([name]) => !NOT_IN_REST.has(name));
  return {
    luma_event_id: told.id,
    calendar_id: told.calendar_id || null,
    url: told.url || null,
    slug: slugOf(told.url),
    fields: fieldsOf(told),
    ...(told.tags !== undefined &&
      { tags: (told.tags ?? []).map(({ name }) => name) }),
    ...(email !== undefined && { host_email: email }),
    // It came as JSON.
    rest: defined(Object.fromEntries(rest) as Record<string, Json | undefined>),
    gone: false,
  };
}

/** Undefined when not told. */
function hostEmail(hosts: ToldEvent["hosts"]): string | null | undefined {
  if (hosts === undefined) return undefined;
  const [first] = hosts ?? [];
  const email = first ? trimmed(first.email) : null;
  return email && addressForm(email);
}

function rsvpType(tickets: GuestTicket[]): string {
  const names = tickets.map(({ name }) => name ?? "").join("\n");
  return RSVP_TYPES.find(([word]) => word.test(names))?.[1] ?? "standard";
}

/** Any of these, or its plural, as a word of its own. */
function words(...alternatives: string[]): RegExp {
  return new RegExp(
    `(?<![\\p{L}\\p{N}])(?:${alternatives.join("|")})s?(?![\\p{L}\\p{N}])`,
    "iu",
  );
}
