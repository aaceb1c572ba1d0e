/** A project in the middle of its work, with something of everything that the console shows. */
import { type Stack, startStack } from "../stack/mod.ts";
import { settle } from "../../supabase/tests/luma_side.ts";
import { drain, one, passTime } from "../../supabase/tests/testing.ts";

/** The events of supabase/seed.sql by what the scene does with them. */
export interface Scene {
  stack: Stack;
  /** On Luma, with RSVPs, one of them given up, and a conflict. */
  games: string;
  /** Waits, because its calendar is paused. */
  builders: string;
}

/** What Luma says about the guest whom it does not take. */
export const REFUSAL =
  "email: this address cannot be used for lata@example.com";

const PEOPLE = [
  ...["Arjun", "Divya", "Farid", "Gita", "Harsh", "Indu", "Jonas", "Kavya"],
  ...["Lata", "Mohan", "Nisha", "Omar", "Priya", "Rohan", "Sara", "Tara"],
];

/** Starts a stack whose drains and pulls run only when somebody says so, and plays the scene on it. */
export async function startScene(): Promise<Scene & AsyncDisposable> {
  const stack = await startStack({ net: false, cron: false, webhooks: true });
  try {
    const scene = await play(stack);
    return { ...scene, [Symbol.asyncDispose]: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

async function play(stack: Stack): Promise<Scene> {
  const { sql } = stack;
  await sql`update luma.settings set scheduled_pulls = false`;
  await sql`select luma.set_mode('live')`;
  await settle(stack);
  const games = await eventId(stack, "community-seed-bela-1");
  const builders = await eventId(stack, "community-seed-chris-1");
  await guestsCome(stack, games);
  await bothEdit(stack, games);
  await lumaFailsOnce(stack, games);
  await sql`select luma.pull_now(event => ${games})`;
  await pullAll(stack);
  await calendarIsPaused(stack, builders);
  await sql`select luma.watch()`;
  return { stack, games, builders };
}

async function eventId({ sql }: Stack, uid: string): Promise<string> {
  const row = await one(
    sql`select id from public.canonical_events where canonical_uid = ${uid}`,
  );
  return row.id;
}

/** Sixteen RSVPs, of which Luma does not take one, and a guest of Luma's own. */
async function guestsCome(stack: Stack, event: string): Promise<void> {
  const { sql, simulator } = stack;
  await sql`
    insert into public.users (id, name, email)
    select 'scene-' || lower(name), name, lower(name) || '@example.com' from unnest(${PEOPLE}::text[]) name`;
  const refused = simulator.faults.add({
    path: "/v1/events/guests/add",
    contains: "lata@example.com",
    status: 400,
    message: REFUSAL,
  });
  await sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select ${event}, id, case when id < 'scene-p' then 'going' else 'interested' end
    from public.users where id like 'scene-%'`;
  await settle(stack);
  refused.remove();
  simulator.guest.register(await lumaId(stack, event), {
    name: "Uma",
    email: "uma@example.com",
  });
  await settle(stack);
}

/** The title is changed on both sides before either has heard of the other. */
async function bothEdit(stack: Stack, event: string): Promise<void> {
  const { sql, simulator } = stack;
  await sql`
    update public.canonical_events set title = 'Koramangala Board Games Night', updated_at = now() where id = ${event}`;
  simulator.host.updateEvent(await lumaId(stack, event), {
    name: "Board Games at Zo House",
  });
  await settle(stack);
}

/** An edit that Luma answers with 503 first, and takes a moment later. */
async function lumaFailsOnce(stack: Stack, event: string): Promise<void> {
  const { sql, simulator } = stack;
  simulator.faults.add({
    path: "/v1/events/update",
    status: 503,
    message: "upstream timed out",
    count: 1,
  });
  await sql`
    update public.canonical_events set max_capacity = 48, updated_at = now() where id = ${event}`;
  await settle(stack);
}

async function pullAll(stack: Stack): Promise<void> {
  const { functionsUrl, syncSecret } = stack;
  const response = await fetch(`${functionsUrl}/luma-pull?wait=1`, {
    method: "POST",
    headers: { "x-luma-sync-secret": syncSecret },
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`luma-pull answered ${response.status}`);
  await settle(stack);
}

/** What is changed meanwhile waits. */
async function calendarIsPaused(stack: Stack, event: string): Promise<void> {
  const { sql } = stack;
  await sql`select luma.pause('zo_events')`;
  await sql`
    update public.canonical_events set description = 'Show what you made this month, in ten minutes.', updated_at = now()
    where id = ${event}`;
  await sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select ${event}, id, 'going' from public.users where id in ('seed-esha', 'scene-sara', 'scene-omar')`;
  await passTime(stack);
  await drain(stack);
}

async function lumaId({ sql }: Stack, event: string): Promise<string> {
  const row = await one(
    sql`select luma_event_id from luma.event_links where event_id = ${event}`,
  );
  return row.luma_event_id;
}
