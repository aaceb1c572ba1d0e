/** Deliveries that a test sends itself, and what both sides say of an event. */
import type { Delivery, SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { PNG } from "../../scripts/luma-simulator/testing.ts";
import { sign } from "../functions/_shared/luma/signature.ts";
import { BLR, hostEvent, rowOf, settle } from "./luma_side.ts";
import { type EventRow, insertEvent, one, type Stack } from "./testing.ts";

/** A delivery of Luma's, as far as a receiver can see it. */
export type Sent = Pick<Delivery, "id" | "body">;

/** Delivers to luma-webhook, signed as Luma signs; answers the function's result. */
export type Deliver = (delivery: Sent) => Promise<string>;

/** A delivery of our own making, with an id of its own. */
export function delivery(type: string, data: unknown): Sent {
  return {
    id: `whd-${crypto.randomUUID()}`,
    body: JSON.stringify({ type, data }),
  };
}

/** Who delivers with the secret of a calendar's webhook (luma_side.ts, subscribe). */
export async function deliverer(
  { simulator, functionsUrl }: Stack,
  calendar = BLR,
): Promise<Deliver> {
  const state = await (await fetch(`${simulator.url}/_admin/state`)).json();
  const webhooks: { calendar_id: string; secret: string }[] = state.webhooks;
  const webhook = webhooks.find(({ calendar_id }) => calendar_id === calendar);
  if (!webhook) throw new Error(`no webhook is registered for ${calendar}`);
  return async ({ id, body }) => {
    const bytes = new TextEncoder().encode(body);
    const signature = await sign({
      body: bytes,
      secret: webhook.secret,
      at: new Date(),
    });
    const response = await fetch(`${functionsUrl}/luma-webhook`, {
      method: "POST",
      headers: { "webhook-id": id, "webhook-signature": signature },
      body: bytes,
    });
    const { result, error } = await response.json();
    if (!response.ok) throw new Error(`${id}: ${response.status} ${error}`);
    return result;
  };
}

/**
 * Does something on Luma, keeps the deliveries that it causes from being sent, and answers them. Only while no other
 * webhook is on its way.
 */
export async function intercepted(
  { simulator }: Stack,
  act: () => unknown,
): Promise<Delivery[]> {
  const before = simulator.deliveries.length;
  const fault = simulator.faults.add({ on: "webhook", drop: true });
  await act();
  await simulator.webhooksIdle();
  fault.remove();
  return simulator.deliveries.slice(before);
}

/** The address of an image that a host has just uploaded to Luma. */
export async function uploadedCover({ simulator }: Stack): Promise<string> {
  const response = await fetch(
    `${simulator.url}/v1/images/create-upload-url`,
    {
      method: "POST",
      headers: {
        "x-luma-api-key": simulator.calendars[0]!.key,
        "content-type": "application/json",
      },
      body: "{}",
    },
  );
  const { upload_url, file_url } = await response.json();
  const upload = await fetch(upload_url, {
    method: "PUT",
    headers: { "content-type": "image/png" },
    body: PNG,
  });
  await upload.body?.cancel();
  if (!upload.ok) throw new Error(`the upload was answered ${upload.status}`);
  simulator.clearRequests();
  return file_url;
}

/** Columns of a row that came from Luma, as Luma says they should be. */
export function lumaColumns(event: SimEvent): EventRow {
  const place = event.geo_address_json;
  return {
    title: event.name,
    description: event.description_md || null,
    starts_at: new Date(event.start_at),
    ends_at: new Date(event.end_at),
    tz: event.timezone,
    lat: event.coordinate?.latitude ?? null,
    lng: event.coordinate?.longitude ?? null,
    location_raw: place?.full_address ?? null,
    location_name: place?.description ?? null,
    meeting_url: event.meeting_url,
    cover_image_url: event.cover_url,
    visibility: event.visibility,
  };
}

/** The same columns as the row has them. */
export function rowColumns(row: EventRow): EventRow {
  return picked(row, [
    "title",
    "description",
    "starts_at",
    "ends_at",
    "tz",
    "lat",
    "lng",
    "location_raw",
    "location_name",
    "meeting_url",
    "cover_image_url",
    "visibility",
  ]);
}

export function picked(row: EventRow, names: readonly string[]): EventRow {
  return Object.fromEntries(names.map((name) => [name, row[name]]));
}

/** The columns that differ between two states of a row, with the later values. */
export function changedColumns(before: EventRow, after: EventRow): EventRow {
  const changed = Object.keys(after).filter((name) =>
    JSON.stringify(before[name]) !== JSON.stringify(after[name])
  );
  return picked(after, changed);
}

/** A row with what tells every write of it, also one that changes nothing. */
export async function rowWithVersion(
  { sql }: Pick<Stack, "sql">,
  id: string,
): Promise<EventRow> {
  return await one(
    sql`select e.*, e.xmin::text from public.canonical_events e where id = ${id}`,
  );
}

/** Lets every delivery so far, and everything that Luma was told, be of the day before yesterday. */
export async function passDays({ sql }: Pick<Stack, "sql">): Promise<void> {
  await sql`
    update luma.event_links
    set heard_at = heard_at - interval '2 days', told_at = told_at - interval '2 days', ours = (
      select coalesce(jsonb_object_agg(o.key, (o.value #>> '{}')::timestamptz - interval '2 days'), '{}') from jsonb_each(ours) o
    )
    where event_id is not null`;
}

/** What luma.conflicts has noted, oldest first. */
export async function conflicts(
  { sql }: Pick<Stack, "sql">,
): Promise<EventRow[]> {
  return [
    ...await sql`select field, app_value, luma_value, winner from luma.conflicts order by id`,
  ];
}

/** Every order of these. */
export function permutations<T>(of: readonly T[]): T[][] {
  if (of.length === 0) return [[]];
  return of.flatMap((first, at) =>
    permutations(of.toSpliced(at, 1)).map((rest) => [first, ...rest])
  );
}

/** Whose event it is: the app made it, or it comes from Luma. */
export type Kind = "ours" | "Luma's";

/** An event of each kind, at rest, with its Luma event. */
export async function bothKinds(
  stack: Stack,
): Promise<{ kind: Kind; id: string; event: SimEvent }[]> {
  const { simulator } = stack;
  const ours = await insertEvent(stack);
  const theirs = hostEvent(stack);
  await settle(stack);
  const row = await rowWithVersion(stack, ours);
  const { id } = await rowOf(stack, theirs.id);
  return [
    {
      kind: "ours",
      id: ours,
      event: simulator.event(String(row.luma_event_id))!,
    },
    { kind: "Luma's", id: String(id), event: theirs },
  ];
}
