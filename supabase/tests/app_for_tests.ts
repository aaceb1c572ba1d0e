/** An app with many rows, and its writers, while something is done to the database. */
import type postgres from "postgres";
import { applyMigrations } from "../../scripts/stack/database.ts";
import { migrationNames, ROOT } from "./releases_for_tests.ts";

/** The files that make the app's own tables, as the live database has them before anything of this project. */
export const APP_FILES = migrationNames().slice(0, 4);

/** The app's tables, empty. */
export async function makeApp(sql: postgres.Sql): Promise<void> {
  await applyMigrations(sql, ROOT, (file) => APP_FILES.includes(file));
}

/** 50,000 users, 2,000 events and 20,000 RSVPs. */
export async function fillApp(sql: postgres.Sql): Promise<void> {
  await sql`insert into public.event_cultures (slug, name) values ('default', 'Other') on conflict do nothing`;
  await sql`
    insert into public.users (id, name, email, phone)
    select 'u' || n, 'User ' || n, 'u' || n || '@example.com', '98' || lpad(n::text, 8, '0')
    from generate_series(1, 50000) n`;
  await sql`
    insert into public.canonical_events (canonical_uid, title, description, starts_at, ends_at, source_type, submission_status, lat, lng)
    select 'app-' || n, 'Event ' || n, repeat('Bring an instrument. ', 10), now() + n * interval '1 hour',
      now() + n * interval '1 hour' + interval '2 hours', 'community', case when n % 5 = 0 then 'pending' else 'approved' end,
      12.9 + n / 10000.0, 77.6
    from generate_series(1, 2000) n`;
  await sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select e.id, 'u' || (1 + (row_number() over (order by e.canonical_uid) * 10 + k) % 50000), case k % 4 when 0 then 'interested' else 'going' end
    from public.canonical_events e cross join generate_series(1, 10) k`;
}

/** What writers have seen. */
export interface Written {
  writes: number;
  /** The longest that a transaction took, in milliseconds. */
  slowestMs: number;
  /** What went wrong, in words. */
  errors: string[];
}

/** What the app does all day, one transaction each; `n` is different each time. */
const WRITES:
  ((sql: postgres.TransactionSql, n: number) => PromiseLike<unknown>)[] = [
    (sql, n) =>
      sql`update public.canonical_events set title = title || '.' where canonical_uid = ${`app-${
        1 + n % 2000
      }`}`,
    (sql, n) =>
      sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select id, ${`u${
        1 + n * 7 % 50000
      }`}, 'going' from public.canonical_events where canonical_uid = ${`app-${
        1 + n * 3 % 2000
      }`}
    on conflict (event_id, user_id) do update set status = excluded.status`,
    (sql, n) =>
      sql`
    update public.event_rsvps set status = 'cancelled'
    where id = (select id from public.event_rsvps where user_id = ${`u${
        1 + n % 50000
      }`} limit 1)`,
    (sql, n) =>
      sql`insert into public.users (id, name, email) values (${`new-${n}`}, 'New', ${`new-${n}@example.com`})`,
    (sql, n) =>
      sql`update public.users set email = ${`other-${n}@example.com`} where id = ${`u${
        1 + n % 50000
      }`}`,
    (sql, n) =>
      sql`delete from public.users where id = ${`u${50000 - n % 1000}`}`,
    (sql, n) =>
      sql`
    insert into public.canonical_events (canonical_uid, title, starts_at, source_type, submission_status)
    values (${`more-${n}`}, 'More', now() + interval '3 days', 'community', 'approved')`,
    (sql) => sql`update public.calendars set updated_at = now()`,
  ];

/** Connections that write at once. */
export const WRITERS = 4;

/** Long enough for every kind of write. */
const WARM_UP_MS = 500;

/** Writes with a pause of some milliseconds after each, while `work` runs, and before and after it. */
export async function whileWriting(
  sql: postgres.Sql,
  work: () => Promise<void>,
): Promise<Written> {
  const written: Written = { writes: 0, slowestMs: 0, errors: [] };
  let isOver = false;
  let next = 0;
  const writer = async () => {
    while (!isOver) {
      const n = ++next;
      const started = performance.now();
      try {
        await sql.begin((session) => WRITES[n % WRITES.length]!(session, n));
      } catch (error) {
        written.errors.push(
          error instanceof Error ? error.message : String(error),
        );
      }
      written.slowestMs = Math.max(
        written.slowestMs,
        performance.now() - started,
      );
      written.writes++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const writers = Promise.all(Array.from({ length: WRITERS }, writer));
  const pause = () => new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  try {
    await pause();
    await work();
    await pause();
  } finally {
    isOver = true;
    await writers;
  }
  return written;
}
