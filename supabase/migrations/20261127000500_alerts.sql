-- Alerts: what somebody has to be told about, once when it begins and once when it is over.

alter table luma.settings
  add column if not exists alert_lag interval not null default '15 minutes' check (alert_lag >= '1 minute'),
  add column if not exists alert_calm interval not null default '5 minutes' check (alert_calm >= '0'),
  add column if not exists alert_messages_per_hour integer not null default 6 check (alert_messages_per_hour between 1 and 60);
comment on column luma.settings.alert_lag is 'An alert is raised when a live change has waited longer than this for Luma.';
comment on column luma.settings.alert_calm is 'An alert is over when its cause has been gone for so long: what comes and goes is one alert.';
comment on column luma.settings.alert_messages_per_hour is 'Messages to luma_alert_url at most; what comes meanwhile goes into the next one.';

create table if not exists luma.alert_states (
  id bigint generated always as identity primary key,
  kind text not null,
  subject text not null,
  message text not null,
  level bigint not null,
  raised_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  over_at timestamptz,
  told_level bigint,
  told_at timestamptz,
  end_told_at timestamptz
);
alter table luma.alert_states enable row level security;
create unique index if not exists alert_states_one_open on luma.alert_states (kind, subject) where over_at is null;
comment on table luma.alert_states is 'Alerts, open and over. See luma.alerts.';
comment on column luma.alert_states.subject is 'The calendar, or empty.';
comment on column luma.alert_states.level is 'How bad it is, as a number: of dead letters how many. A message is repeated when it has grown, at most once an hour.';
comment on column luma.alert_states.seen_at is 'When its cause was last there.';

create table if not exists luma.alert_outbox (
  id boolean primary key default true check (id),
  message text,
  alerts bigint[] not null default '{}',
  ends bigint[] not null default '{}',
  request_id bigint,
  tries integer not null default 0,
  due_at timestamptz,
  sent_at timestamptz[] not null default '{}',
  problem text,
  check ((message is null) = (due_at is null))
);
alter table luma.alert_outbox enable row level security;
insert into luma.alert_outbox default values on conflict do nothing;
comment on table luma.alert_outbox is 'One row: the message that is on its way. pg_net may lose it, so it is there until the address has answered with 2xx.';
comment on column luma.alert_outbox.alerts is 'Alerts of which the message tells that they began or grew.';
comment on column luma.alert_outbox.ends is 'Alerts of which it tells that they are over.';
comment on column luma.alert_outbox.request_id is 'pg_net''s id of the last try.';
comment on column luma.alert_outbox.due_at is 'When the answer is looked at, or the message is sent again.';
comment on column luma.alert_outbox.sent_at is 'The messages of the last hour.';
comment on column luma.alert_outbox.problem is 'Why the last message did not arrive.';

create or replace view luma.alerts as
select a.kind, nullif(a.subject, '') as calendar, a.message, a.raised_at, a.over_at, a.told_at, a.end_told_at,
  case when a.over_at is null then 'open' else 'over' end as state
from luma.alert_states a;
comment on view luma.alerts is
  'What is wrong, or was, and when somebody was told. Messages go to the address of luma.set_alert_url().';

select luma.restrict_access();
