-- What a hosted Supabase project has before its first migration, as far as migrations and the Data API
-- can tell (https://github.com/supabase/postgres, migrations/db). Run by the superuser, supabase_admin.

create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
-- The role that migrations run as is no superuser on hosted projects: a statement that needs more
-- must fail here too.
create role postgres login createdb createrole replication bypassrls;

grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
alter database postgres owner to postgres;

create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;
create schema vault;
create schema graphql_public;
create schema auth;
grant usage on schema public, auth, graphql_public to postgres, anon, authenticated, service_role;

do $$
declare
  preinstalled text;
begin
  -- A Postgres without its contrib package lacks the first two; nothing here needs them.
  foreach preinstalled in array array['pgcrypto', 'uuid-ossp'] loop
    if exists (select from pg_available_extensions where name = preinstalled) then
      execute format('create extension %I with schema extensions', preinstalled);
    end if;
  end loop;
end;
$$;
create extension supabase_vault with schema vault;

-- Since 2026-10-30 new objects in public get no grants to read or write, for service_role either
-- (https://supabase.com/changelog/45329). These three leftovers are still given.
alter default privileges for role postgres in schema public
  grant truncate, references, trigger on tables to anon, authenticated;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
-- Supabase's database advisor looks at the schemas named here; without the setting it finds nothing.
alter role authenticator set pgrst.db_schemas = 'public, graphql_public';
alter database postgres set pgrst.db_schemas = 'public, graphql_public';
alter database postgres set search_path = "$user", public, extensions;

create function auth.jwt() returns jsonb
language sql stable
as $$
  select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb;
$$;

create function auth.uid() returns uuid
language sql stable
as $$
  select (auth.jwt() ->> 'sub')::uuid;
$$;

create function auth.role() returns text
language sql stable
as $$
  select auth.jwt() ->> 'role';
$$;

create function auth.email() returns text
language sql stable
as $$
  select auth.jwt() ->> 'email';
$$;

-- Hosted projects hand pg_cron to postgres this way: everything but writing cron.job directly.
create function extensions.grant_pg_cron_access() returns event_trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if exists (
    select from pg_catalog.pg_event_trigger_ddl_commands() as command
    join pg_catalog.pg_extension as extension on extension.oid = command.objid
    where extension.extname = 'pg_cron'
  ) then
    -- The real pg_cron writes cron.job as the owner of the extension, who must be able to.
    update pg_catalog.pg_extension set extowner = current_user::regrole where extname = 'pg_cron';
    grant usage on schema cron to postgres with grant option;
    grant all on all functions in schema cron to postgres with grant option;
    revoke all on cron.job from postgres;
    grant select on cron.job to postgres with grant option;
    grant select, insert, update, delete on cron.job_run_details to postgres with grant option;
  end if;
end;
$$;

create event trigger issue_pg_cron_access on ddl_command_end
  when tag in ('CREATE EXTENSION')
  execute function extensions.grant_pg_cron_access();

-- The Data API reads the schema again when told so, which every change of it does.
create function extensions.pgrst_ddl_watch() returns event_trigger
language plpgsql
as $$
begin
  notify pgrst, 'reload schema';
end;
$$;

create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_ddl_watch();
