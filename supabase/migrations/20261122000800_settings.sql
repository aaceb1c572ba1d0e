-- One row of settings, so that each has a type, a check and a comment.

create table if not exists luma.settings (
  id boolean primary key default true check (id),
  mode text not null default 'off' check (mode in ('off', 'dry_run', 'live')),
  cancel_on_luma boolean not null default false,
  calls_per_minute integer not null default 180 check (calls_per_minute between 1 and 10000),
  calls_per_minute_total integer not null default 280 check (calls_per_minute_total between 1 and 10000),
  edit_spacing_ms integer not null default 1000 check (edit_spacing_ms between 0 and 600000),
  lease_seconds integer not null default 15 check (lease_seconds between 12 and 120),
  retry_base_seconds numeric not null default 2 check (retry_base_seconds > 0),
  retry_cap_seconds numeric not null default 600 check (retry_cap_seconds >= retry_base_seconds),
  max_crashes integer not null default 5 check (max_crashes >= 1),
  log_days integer not null default 14 check (log_days >= 1),
  webhook_days integer not null default 30 check (webhook_days >= 1),
  cron_details_days integer not null default 3 check (cron_details_days >= 1),
  updated_at timestamptz not null default now()
);
alter table luma.settings enable row level security;
insert into luma.settings default values on conflict do nothing;

comment on table luma.settings is 'Settings of the sync: exactly one row. Change the mode with luma.set_mode(), the rest with update.';
comment on column luma.settings.mode is 'off: nothing is sent. dry_run: what would be sent is written to luma.attempts. live.';
comment on column luma.settings.cancel_on_luma is
  'False: a cancelled event becomes private on Luma. True: it is cancelled there, which mails every guest, refunds and cannot be undone.';
comment on column luma.settings.calls_per_minute is 'Calls to Luma in any 60 seconds for one calendar. Luma allows 200 a key.';
comment on column luma.settings.calls_per_minute_total is 'Calls to Luma in any 60 seconds over all calendars.';
comment on column luma.settings.edit_spacing_ms is
  'Edits of one event are sent at most this often; what is edited meanwhile goes together. Creates and cancellations never wait.';
comment on column luma.settings.lease_seconds is
  'After a crash a job is free again this long after its last renewal. Longer than the 10 s that one call may take.';
comment on column luma.settings.retry_base_seconds is 'Upper bound of the first retry delay; doubles with each attempt, with full jitter.';
comment on column luma.settings.retry_cap_seconds is 'Longest retry delay.';
comment on column luma.settings.max_crashes is 'A job whose drain died this often in a row is dead: it would take every drain down with it.';
comment on column luma.settings.log_days is 'Days that luma.attempts, luma.drain_runs and finished outbox rows are kept.';
comment on column luma.settings.webhook_days is 'Days that webhook deliveries are kept in luma.webhook_inbox; they hold guests'' names and addresses.';
comment on column luma.settings.cron_details_days is 'Days that cron.job_run_details of this project''s jobs are kept; pg_cron never trims them.';

create or replace function luma.mode()
returns text language sql stable set search_path = ''
return (select s.mode from luma.settings s);
comment on function luma.mode() is 'off, dry_run or live.';
