/** Writers as an app has them: each with a connection of its own, a round trip for each statement, a commit each. */
import type postgres from "postgres";
import { connect } from "../stack/database.ts";
import type { Stack } from "../stack/mod.ts";

/** One change of writer number `writer`; no two writers change the same event. */
type Change = (
  sql: postgres.Sql,
  event: string,
  turn: number,
) => Promise<unknown>;

const CHANGES: Record<"edit" | "rsvp", Change> = {
  edit: async (sql, event, turn) =>
    await sql`
      update public.canonical_events set title = ${`Rooftop Jam ${turn}`}, updated_at = now() where id = ${event}`,
  // The RSVP, in it the app's trigger that counts; then the app's own count.
  rsvp: async (sql, event, turn) =>
    await sql.begin(async (sql) => {
      const user = `u${1 + Math.floor(Math.random() * 200)}`;
      const status = ["interested", "going", "not_going"][turn % 3]!;
      await sql`
        insert into public.event_rsvps (event_id, user_id, status) values (${event}, ${user}, ${status})
        on conflict (event_id, user_id) do update set status = excluded.status, updated_at = now()`;
      await sql`
        update public.canonical_events e
        set current_rsvp_count = (
          select count(*) from public.event_rsvps r where r.event_id = e.id and r.status = 'going'
        ), updated_at = now()
        where id = ${event}`;
    }),
};

/** Lets so many writers write for a while; how many changes they made a second. */
export async function write(
  { sql, postgres }: Stack,
  what: keyof typeof CHANGES,
  writers: number,
  seconds: number,
): Promise<number> {
  const events = await sql<{ id: string }[]>`
    select id from public.canonical_events order by id limit 800`;
  const pools = Array.from(
    { length: writers },
    () => connect(postgres.url, { max: 1 }),
  );
  try {
    await Promise.all(pools.map((pool) => pool`select 1`));
    const end = performance.now() + seconds * 1000;
    let done = 0;
    await Promise.all(pools.map(async (pool, writer) => {
      const own = events.filter((_, n) => n % writers === writer);
      for (let turn = 0; performance.now() < end; turn++, done++) {
        const { id } = own[Math.floor(Math.random() * own.length)]!;
        await CHANGES[what](pool, id, turn);
      }
    }));
    return done / seconds;
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
  }
}
