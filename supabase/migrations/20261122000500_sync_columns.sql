-- The columns of the integration plan, for the app to read.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

alter table public.canonical_events
  add column if not exists meeting_url text,
  add column if not exists visibility text default 'public',
  add column if not exists luma_sync_status text,
  add column if not exists luma_synced_at timestamptz;

-- Named apart from the columns, so that a database where somebody added a column by hand gets the checks too.
-- `not valid` spares the table a scan under a lock, but any later write of a row is checked: a database with
-- rows that break a check goes without it, because the app must still be able to write them.
do $$
declare
  rule record;
  broken boolean;
begin
  for rule in
    select * from (values
      ('canonical_events_meeting_url_is_address',
       $check$meeting_url is null or meeting_url = '' or meeting_url ~* '^https?://[^[:space:]/?#@]+\.[^[:space:]]+$'$check$),
      ('canonical_events_visibility_known',
       $check$visibility in ('public', 'members-only', 'private')$check$),
      ('canonical_events_luma_sync_status_known',
       $check$luma_sync_status in ('pushed', 'pulled', 'push_failed', 'synced')$check$)
    ) r (name, condition)
    where not exists (select from pg_constraint c where c.conname = r.name)
  loop
    execute format('select exists (select from public.canonical_events where not (%s))', rule.condition) into broken;
    if broken then
      raise warning 'luma: check % was left out, because rows of canonical_events break it: %', rule.name, rule.condition;
    else
      execute format('alter table public.canonical_events add constraint %I check (%s) not valid', rule.name, rule.condition);
    end if;
  end loop;
end
$$;

comment on column public.canonical_events.meeting_url is
  'Link of the online meeting (http or https), sent to Luma as meeting_url. Null for most events.';
comment on column public.canonical_events.visibility is
  'Who finds the event on Luma while it is approved: public, members-only or private.';
comment on column public.canonical_events.luma_sync_status is
  'pushed (we → Luma), pulled (Luma → us), synced (both ways), push_failed (see luma.dead_letters), or null.';
comment on column public.canonical_events.luma_synced_at is
  'When the row and its Luma event last agreed.';

alter table public.event_rsvps
  add column if not exists luma_guest_id text,
  add column if not exists luma_synced_at timestamptz;

comment on column public.event_rsvps.luma_guest_id is 'Luma''s id of this guest (gst-…).';
comment on column public.event_rsvps.luma_synced_at is 'When the RSVP and its Luma guest last agreed.';

alter table public.calendars
  add column if not exists has_api_key boolean default false,
  add column if not exists sync_method text default 'ical'
    check (sync_method in ('ical', 'luma_api', 'manual')),
  add column if not exists luma_calendar_id text,
  add column if not exists luma_key text unique check (luma_key ~ '^[a-z][a-z0-9_]{0,30}$'),
  add column if not exists luma_is_default boolean not null default false,
  add column if not exists fence_lat double precision check (fence_lat between -90 and 90),
  add column if not exists fence_lng double precision check (fence_lng between -180 and 180),
  add column if not exists fence_radius_km double precision check (fence_radius_km > 0);

comment on column public.calendars.has_api_key is 'True when a Luma API key for this calendar is kept in the function secrets.';
comment on column public.calendars.sync_method is 'How events of this calendar arrive: ical (the app''s worker), luma_api (this project), manual.';
comment on column public.calendars.luma_calendar_id is 'Luma''s id of the calendar (cal-…).';
comment on column public.calendars.luma_key is
  'Short name of a calendar that events can be pushed to. The secret LUMA_<KEY>_API_KEY (upper case) holds its API key.';
comment on column public.calendars.luma_is_default is 'True for the one calendar that takes every event outside all fences.';
comment on column public.calendars.fence_lat is 'Centre of the area whose events go to this calendar, degrees.';
comment on column public.calendars.fence_lng is 'Centre of the area whose events go to this calendar, degrees.';
comment on column public.calendars.fence_radius_km is 'Events closer to the centre than this many kilometres go to this calendar.';

create unique index if not exists calendars_one_luma_default
  on public.calendars (luma_is_default) where luma_is_default;

reset lock_timeout;
