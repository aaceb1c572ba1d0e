-- Pulling: reading Luma's side, so that what no webhook told is healed. One row for each run, which is at once the
-- request, the place where a killed run goes on, and its statistics.

alter table luma.settings
  add column if not exists scheduled_pulls boolean not null default true,
  add column if not exists pull_share numeric not null default 0.2 check (pull_share > 0 and pull_share <= 1),
  add column if not exists pull_lookback_days integer not null default 14 check (pull_lookback_days between 1 and 366);
comment on column luma.settings.scheduled_pulls is 'Whether pg_cron pulls every calendar every 15 minutes. False: only when asked (luma.pull_now()).';
comment on column luma.settings.pull_share is
  'Share of a calendar''s calls_per_minute that scheduled pulls may use in any minute. What an admin asks for may use two thirds; the rest is for live traffic.';
comment on column luma.settings.pull_lookback_days is
  'Events that began up to so many days ago are listed too, because they may be running. Longer for running events that are known.';

create table if not exists luma.pull_runs (
  id uuid primary key default gen_random_uuid(),
  calendar text not null,
  luma_event_id text,
  is_full boolean not null,
  is_dry boolean not null default false,
  is_asked boolean not null,
  requested_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('done', 'incomplete', 'failed')),
  problems text[] not null default '{}',
  lease uuid,
  alive_until timestamptz,
  due_at timestamptz not null default clock_timestamp(),
  failures integer not null default 0,
  phase text not null default 'check' check (phase in ('check', 'events', 'details', 'guests')),
  listed_after timestamptz,
  cursor text,
  next_cursor text,
  pages integer not null default 0,
  seen text[] not null default '{}',
  asked_at timestamptz,
  listed_from timestamptz,
  entries jsonb not null default '[]',
  tries integer not null default 0,
  details text[] not null default '{}',
  guests_of uuid[] not null default '{}',
  is_whole boolean not null default true,
  events integer not null default 0,
  guests integer not null default 0,
  inserted integer not null default 0,
  updated integer not null default 0,
  unchanged integer not null default 0,
  to_read integer not null default 0,
  errors integer not null default 0,
  errors_before integer not null default 0,
  calls integer not null default 0,
  constraint pull_runs_ended_says_how check ((ended_at is null) = (outcome is null)),
  constraint pull_runs_lease_ends check ((lease is null) = (alive_until is null))
);
alter table luma.pull_runs enable row level security;
create unique index if not exists pull_runs_one_at_a_time on luma.pull_runs (calendar, coalesce(luma_event_id, ''))
  where started_at is not null and ended_at is null;
create unique index if not exists pull_runs_one_waits on luma.pull_runs (calendar, coalesce(luma_event_id, ''), is_dry)
  where started_at is null and ended_at is null;
create index if not exists pull_runs_calendar on luma.pull_runs (calendar, requested_at);

comment on table luma.pull_runs is
  'Pulls: asked for, under way (started_at without ended_at), and over. A run that was cut short goes on where its row says. See luma.pulls.';
comment on column luma.pull_runs.calendar is 'luma_key.';
comment on column luma.pull_runs.luma_event_id is 'Only this event is read, with its guests. Null: the calendar.';
comment on column luma.pull_runs.is_full is 'Every coming event is read whole, with all its guests. False: lists, and the guests that may have changed.';
comment on column luma.pull_runs.is_dry is 'Nothing is written but luma.drift: what differs, and what would be done.';
comment on column luma.pull_runs.is_asked is 'By an admin; else by pg_cron.';
comment on column luma.pull_runs.outcome is
  'done: everything was read. incomplete: some entries or pages were not (see problems). failed: the calendar could not be read.';
comment on column luma.pull_runs.problems is 'The first of what went wrong, one line each.';
comment on column luma.pull_runs.lease is 'The function that works on it. Past alive_until another one goes on.';
comment on column luma.pull_runs.due_at is 'It goes on from then: after a failed call, or when its calendar is paused.';
comment on column luma.pull_runs.failures is 'Failed calls in a row.';
comment on column luma.pull_runs.cursor is 'Where the page begins that is read, or being applied, now.';
comment on column luma.pull_runs.next_cursor is 'Where the page after it begins; null: it is the last one.';
comment on column luma.pull_runs.seen is 'Ids that this listing has shown so far (of guests their addresses too): what is missing in the end is looked for.';
comment on column luma.pull_runs.asked_at is 'When the page was asked for: what was told or heard since then is newer than it.';
comment on column luma.pull_runs.listed_from is 'asked_at of the first page of this listing.';
comment on column luma.pull_runs.entries is 'What is left to apply of the page. Personal data of guests: emptied as it is applied.';
comment on column luma.pull_runs.tries is 'How often in a row the first of entries has been found locked by the app.';
comment on column luma.pull_runs.details is 'Luma events to read one by one: the list tells neither descriptions nor hosts, nor why an event is missing.';
comment on column luma.pull_runs.guests_of is 'Events whose guests are still to be read, the most urgent first.';
comment on column luma.pull_runs.is_whole is 'Everything so far was read. Only then can something be missing.';
comment on column luma.pull_runs.errors_before is 'errors when this list was begun.';
comment on column luma.pull_runs.to_read is 'Left to the drain, which reads it when nothing of ours is on its way: it was told or heard of in between.';

-- Apart from event_links, so that reading what has not changed writes no row that says so.
create table if not exists luma.reads (
  event_id uuid primary key,
  read_at timestamptz,
  guests_read_at timestamptz
);
alter table luma.reads enable row level security;
comment on table luma.reads is 'When events on Luma were last read. No foreign key, like luma.event_links.';
comment on column luma.reads.read_at is 'The event itself, with its description.';
comment on column luma.reads.guests_read_at is 'Its whole guest list.';

alter table luma.event_links add column if not exists pulled_at timestamptz;
alter table luma.guests add column if not exists pulled_at timestamptz;
alter table luma.calendar_state add column if not exists missed_at timestamptz;
comment on column luma.event_links.pulled_at is 'When a pull last found something that no webhook had told.';
comment on column luma.guests.pulled_at is 'When a pull last found something that no webhook had told.';
comment on column luma.calendar_state.missed_at is
  'When it was last noticed that webhooks were missed: what was not read since may have changed unheard.';
create index if not exists webhook_inbox_calendar on luma.webhook_inbox (calendar, received_at);

create or replace function luma.heard_from(calendar text)
returns timestamptz language sql stable set search_path = '' as $$
  select max(i.received_at) from luma.webhook_inbox i where i.calendar = heard_from.calendar
$$;
comment on function luma.heard_from(text) is 'When the last webhook of a calendar came, or null.';

create or replace function luma.is_deaf(calendar text)
returns boolean language sql stable set search_path = '' as $$
  select coalesce(s.missed_at > coalesce(luma.heard_from(calendar), '-infinity'), false)
  from (select is_deaf.calendar) c left join luma.calendar_state s on s.luma_key = c.calendar
$$;
comment on function luma.is_deaf(text) is
  'True from when webhooks were noticed to be missing until one comes: meanwhile an event is read before anything is sent to it, because a host may have changed it unheard.';

select luma.restrict_access();
