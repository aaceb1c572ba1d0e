/** Differences between the two sides that nobody was told of, and how many are left. */
import type { Stack } from "../stack/mod.ts";

export const GUESTS_EACH = 5;

/** The scene: so many events that hosts made, each with as many guests, who are users of the app. */
export function hostedEvents({ simulator }: Stack, count: number): string[] {
  const calendar = simulator.calendars[0]!.id;
  return Array.from({ length: count }, (_, n) => {
    // Over two months, as a calendar is that is well filled: few of them soon.
    const start = Date.now() + 3_600_000 + n * 60 * 86_400_000 / count;
    const { id } = simulator.host.createEvent(calendar, {
      name: `Event ${n}`,
      start_at: new Date(start).toISOString(),
      end_at: new Date(start + 3_600_000).toISOString(),
      timezone: "Asia/Kolkata",
    });
    for (let guest = 0; guest < GUESTS_EACH; guest++) {
      simulator.guest.register(id, {
        name: `User ${guest}`,
        email: `u${guest + 1}@example.com`,
      });
    }
    return id;
  });
}

/** The user who is on none of the lists yet. */
export const NEWCOMER = GUESTS_EACH + 1;

const email = (user: number) => `u${user}@example.com`;

/**
 * Five differences an event, in one of four ways that take turns: the title edited on Luma (twice in one second), on
 * Luma once, in the app, or the event cancelled on Luma, which is one. Of its guests one declines on Luma, one is
 * removed there, one RSVP is changed in the app and one deleted. No webhook is sent, and no trigger runs.
 */
export async function makeDifferences(
  { simulator, sql, admin }: Stack,
  events: readonly string[],
): Promise<number> {
  const edited: string[] = [];
  let made = 0;
  const open: string[] = [];
  for (const [n, id] of events.entries()) {
    if (n % 20 === 19) {
      simulator.host.cancelEvent(id);
      made++;
      continue;
    }
    open.push(id);
    if (n % 4 === 2) edited.push(id);
    else simulator.host.updateEvent(id, { name: `Theirs ${n}` });
    if (n % 4 === 0) {
      simulator.host.updateEvent(id, { name: `Theirs again ${n}` });
    }
    simulator.host.setGuestStatus(id, email(1), "declined");
    const guests = simulator.event(id)!.guests;
    guests.splice(
      guests.findIndex(({ user_email }) => user_email === email(2)),
      1,
    );
    simulator.guest.register(id, { name: "Newcomer", email: email(NEWCOMER) });
    made += 6;
  }
  await admin.begin(async (admin) => {
    await admin`set local session_replication_role = replica`;
    await admin`update public.canonical_events set title = title || ', ours' where luma_event_id = any (${edited})`;
    const rsvps = (user: number) =>
      admin`
      event_id in (select id from public.canonical_events where luma_event_id = any (${open})) and user_id = ${
        "u" + user
      }`;
    await admin`update public.event_rsvps set status = 'not_going', updated_at = now() where ${
      rsvps(3)
    }`;
    await admin`delete from public.event_rsvps where ${rsvps(4)}`;
  });
  const [row] =
    await sql`select count(*)::int from public.canonical_events where submission_status = 'approved'`;
  if (row!.count !== events.length) {
    throw new Error(`${row!.count} events are shown.`);
  }
  return made;
}

/** How many titles, cancellations and places on lists are not the same on both sides. */
export async function differences(
  { simulator, sql }: Stack,
  events: readonly string[],
): Promise<number> {
  const rows = await sql`
    select e.luma_event_id as id, e.title, (
      select coalesce(jsonb_object_agg(r.user_id || '@example.com', luma.guest_status(r.status)), '{}')
      from public.event_rsvps r where r.event_id = e.id
    ) as guests
    from public.canonical_events e where e.submission_status = 'approved'`;
  const here = new Map(rows.map((row) => [row.id, row]));
  let found = 0;
  for (const id of events) {
    const there = simulator.event(id);
    const row = here.get(id);
    if (!there || !row) {
      if (there || row) found++;
      continue;
    }
    if (there.name !== row.title) found++;
    const places = new Map(
      there.guests.map((
        { user_email, approval_status },
      ) => [user_email as string, approval_status as string]),
    );
    for (const who of new Set([...places.keys(), ...Object.keys(row.guests)])) {
      const said = [places.get(who), row.guests[who]].map((status) =>
        status ?? "declined"
      );
      if (said[0] !== said[1]) found++;
    }
  }
  return found;
}
