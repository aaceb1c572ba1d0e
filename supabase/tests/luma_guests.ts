/** Guests of an event on Luma, and what the app knows of them. */
import { assertEquals } from "@std/assert";
import type { Row } from "postgres";
import type { SimGuest } from "../../scripts/luma-simulator/mod.ts";
import { sign } from "../functions/_shared/luma/signature.ts";
import type { Sent } from "./luma_deliveries.ts";
import { BLR, hostEvent, settle } from "./luma_side.ts";
import { missedChanges } from "./rsvps_for_tests.ts";
import { calls, insertEvent, one, type Stack } from "./testing.ts";

/** An event that both sides have: its id here and on Luma. */
export interface Both {
  id: string;
  lumaId: string;
}

/** Events that a host made on Luma, and that the app has taken over. No call is on record. */
export async function knownEvents(
  stack: Stack,
  count: number,
  input: Parameters<typeof hostEvent>[1] = {},
): Promise<Both[]> {
  const { sql, simulator } = stack;
  const made = Array.from({ length: count }, () => hostEvent(stack, input).id);
  await settle(stack);
  simulator.clearRequests();
  const rows =
    await sql`select id, luma_event_id from public.canonical_events where luma_event_id = any (${made})`;
  return made.map((lumaId) => ({
    id: rows.find(({ luma_event_id }) => luma_event_id === lumaId)!.id,
    lumaId,
  }));
}

/** The same with one event. */
export async function knownEvent(
  stack: Stack,
  input: Parameters<typeof hostEvent>[1] = {},
): Promise<Both> {
  return (await knownEvents(stack, 1, input))[0]!;
}

/** Makes a free ticket type on Luma; answers its id. */
export async function ticketType(
  { simulator }: Stack,
  lumaId: string,
  name: string,
  more: { require_approval?: boolean } = {},
): Promise<string> {
  const response = await fetch(
    `${simulator.url}/v1/events/ticket-types/create`,
    {
      method: "POST",
      headers: {
        "x-luma-api-key": simulator.calendars[0]!.key,
        "content-type": "application/json",
      },
      body: JSON.stringify({ event_id: lumaId, name, type: "free", ...more }),
    },
  );
  simulator.clearRequests();
  return (await response.json()).id;
}

/** u1 registers as u1@example.com; more as the guest says. */
export function register(
  { simulator }: Pick<Stack, "simulator">,
  { lumaId }: Pick<Both, "lumaId">,
  user: string,
  more: { phone_number?: string; ticket_type_id?: string; name?: string } = {},
): SimGuest {
  return simulator.guest.register(lumaId, {
    name: `Guest ${user}`,
    email: `${user}@example.com`,
    ...more,
  });
}

/** The RSVP of a user. */
export async function rsvpOf(
  { sql }: Pick<Stack, "sql">,
  { id }: Pick<Both, "id">,
  user: string,
): Promise<Row> {
  return await one(
    sql`select * from public.event_rsvps where event_id = ${id} and user_id = ${user}`,
  );
}

/** How many come, as the app shows it. */
export async function countOf(
  { sql }: Pick<Stack, "sql">,
  { id }: Pick<Both, "id">,
): Promise<number> {
  const { current_rsvp_count } = await one(
    sql`select current_rsvp_count from public.canonical_events where id = ${id}`,
  );
  return current_rsvp_count;
}

/** External guests of an event, by e-mail address. */
export async function externals(
  { sql }: Pick<Stack, "sql">,
  { id }: Pick<Both, "id">,
): Promise<Row[]> {
  return [
    ...await sql`select * from luma.external_guests where event_id = ${id} order by email`,
  ];
}

/** Paths of the calls that change something on Luma. */
export function changingCalls(
  { simulator }: Pick<Stack, "simulator">,
): string[] {
  return simulator.requests.filter(({ method }) => method !== "GET")
    .map(({ path }) => path);
}

/** Lets everything that was told about guests so far be of the day before yesterday. */
export async function passGuestDays(
  { sql }: Pick<Stack, "sql">,
): Promise<void> {
  await sql`
    update luma.guests
    set heard_at = heard_at - interval '2 days', synced_at = synced_at - interval '2 days'
    where event_id is not null`;
}

/** Delivers to luma-webhook as if Luma had sent it at this time; answers the function's result. */
export async function deliverAt(
  { simulator, functionsUrl }: Stack,
  { id, body }: Sent,
  at: Date,
): Promise<string> {
  const state = await (await fetch(`${simulator.url}/_admin/state`)).json();
  const { secret } = state.webhooks.find(
    ({ calendar_id }: { calendar_id: string }) => calendar_id === BLR,
  );
  const bytes = new TextEncoder().encode(body);
  const response = await fetch(`${functionsUrl}/luma-webhook`, {
    method: "POST",
    headers: {
      "webhook-id": id,
      "webhook-signature": await sign({ body: bytes, secret, at }),
    },
    body: bytes,
  });
  return (await response.json()).result;
}

/** Writes down every write of an RSVP from now on: the columns that it changed. */
export async function recordWrites({ sql }: Pick<Stack, "sql">): Promise<void> {
  await sql`create table if not exists public.rsvp_writes (n serial, rsvp_id uuid, columns text[])`;
  await sql`
    create or replace function public.record_rsvp_write() returns trigger language plpgsql as $$
    begin
      insert into public.rsvp_writes (rsvp_id, columns)
      select coalesce(new.id, old.id), array(
        select n.key from jsonb_each(coalesce(to_jsonb(new), '{}')) n
        where n.value is distinct from to_jsonb(old) -> n.key order by n.key
      );
      return null;
    end
    $$`;
  await sql`
    create or replace trigger a_record after insert or update or delete on public.event_rsvps
    for each row execute function public.record_rsvp_write()`;
  await sql`truncate public.rsvp_writes`;
}

/** The columns that each write since then changed. */
export async function recordedWrites(
  { sql }: Pick<Stack, "sql">,
): Promise<string[][]> {
  const writes = await sql`select columns from public.rsvp_writes order by n`;
  return writes.map(({ columns }) => columns);
}

/** Nothing waits, nothing failed, and both sides say the same: a sweep finds nothing to do. */
export async function assertAtRest(stack: Stack): Promise<void> {
  const { sql } = stack;
  const made = calls(stack).length;
  assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 0);
  await settle(stack);
  assertEquals(calls(stack).slice(made), []);
  assertEquals([...await sql`select * from luma.dead_letters`], []);
  assertEquals(await missedChanges(stack), []);
}

/** An event of the app's that is on Luma. */
export async function ownEvent(stack: Stack): Promise<Both> {
  const id = await insertEvent(stack);
  await settle(stack);
  stack.simulator.clearRequests();
  return { id, lumaId: stack.simulator.events().at(-1)!.id };
}
