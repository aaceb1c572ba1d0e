-- What is known about each calendar's API: paused by Luma's 429 or by an admin, stopped by a refused key.
-- Apart from public.calendars, so that the drain never locks a row of the app.

create table if not exists luma.calendar_state (
  luma_key text primary key,
  paused_until timestamptz,
  paused_by text check (paused_by in ('luma', 'admin')),
  stopped_at timestamptz,
  problem text,
  rate_limit integer check (rate_limit > 0),
  updated_at timestamptz not null default now(),
  check ((paused_until is null) = (paused_by is null)),
  check (stopped_at is null or problem is not null)
);
alter table luma.calendar_state enable row level security;

comment on table luma.calendar_state is 'State of each calendar''s API. No row: nothing special is known.';
comment on column luma.calendar_state.luma_key is 'calendars.luma_key.';
comment on column luma.calendar_state.paused_until is 'No calls before this: Retry-After of a 429, or infinity for luma.pause().';
comment on column luma.calendar_state.stopped_at is 'Set when Luma refused the key (401, 403). Jobs wait until luma.resume().';
comment on column luma.calendar_state.problem is 'What is wrong and what to do, for an admin. Kept for missing keys too, which stop nothing.';
comment on column luma.calendar_state.rate_limit is 'X-RateLimit-Limit as Luma last told it.';

create or replace function luma.calendar_ready(calendar text)
returns boolean language sql stable set search_path = ''
return not exists (
  select from luma.calendar_state s
  where s.luma_key = calendar and (s.stopped_at is not null or s.paused_until > now())
);
comment on function luma.calendar_ready(text) is 'True when calls for this calendar may be made now.';

create or replace function luma.pause_calendar(calendar text, until timestamptz, paused_by text)
returns void language sql set search_path = ''
begin atomic
  insert into luma.calendar_state as s (luma_key, paused_until, paused_by)
  values (calendar, until, paused_by)
  on conflict (luma_key) do update
  set paused_by = case when excluded.paused_until >= coalesce(s.paused_until, '-infinity') then excluded.paused_by else s.paused_by end,
      paused_until = greatest(s.paused_until, excluded.paused_until),
      updated_at = now();
end;
comment on function luma.pause_calendar(text, timestamptz, text) is 'Pauses a calendar; the longer of two pauses wins.';

create or replace function luma.note_problem(calendar text, what text, stop boolean)
returns void language sql set search_path = ''
begin atomic
  insert into luma.calendar_state as s (luma_key, problem, stopped_at)
  values (calendar, what, case when stop then now() end)
  on conflict (luma_key) do update
  set problem = excluded.problem,
      stopped_at = coalesce(s.stopped_at, excluded.stopped_at),
      updated_at = now()
  where s.problem is distinct from excluded.problem or (stop and s.stopped_at is null);
end;
comment on function luma.note_problem(text, text, boolean) is
  'Keeps what is wrong with a calendar for luma.health; with stop, no more calls are made for it until luma.resume().';
