create table if not exists luma.attempts (
  id bigint generated always as identity primary key,
  entity text not null,
  entity_id uuid not null,
  version bigint not null,
  calendar text,
  run_id uuid,
  changed_at timestamptz,
  leased_at timestamptz,
  settled_at timestamptz not null default clock_timestamp(),
  outcome text not null check (
    outcome in ('done', 'nothing_to_do', 'dry_run', 'retry', 'rate_limited', 'stopped', 'dead', 'lease_expired')
  ),
  error text,
  calls jsonb not null default '[]'
);
alter table luma.attempts enable row level security;
create index if not exists attempts_entity on luma.attempts (entity, entity_id, id);
create index if not exists attempts_settled on luma.attempts (settled_at);

comment on table luma.attempts is 'History: one row for each time a drain worked on an entity.';
comment on column luma.attempts.changed_at is 'When the oldest change of this attempt was made; settled_at minus this is the lag.';
comment on column luma.attempts.calls is
  'Calls to Luma, in order: [{"route", "at", "ms", "status"}]; in dry_run the calls that would be made, with their bodies.';

create or replace function luma.log_attempt(o luma.sync_outbox, outcome text, error text, calls jsonb)
returns void language sql set search_path = ''
begin atomic
  insert into luma.attempts (entity, entity_id, version, calendar, run_id, changed_at, leased_at, outcome, error, calls)
  values (
    (o).entity, (o).entity_id, coalesce((o).lease_version, (o).version), (o).calendar, (o).leased_by,
    (o).changed_at, (o).leased_at, log_attempt.outcome, log_attempt.error, coalesce(log_attempt.calls, '[]')
  );
end;
comment on function luma.log_attempt(luma.sync_outbox, text, text, jsonb) is 'Writes one line of history about an outbox row as it was during the attempt.';
