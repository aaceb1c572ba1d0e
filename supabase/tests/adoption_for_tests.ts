/** Rows that show Luma events, and what they are linked with. */
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { type EventRow, one, type Stack } from "./testing.ts";

/** A row as the app's iCal worker writes it: the page in its description and, as a JSON string, in source_refs. */
export function feedRow({ slug }: SimEvent, columns: EventRow = {}): EventRow {
  const url = `https://luma.com/${slug}`;
  return {
    source_type: "ical",
    canonical_uid: crypto.randomUUID().replaceAll("-", "").slice(0, 12),
    title: "Feed's title",
    description: url,
    source_refs: JSON.stringify([{ source: "ical", event_url: url }]),
    location_name: null,
    location_raw: null,
    lat: null,
    lng: null,
    tz: "UTC",
    ...columns,
  };
}

export async function duplicates({ sql }: Stack): Promise<string[][]> {
  const rows =
    await sql`select event_id, same_as from luma.duplicates order by title, event_id`;
  return rows.map(({ event_id, same_as }) => [event_id, same_as]);
}

export async function rowCount({ sql }: Stack): Promise<number> {
  return (await one(sql`select count(*)::int from public.canonical_events`))
    .count;
}

/** Title by id of every row that is linked with a Luma event. */
export async function linked({ sql }: Stack): Promise<Record<string, string>> {
  const rows =
    await sql`select event_id, luma_event_id from luma.event_links where luma_event_id is not null`;
  return Object.fromEntries(
    rows.map(({ event_id, luma_event_id }) => [event_id, luma_event_id]),
  );
}
