/**
 * Writers that are loops in the database: each has a connection of its own, and commits after each change. So neither
 * the network nor this program is part of what is measured, and what a trigger costs shows in full.
 */
import { connect } from "../stack/database.ts";
import type { Stack } from "../stack/mod.ts";

const PROCEDURES = `
create procedure bench.edit(writer integer, writers integer, seconds double precision, inout done integer)
language plpgsql as $$
declare
  ids uuid[] := array(select id from public.canonical_events);
  until timestamptz := clock_timestamp() + make_interval(secs => seconds);
begin
  done := 0;
  while clock_timestamp() < until loop
    update public.canonical_events e
    set title = 'Rooftop Jam ' || writer || ' ' || done, updated_at = now()
    where e.id = ids[1 + floor(random() * cardinality(ids))::integer];
    commit;
    done := done + 1;
  end loop;
end
$$;
-- As the app does it: the RSVP, in it the app's trigger that counts, then the app's own count.
create procedure bench.rsvp(writer integer, writers integer, seconds double precision, inout done integer)
language plpgsql as $$
declare
  -- No two writers have an event in common, so none of them waits for another because of the app.
  ids uuid[] := array(select e.id from (
    select id, row_number() over (order by id) as n from public.canonical_events limit 800
  ) e where e.n % writers = writer);
  event uuid;
  until timestamptz := clock_timestamp() + make_interval(secs => seconds);
begin
  done := 0;
  while clock_timestamp() < until loop
    event := ids[1 + floor(random() * cardinality(ids))::integer];
    insert into public.event_rsvps (event_id, user_id, status)
    values (event, 'u' || 1 + floor(random() * 200)::integer, (array['interested', 'going', 'not_going'])[1 + done % 3])
    on conflict (event_id, user_id) do update set status = excluded.status, updated_at = now();
    update public.canonical_events e
    set current_rsvp_count = (select count(*) from public.event_rsvps r where r.event_id = e.id and r.status = 'going'),
        updated_at = now()
    where e.id = event;
    commit;
    done := done + 1;
  end loop;
end
$$;`;

/** Makes the loops. */
export async function prepareWriters({ sql }: Stack): Promise<void> {
  await sql.unsafe("create schema if not exists bench");
  await sql.unsafe(PROCEDURES);
}

/** Lets so many writers write for a while. */
export async function write(
  { postgres }: Stack,
  what: "edit" | "rsvp",
  writers: number,
  seconds: number,
): Promise<{ perSecond: number }> {
  const pools = Array.from(
    { length: writers },
    () => connect(postgres.url, { max: 1 }),
  );
  try {
    await Promise.all(pools.map((pool) => pool`select 1`));
    const done = await Promise.all(pools.map(async (pool, writer) => {
      const [row] = await pool.unsafe(
        `call bench.${what}(${writer}, ${writers}, ${seconds}, null)`,
      );
      return Number(row?.done);
    }));
    return { perSecond: done.reduce((sum, count) => sum + count, 0) / seconds };
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
  }
}
