-- Everything of this project lives in schema luma, which the Data API does not expose. The few functions
-- that the Edge Functions call are in public, named luma_*, for service_role alone.

create schema if not exists extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron with schema pg_catalog;
create schema if not exists vault;
create extension if not exists supabase_vault with schema vault;

create schema if not exists luma;
revoke all on schema luma from public, anon, authenticated;
create or replace function luma.restrict_access()
returns void language plpgsql set search_path = '' as $$
declare
  f regprocedure;
begin
  for f in
    select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'luma' or (n.nspname = 'public' and p.proname like 'luma\_%')
  loop
    -- A new function may be executed by everybody until that is taken back.
    execute format('revoke all on function %s from public, anon, authenticated', f);
    if f::text like 'luma\_%' or f::text like 'public.luma\_%' then
      execute format('grant execute on function %s to service_role', f);
    end if;
  end loop;
  revoke all on all tables in schema luma from public, anon, authenticated;
end
$$;
comment on function luma.restrict_access() is
  'Leaves luma_* in public to service_role, and all else of this project to its owner. Called by every migration that adds to public.';

comment on schema luma is 'Two-way sync with Luma. Admins use its views and functions in SQL; the app never needs it.';
