-- Calendars that this project reads through the API are none of the app's iCal worker any more. It reads every row with
-- is_active, so is_active is what tells it: no code of the app changes.

alter table luma.settings add column if not exists skip_ical boolean not null default true;
comment on column luma.settings.skip_ical is
  'True: while live, a calendar that was pulled once is set to is_active = false, so that the app''s iCal worker skips it; luma.set_mode() to off or dry_run gives it back. False: is_active is left alone.';

alter table luma.calendar_state add column if not exists was_active boolean not null default false;
comment on column luma.calendar_state.was_active is 'is_active was taken from the calendar''s row, and is given back when the mode is not live any more.';

-- The plan's new name (it was SFOxZo); a name that somebody has given it since stays.
update public.calendars set name = 'Zo Events'
where luma_key = 'zo_events' and name in ('Zo House San Francisco', 'SFOxZo');

create or replace function luma.mark_calendars(keys text[])
returns void language plpgsql set search_path = '' as $$
declare
  differing text[] := array(
    -- Skipping rows that somebody is editing: the next run comes to them.
    select c.luma_key from public.calendars c
    where c.luma_key is not null and (c.has_api_key, c.sync_method = 'luma_api')
      is distinct from (c.luma_key = any (keys), c.luma_key = any (keys))
    for update skip locked
  );
begin
  if differing = '{}' then
    return;
  end if;
  update public.calendars c
  set has_api_key = c.luma_key = any (keys),
      sync_method = case when c.luma_key = any (keys) then 'luma_api' when c.sync_method = 'luma_api' then 'ical' else c.sync_method end,
      -- Without its key nobody would read it any more.
      is_active = c.is_active or c.luma_key <> all (keys) and exists (
        select from luma.calendar_state s where s.luma_key = c.luma_key and s.was_active
      )
  where c.luma_key = any (differing);
  update luma.calendar_state s set was_active = false
  where s.was_active and s.luma_key = any (differing) and s.luma_key <> all (keys);
end
$$;
comment on function luma.mark_calendars(text[]) is 'Shows in public.calendars which of them have an API key in the function secrets.';

create or replace function public.luma_drain_start(keys text[])
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  run_id uuid;
begin
  if luma.mode() = 'live' then
    -- Before anything is created: luma.pulled_since() goes by which calendars can be pulled.
    perform luma.mark_calendars(keys);
  end if;
  insert into luma.drain_runs (alive_until) values (clock_timestamp() + interval '15 seconds') returning id into run_id;
  update luma.bell b set rung_at = null, unanswered = 0 where b.rung_at is not null or b.unanswered > 0;
  perform luma.lock_permits();
  perform luma.route_jobs();
  return jsonb_build_object(
    'run_id', run_id, 'mode', luma.mode(), 'problems', luma.note_missing_keys(keys),
    'lease_seconds', (select s.lease_seconds from luma.settings s)
  );
end
$$;

create or replace function luma.take_over_calendar(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  if luma.mode() <> 'live' or not (select s.skip_ical from luma.settings s) then
    return;
  end if;
  -- One that somebody is editing is left to the next pull.
  update public.calendars c set is_active = false
  where c.luma_key in (
    select d.luma_key from public.calendars d where d.luma_key = take_over_calendar.calendar and d.is_active for update skip locked
  );
  if found then
    insert into luma.calendar_state as s (luma_key, was_active) values (take_over_calendar.calendar, true)
    on conflict (luma_key) do update set was_active = true;
  end if;
end
$$;
comment on function luma.take_over_calendar(text) is 'After a whole pull: the app''s iCal worker need not read this calendar.';

create or replace function luma.give_back_calendars()
returns void language sql set search_path = ''
begin atomic
  update public.calendars c set is_active = true
  from luma.calendar_state s where s.luma_key = c.luma_key and s.was_active;
  update luma.calendar_state s set was_active = false where s.was_active;
end;
comment on function luma.give_back_calendars() is 'The app''s iCal worker reads again what it read before this project did.';

select luma.restrict_access();
