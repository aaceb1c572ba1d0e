/** The app's writes, exactly as the app and its admins make them: plain rows, no word about Luma. */
import type { Stack } from "../stack/mod.ts";

type Sql = Stack["sql"];

/** A citizen of supabase/seed.sql. */
const HOST = "seed-asha";

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
      'music_entertainment', 'community', 50, ${HOST}, 'citizen', 'pending'
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
