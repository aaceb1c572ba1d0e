-- Access to the app's tables where this project has just created them: objects in public get no grants by
-- themselves since 2026-10-30. A live database, whose server routes use the service role, has its own grants
-- and policies, and is left as it is.

do $$
declare
  app_table text;
begin
  foreach app_table in array array[
    'users', 'event_cultures', 'calendars', 'canonical_events', 'event_rsvps'
  ] loop
    if not has_table_privilege('service_role', format('public.%I', app_table), 'select') then
      execute format('grant select, insert, update, delete on table public.%I to service_role', app_table);
      execute format('alter table public.%I enable row level security', app_table);
    end if;
  end loop;
end
$$;
