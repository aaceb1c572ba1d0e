/** What either side says of a field, in one form. */
import type { Row } from "postgres";
import type { SimEvent } from "../luma-simulator/mod.ts";
import type { Field } from "./acts.ts";

const MINUTE_MS = 60_000;

/** A value that only this act writes. An end is after every start that the actors choose. */
export function valueOf(field: Field, n: number): string {
  switch (field) {
    case "title":
      return `Title ${n}`;
    case "description":
      return `Text ${n}`;
    case "meeting_url":
      return `https://meet.example/${n}`;
    case "ends_at":
      return new Date(dayFromNow(20) + n * MINUTE_MS).toISOString();
  }
}

/** Midnight of a day to come, so that all acts of a history mean the same one. */
export function dayFromNow(days: number): number {
  return (Math.floor(Date.now() / 86_400_000) + days) * 86_400_000;
}

export function rowValue(row: Row, field: Field): string {
  const value = row[field];
  return value instanceof Date ? value.toISOString() : value ?? "";
}

export function lumaValue(event: SimEvent, field: Field): string {
  switch (field) {
    case "title":
      return event.name;
    case "description":
      return event.description_md;
    case "meeting_url":
      return event.meeting_url ?? "";
    case "ends_at":
      return new Date(event.end_at).toISOString();
  }
}

/** As Luma's host would write it. */
export function lumaPatch(field: Field, value: string) {
  switch (field) {
    case "title":
      return { name: value };
    case "description":
      return { description_md: value };
    case "meeting_url":
      return { meeting_url: value };
    case "ends_at":
      return { end_at: value };
  }
}

const GUEST_STATUS: Record<string, string> = {
  going: "approved",
  approved: "approved",
  pending: "pending_approval",
  interested: "pending_approval",
  waitlist: "waitlist",
};

/** Luma's word for an RSVP's status; who has no RSVP does not come either. */
export function guestStatus(status: string | undefined): string {
  return GUEST_STATUS[status ?? ""] ?? "declined";
}

export function lumaStatus(event: SimEvent, user: string): string {
  return event.guests.find(({ user_email }) => user_email === emailOf(user))
    ?.approval_status ?? "declined";
}

export function emailOf(user: string): string {
  return `${user}@example.com`;
}
