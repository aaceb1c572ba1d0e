/** What can hang on the app's tables while it writes: nothing, the sync, or a peer's way to enqueue. */
import type { Stack } from "../stack/mod.ts";
import { graphileWorker } from "./peers.ts";

/** Who takes the app's changes. */
export const SIDES = ["none", "ours", "append", "graphile-worker"] as const;
export type Side = (typeof SIDES)[number];

/**
 * The least that a queue does, by a row-level trigger: pgmq's table, and the row that pgmq.send() inserts. One
 * message for each change: nothing is coalesced, and nobody is woken.
 */
const APPEND = `
create table bench.messages (
  msg_id bigint generated always as identity primary key,
  read_ct integer not null default 0,
  enqueued_at timestamptz not null default now(),
  vt timestamptz not null,
  message jsonb
);
create index on bench.messages (vt);
create function bench.append() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into bench.messages (vt, message)
  values (clock_timestamp(), jsonb_build_object('entity', tg_table_name, 'id', new.id));
  return null;
end
$$;`;

/** As its documentation says: a job from a trigger, one for each row by its job_key. */
const GRAPHILE = `
create function bench.add_job() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  perform graphile_worker.add_job('sync', json_build_object('entity', tg_table_name, 'id', new.id), job_key => new.id::text);
  return null;
end
$$;`;

const FUNCTIONS: Partial<Record<Side, string>> = {
  append: "bench.append",
  "graphile-worker": "bench.add_job",
};

const TABLES = ["public.canonical_events", "public.event_rsvps"];

/** Where ours looks at the whole row, because a trigger of the app's may change more than a statement names. */
const UPDATED =
  "after update of title, description, starts_at, ends_at, visibility on public.canonical_events";

/** Lets a side be chosen. The peers' triggers fire on the same rows as ours, at the least cost: the bench names columns. */
export async function prepareSides({ sql, postgres }: Stack): Promise<void> {
  await graphileWorker(postgres.url);
  await sql.unsafe(`create schema bench; ${APPEND} ${GRAPHILE}`);
  const rsvps = await sql<{ name: string; definition: string }[]>`
    select tgname as name, pg_get_triggerdef(oid) as definition
    from pg_trigger where tgname in ('zz_luma_rsvp_inserted', 'zz_luma_rsvp_updated')`;
  for (const [side, call] of Object.entries(FUNCTIONS)) {
    const named = (name: string) => `${name}_${side.replace("-", "_")}`;
    await sql.unsafe(
      `create trigger ${named("zz_luma_event_updated")} ${UPDATED}
       for each row execute function ${call}()`,
    );
    for (const { name, definition } of rsvps) {
      await sql.unsafe(
        definition.replace(name, named(name))
          .replace(/EXECUTE FUNCTION .*$/, `EXECUTE FUNCTION ${call}()`),
      );
    }
  }
}

/** Lets this side, and no other, see what the app writes from now on. */
export async function chooseSide({ sql }: Stack, side: Side): Promise<void> {
  const triggers = await sql<{ table: string; name: string; side: Side }[]>`
    select t.tgrelid::regclass::text as table, t.tgname as name,
      case p.proname when 'append' then 'append' when 'add_job' then 'graphile-worker' else 'ours' end as side
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where t.tgname like 'zz_luma%' and t.tgrelid::regclass = any (${TABLES}::regclass[])`;
  for (const trigger of triggers) {
    const turn = trigger.side === side ? "enable" : "disable";
    await sql.unsafe(
      `alter table ${trigger.table} ${turn} trigger ${trigger.name}`,
    );
  }
}

/** Forgets what a side has enqueued. */
export async function forget({ sql }: Stack): Promise<void> {
  await sql`truncate luma.sync_outbox, luma.rechecks, bench.messages`;
  await sql`truncate graphile_worker._private_jobs`;
}
