-- Access to the app's tables on a database where this project created them. A live database has its own
-- grants and policies; `grant` and `enable row level security` are only applied to tables that nobody has
-- opened yet, so nothing the app relies on changes.

do $$
declare
  app_table text;
begin
  foreach app_table in array array[
    'users', 'event_cultures', 'calendars', 'canonical_events', 'event_rsvps'
  ] loop
    -- Objects in public get no grants by themselves since 2026-10-30, not for service_role either.
    execute format(
      'grant select, insert, update, delete on table public.%I to service_role', app_table
    );
    if not exists (
      select from information_schema.role_table_grants g
      where g.table_schema = 'public' and g.table_name = app_table
        and g.grantee in ('anon', 'authenticated')
        and g.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    ) then
      execute format('alter table public.%I enable row level security', app_table);
    end if;
  end loop;
end
$$;
