/** The app's writes, exactly as the app and its admins make them: plain rows, no word about Luma. */
import type { Stack } from "../stack/mod.ts";

type Sql = Stack["sql"];

/** A citizen of supabase/seed.sql. */
const HOST = "seed-asha";

/** The host's address. */
export const HOST_EMAIL = "asha.host@example.com";

/** Somebody who has an e-mail address. */
export interface Member {
  id: string;
  email: string;
}

/** So small that it is soon full. */
const CAPACITY = 3;

/** A place in the app's columns. */
export interface Place {
  lat: number;
  lng: number;
  name: string;
  address: string;
  meetingPoint: string | null;
}

/** A citizen's event and the host's RSVP; answers the event's id. */
export async function propose(
  sql: Sql,
  title: string,
  place: Place,
): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    insert into canonical_events (
      canonical_uid, source_type, title, description, starts_at, ends_at, tz,
      lat, lng, geocode_status, location_type, location_name, location_raw, meeting_point,
      culture, category, max_capacity, host_id, host_type, submission_status
    ) values (
      ${`community-${HOST}-${Date.now()}`}, 'community', ${title}, 'Bring a drum, or *two spoons*.',
      now() + interval '10 days', now() + interval '10 days 2 hours', 'Asia/Kolkata',
      ${place.lat}, ${place.lng}, 'success', 'custom', ${place.name}, ${place.address}, ${place.meetingPoint},
      'music_entertainment', 'community', ${CAPACITY}, ${HOST}, 'citizen', 'pending'
    ) returning id`;
  if (!row) throw new Error("The insert of an event answered no row.");
  // The app ignores an error of this one, and so must whoever hangs a trigger on it.
  await sql`
    insert into event_rsvps (event_id, user_id, status, rsvp_type)
    values (${row.id}, ${HOST}, 'going', 'host')`.catch(() => {});
  return row.id;
}

export async function approve(sql: Sql, id: string): Promise<void> {
  await sql`
    update canonical_events set submission_status = 'approved' where id = ${id}`;
}

export async function rename(
  sql: Sql,
  id: string,
  title: string,
): Promise<void> {
  await sql`
    update canonical_events set title = ${title}, updated_at = now() where id = ${id}`;
}

export async function move(sql: Sql, id: string, to: Place): Promise<void> {
  await sql`
    update canonical_events
    set lat = ${to.lat}, lng = ${to.lng}, location_name = ${to.name}, location_raw = ${to.address},
        meeting_point = ${to.meetingPoint}, updated_at = now()
    where id = ${id}`;
}

export async function cancel(sql: Sql, id: string): Promise<void> {
  await sql`
    update canonical_events set submission_status = 'cancelled', updated_at = now() where id = ${id}`;
}

/** So many people, made up, join the app. */
export async function signUp(sql: Sql, count: number): Promise<Member[]> {
  return await sql<Member[]>`
    insert into users (id, name, email)
    select 'demo-' || n, 'Guest ' || n, 'guest' || n || '@example.com'
    from generate_series(1, ${count}::int) n
    returning id, email`;
}

export async function setEmail(
  sql: Sql,
  { id, email }: Member,
): Promise<void> {
  await sql`
    update users set email = ${email}, updated_at = now() where id = ${id}`;
}

export async function rsvp(
  sql: Sql,
  eventId: string,
  userId: string,
  status: "going" | "interested" | "waitlist",
): Promise<void> {
  await sql`
    insert into event_rsvps (event_id, user_id, status, rsvp_type)
    values (${eventId}, ${userId}, ${status}, 'standard')`;
}

/** What the host decides about an RSVP, or who made it. */
export async function setRsvp(
  sql: Sql,
  eventId: string,
  userId: string,
  status: "approved" | "rejected" | "cancelled",
): Promise<void> {
  await sql`
    update event_rsvps set status = ${status}, updated_at = now()
    where event_id = ${eventId} and user_id = ${userId}`;
}

/** Gives a free place to who has waited longest. */
export async function promoteOldest(sql: Sql, eventId: string): Promise<void> {
  const [oldest] = await sql<{ id: string }[]>`
    select id from event_rsvps where event_id = ${eventId} and status = 'waitlist'
    order by created_at limit 1`;
  if (!oldest) throw new Error("Nobody is on the waitlist.");
  await sql`
    update event_rsvps set status = 'going', updated_at = now() where id = ${oldest.id}`;
}

/** The places that are taken, and those that there are. */
export async function seats(
  sql: Sql,
  eventId: string,
): Promise<{ taken: number; all: number }> {
  const [row] = await sql<{ taken: number; all: number }[]>`
    select current_rsvp_count as taken, max_capacity as all
    from canonical_events where id = ${eventId}`;
  if (!row) throw new Error(`No event has the id ${eventId}.`);
  return row;
}

export async function describe(
  sql: Sql,
  id: string,
  description: string,
): Promise<void> {
  await sql`
    update canonical_events set description = ${description}, updated_at = now() where id = ${id}`;
}

export async function texts(
  sql: Sql,
  id: string,
): Promise<{ title: string; description: string | null }> {
  const [row] = await sql<{ title: string; description: string | null }[]>`
    select title, description from canonical_events where id = ${id}`;
  if (!row) throw new Error(`No event has the id ${id}.`);
  return row;
}

/** Somebody joins the app with a phone number, as most people do. */
export async function join(
  sql: Sql,
  user: { id: string; name: string; phone: string },
): Promise<void> {
  await sql`insert into users ${sql(user)}`;
}

/** Undefined when there is no RSVP. */
export async function rsvpStatus(
  sql: Sql,
  eventId: string,
  userId: string,
): Promise<string | undefined> {
  const [row] = await sql<{ status: string }[]>`
    select status from event_rsvps where event_id = ${eventId} and user_id = ${userId}`;
  return row?.status;
}

/** What the app's iCal worker makes of an entry of a feed; answers the row's id. */
export async function importFeed(
  sql: Sql,
  { title, page, startsAt }: { title: string; page: string; startsAt: Date },
): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    insert into canonical_events (canonical_uid, title, description, starts_at, tz, source_refs)
    values (left(md5(${page}), 12), ${title}, ${page}, ${startsAt}, 'UTC', ${
    sql.json([{ source: "ical", event_url: page }])
  })
    returning id`;
  if (!row) throw new Error("The insert of a feed's event answered no row.");
  return row.id;
}
