-- Only service_role (the Edge Functions) may call luma_* in public, and only through them does it reach the
-- tables: they run as their owner. anon and authenticated can neither read nor call anything of this project.

do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'luma' or (n.nspname = 'public' and p.proname like 'luma\_%')
  loop
    -- A new function may be executed by everybody until that is taken back.
    execute format('revoke all on function %s from public, anon, authenticated', f);
  end loop;

  for f in
    select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'public' and p.proname like 'luma\_%'
  loop
    execute format('grant execute on function %s to service_role', f);
  end loop;
end
$$;

revoke all on all tables in schema luma from public, anon, authenticated;
