/** Rows for the measurements: events that both sides agree on, users, and their RSVPs. */
import type postgres from "postgres";

type Sql = postgres.Sql;

/** Live, without scheduled pulls, which nothing here waits for; with a spacing also without a limit of calls. */
export async function goLive(
  sql: Sql,
  { spacingMs }: { spacingMs?: number } = {},
): Promise<void> {
  await sql`insert into public.event_cultures (slug, name) values ('default', 'Other') on conflict do nothing`;
  await sql`update luma.settings set scheduled_pulls = false`;
  if (spacingMs !== undefined) {
    // More permits than can be used: how fast it can go, or how much it calls, is to be seen.
    await sql`
      update luma.settings
      set calls_per_minute = 10000, calls_per_minute_total = 10000, edit_spacing_ms = ${spacingMs}`;
  }
  await sql`select luma.set_mode('live')`;
}

/** Runs statements that are to enqueue nothing. */
async function unseen(
  sql: Sql,
  work: (sql: postgres.TransactionSql) => Promise<unknown>,
): Promise<void> {
  await sql.begin(async (begun) => {
    await begun`select set_config('luma.applying', 'on', true)`;
    await work(begun);
  });
}

/** Live, with so many events that Luma has as they are, half of them on each calendar. */
export async function linkedEvents(sql: Sql, count: number): Promise<void> {
  await sql`insert into public.event_cultures (slug, name) values ('default', 'Other') on conflict do nothing`;
  await unseen(sql, async (sql) => {
    await sql`
      insert into public.canonical_events (
        canonical_uid, title, description, starts_at, ends_at, tz, lat, lng, location_name, location_raw, source_type,
        submission_status, luma_event_id
      )
      select 'community-u1-' || n, 'Rooftop Jam ' || n, repeat('Bring an instrument. ', 20), now() + interval '7 days',
        now() + interval '7 days 3 hours', 'Asia/Kolkata', 12.97, 77.59, 'Zo House', '12 MG Road, Bengaluru', 'community',
        'approved', 'evt-' || n
      from generate_series(1, ${count}::int) n`;
    await sql`
      insert into luma.event_links (event_id, calendar, slug, luma_event_id, row_base)
      select e.id, case when hashtext(e.id::text) % 2 = 0 then 'blr' else 'zo_events' end, luma.slug_for(e.id, e.title),
        e.luma_event_id, luma.event_state(e)
      from public.canonical_events e`;
  });
  await goLive(sql, { spacingMs: 0 });
  await tidy(sql);
}

/** So many users with an e-mail address, named u1, u2, … */
export async function users(sql: Sql, count: number): Promise<void> {
  await unseen(sql, (sql) =>
    sql`
      insert into public.users (id, name, email)
      select 'u' || n, 'User ' || n, 'u' || n || '@example.com' from generate_series(1, ${count}::int) n`);
}

/** Takes away what was enqueued. */
export async function emptyOutbox(sql: Sql): Promise<void> {
  await sql`truncate luma.sync_outbox, luma.rechecks, luma.attempts, luma.rate_permits`;
}

const TABLES = [
  "public.canonical_events",
  "public.event_rsvps",
  "luma.sync_outbox",
  "luma.event_links",
];

/** Takes dead rows out of the tables, so that each measurement finds them alike. */
export async function tidy(sql: Sql, tables: string[] = TABLES): Promise<void> {
  for (const table of tables) await sql.unsafe(`vacuum analyze ${table}`);
}
