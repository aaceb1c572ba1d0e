-- Taking this project out of a database, in one transaction. The app's rows stay as they are.

create or replace function luma.dependents()
returns text[] language sql stable set search_path = '' as $$
  -- Names are then told with their schemas.
  with ours (classid, objid) as (
    select 'pg_catalog.pg_class'::regclass, c.oid from pg_catalog.pg_class c where c.relnamespace = 'luma'::regnamespace
    union all
    select 'pg_catalog.pg_proc'::regclass, p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'luma'::regnamespace
    union all
    select 'pg_catalog.pg_type'::regclass, t.oid from pg_catalog.pg_type t where t.typnamespace = 'luma'::regnamespace
    union all
    -- Columns of the app's tables that are ours.
    select 'pg_catalog.pg_class'::regclass, a.in_table::oid from luma.added_columns() a
  )
  select coalesce(array_agg(distinct i.type || ' ' || i.identity), '{}')
  from pg_catalog.pg_depend d
  join ours o on o.classid = d.refclassid and o.objid = d.refobjid
  cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
  where d.deptype = 'n' and coalesce(i.schema, '') <> 'luma' and i.identity !~ '(^| on | for )luma\.'
    and not (i.type = 'function' and i.identity like 'public.luma\_%')
    and not (i.type = 'trigger' and i.identity like 'zz\_luma\_%')
    and (d.refobjid not in (select a.in_table::oid from luma.added_columns() a) or exists (
      select from luma.added_columns() a
      join pg_catalog.pg_attribute p on p.attrelid = a.in_table and p.attname = a.in_column
      where a.in_table = d.refobjid and p.attnum = d.refobjsubid and i.type in ('rule', 'function', 'policy')
    ))
$$;
comment on function luma.dependents() is
  'What somebody else has built on this project''s tables, views, functions and columns: luma.uninstall() removes none of it.';

create or replace function luma.drops(keep_columns boolean)
returns text[] language sql stable set search_path = '' as $$
  select array_agg(d.statement order by d.place)
  from (
    select 1 as place, format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) as statement
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'luma'::regnamespace
    join pg_catalog.pg_class c on c.oid = t.tgrelid and c.relnamespace <> 'luma'::regnamespace
    where not t.tgisinternal
    union all
    select 2, format('drop function %s', p.oid::regprocedure)
    from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname like 'luma\_%'
    union all
    -- Before the columns, because functions of ours use them.
    select 3, 'drop schema luma cascade'
    union all
    select 4, format('drop index if exists public.%I', i.name) from unnest(luma.added_indexes()) i (name)
    union all
    select 5, format('alter table %s %s', a.in_table, string_agg(format('drop column if exists %I', a.in_column), ', '))
    from luma.added_columns() a where not keep_columns group by a.in_table
  ) d
$$;
comment on function luma.drops(boolean) is 'The statements by which luma.uninstall() removes everything, in their order.';

create or replace function luma.forget_versions()
returns integer language plpgsql set search_path = '' as $$
declare
  forgotten integer := 0;
begin
  -- Else `supabase db push` would take what it applied for being there. Not there where psql was used.
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations m where m.version ~ '^202611(22|24|26|27)00[0-9]{4}$';
    get diagnostics forgotten = row_count;
  end if;
  return forgotten;
end
$$;
comment on function luma.forget_versions() is 'Takes this project''s files out of the Supabase CLI''s list of applied migrations.';

create or replace function luma.remove_all(keep_columns boolean)
returns text language plpgsql
-- Less than deadlock_timeout, so that it is never a write of the app's that fails.
set search_path = '' set lock_timeout = '500ms' set client_min_messages = 'warning' as $$
declare
  answer text;
  statement text;
begin
  -- In the order in which an RSVP of the app's takes them.
  lock table public.event_rsvps, public.users, public.canonical_events, public.calendars in access exclusive mode;
  perform luma.give_back_calendars();
  delete from cron.job_run_details d using cron.job j where j.jobid = d.jobid and j.jobname like 'luma-%';
  perform cron.unschedule(j.jobname) from cron.job j where j.jobname like 'luma-%';
  delete from vault.secrets s where s.name in ('luma_functions_url', 'luma_sync_secret', 'luma_alert_url');
  answer := format(
    'Removed, with %s entries of the CLI''s list of migrations. Events stay on Luma as they are; docs/uninstall.md says what is left to do there and with the functions.',
    luma.forget_versions()
  );
  -- This function is among what is dropped, and runs to its end all the same.
  foreach statement in array luma.drops(keep_columns) loop
    execute statement;
  end loop;
  return answer;
end
$$;
comment on function luma.remove_all(boolean) is 'Does what luma.uninstall() says.';

create or replace function luma.uninstall(confirm text default null, keep_columns boolean default false)
returns text language plpgsql set search_path = '' as $$
declare
  sentence constant text := 'remove luma while it is live';
  others text[] := luma.dependents();
begin
  if luma.mode() = 'live' and confirm is distinct from sentence then
    raise exception 'luma.uninstall: the mode is live: what waits would never be sent'
      using errcode = 'object_not_in_prerequisite_state',
        hint = format('select luma.set_mode(''off''); first, or: select luma.uninstall(confirm => %L);', sentence);
  elsif others <> '{}' then
    raise exception 'luma.uninstall: this is built on what would be removed: %', array_to_string(others, ', ')
      using errcode = 'dependent_objects_still_exist', hint = 'Drop or change it first. Nothing was removed.';
  end if;
  return luma.remove_all(keep_columns);
exception when lock_not_available then
  raise exception 'luma.uninstall: the database is busy, and nothing was removed'
    using errcode = 'lock_not_available', hint = 'Run it again. It waits for half a second only, so that the app does not.';
end
$$;
comment on function luma.uninstall(text, boolean) is
  'Removes this project from the database: triggers, jobs, functions, schema luma, Vault entries, and its columns in the app''s tables unless keep_columns. All or nothing; refused while live, unless confirmed. The app''s rows stay.';

select luma.restrict_access();
