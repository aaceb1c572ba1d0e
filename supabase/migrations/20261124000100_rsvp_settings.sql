-- Settings of the RSVP sync.

alter table luma.settings
  add column if not exists require_email boolean not null default true,
  add column if not exists send_email boolean not null default true,
  add column if not exists live_since timestamptz,
  add column if not exists oldest_share numeric not null default 0.1 check (oldest_share between 0 and 1),
  add column if not exists log_rows integer not null default 200000 check (log_rows >= 1000),
  add column if not exists net_response_hours integer not null default 6 check (net_response_hours >= 1);

comment on column luma.settings.require_email is
  'True: an RSVP of somebody without a usable e-mail address is refused, in every mode (see luma.check_email()). Leaving is always allowed.';
comment on column luma.settings.send_email is
  'Whether Luma mails a guest who is added or whose status changes. What a backfill sends is never mailed about.';
comment on column luma.settings.live_since is
  'When luma.set_mode() last went live. RSVPs written before are a backfill, whenever their event opens.';
comment on column luma.settings.oldest_share is
  'Share of the claims that take what has been due the longest, whatever its priority, so that nothing waits for ever behind more urgent work.';
comment on column luma.settings.log_rows is 'Most rows of luma.attempts, and of luma.drain_runs, that are kept.';
comment on column luma.settings.net_response_hours is
  'Hours that answers to pg_net''s calls are kept, as long as pg_net itself keeps them by default (pg_net.ttl); it trims only when it has something to send.';
comment on column luma.settings.edit_spacing_ms is
  'Edits of one event, changes of one RSVP, and additions to one event''s guest list are sent at most this often; what comes meanwhile goes together. Creates and cancellations of events never wait.';
