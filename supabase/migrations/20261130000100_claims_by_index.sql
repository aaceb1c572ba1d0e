-- What an Edge Function calls looks for single rows, in the outbox and by an event, a guest or a lease: always by index,
-- also while the statistics, or the plan that a connection keeps, are of a time when the tables were nearly empty.
--
-- That was said of five functions below these calls, and one of them had lost it since, because replacing a function
-- forgets its settings: a claim read the whole outbox for each event, and under a transaction that keeps its snapshot
-- all its dead rows. Said of each call, by what every migration ends with, it holds for all that is below, for good.
-- Without jit, which would compile each of these small queries, because a table without another way to be read counts
-- as endlessly costly then.

create or replace function luma.restrict_access()
returns void language plpgsql set search_path = '' as $$
declare
  f record;
begin
  for f in
    select p.oid::regprocedure as name, n.nspname = 'public' as is_called, coalesce(p.proconfig, '{}') as settings
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'luma' or (n.nspname = 'public' and p.proname like 'luma\_%')
  loop
    -- A new function may be executed by everybody until that is taken back.
    execute format('revoke all on function %s from public, anon, authenticated', f.name);
    if f.is_called then
      execute format('grant execute on function %s to service_role', f.name);
      if not f.settings @> '{enable_seqscan=off,jit=off}' then
        execute format('alter function %s set enable_seqscan = off set jit = off', f.name);
      end if;
    end if;
  end loop;
  revoke all on all tables in schema luma from public, anon, authenticated;
end
$$;
comment on function luma.restrict_access() is
  'Takes back every right on the schema but the calls of the Edge Functions, which service_role may make and which read by index. Each migration ends with it.';

alter function luma.lock_leased(uuid) reset enable_seqscan reset jit;
alter function luma.finish(luma.sync_outbox, text, jsonb) reset enable_seqscan reset jit;

select luma.restrict_access();
