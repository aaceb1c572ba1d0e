-- The outbox: one row for each entity, saying "this differs from Luma". Level-triggered: the drain sends
-- what Luma should hold now, so fifty edits are one call, and an edit during a call leaves the row due.

create table if not exists luma.sync_outbox (
  entity text not null check (entity in ('event')),
  entity_id uuid not null,
  version bigint not null default 1,
  done_version bigint not null default 0,
  dry_version bigint not null default 0,
  priority smallint not null check (priority between 1 and 4),
  calendar text,
  due_at timestamptz not null default now(),
  changed_at timestamptz not null default clock_timestamp(),
  wake boolean not null default false,
  attempts integer not null default 0,
  crashes integer not null default 0,
  lease uuid unique,
  leased_by uuid,
  leased_at timestamptz,
  lease_version bigint,
  lease_state jsonb,
  dead_at timestamptz,
  last_error text,
  primary key (entity, entity_id),
  check (done_version <= version and dry_version <= version),
  check ((lease is null) = (lease_version is null) and (lease is null) = (leased_at is null)),
  check (dead_at is null or (lease is null and last_error is not null))
);
alter table luma.sync_outbox enable row level security;

create index if not exists sync_outbox_due on luma.sync_outbox (calendar, priority, due_at)
  where version > done_version and dead_at is null;

comment on table luma.sync_outbox is 'Entities that differ, or may differ, from Luma. Written by triggers, drained by the Edge Function luma-drain.';
comment on column luma.sync_outbox.version is 'Bumped by every change of the entity.';
comment on column luma.sync_outbox.done_version is 'Last version that Luma has. Due while smaller than version.';
comment on column luma.sync_outbox.dry_version is 'Last version that was logged in dry_run mode.';
comment on column luma.sync_outbox.priority is '1 cancellations and RSVPs, 2 creates, 3 edits, 4 backfill.';
comment on column luma.sync_outbox.calendar is 'luma_key of the calendar to call; null until the drain routes the entity.';
comment on column luma.sync_outbox.due_at is
  'Not before this: the end of a retry delay, of the spacing between two edits or, while leased, of the lease.';
comment on column luma.sync_outbox.changed_at is 'When the oldest change that Luma does not have was made.';
comment on column luma.sync_outbox.wake is 'True on the first row that a transaction enqueues: its commit rings the drain''s bell.';
comment on column luma.sync_outbox.attempts is 'Failed attempts in a row.';
comment on column luma.sync_outbox.crashes is 'Leases in a row that expired without a word from their drain.';
comment on column luma.sync_outbox.lease is 'Who may settle this row. Null or past due_at: nobody.';
comment on column luma.sync_outbox.lease_version is 'The version that the holder of the lease sends.';
comment on column luma.sync_outbox.lease_state is 'luma.event_state() when the lease was taken; becomes the base on acknowledgement.';
comment on column luma.sync_outbox.dead_at is 'Given up: Luma refused it, or it killed its drains. A new change or luma.retry() revives it.';

create or replace function luma.enqueue(entity text, entity_id uuid, priority integer)
returns void language plpgsql set search_path = '' as $$
declare
  -- Only the first row of a transaction wakes the drain, so that a bulk update does not queue
  -- one deferred trigger for each row. The setting is local: it ends with the transaction.
  first_in_transaction boolean := current_setting('luma.woken', true) is distinct from 'yes';
begin
  if first_in_transaction then
    perform set_config('luma.woken', 'yes', true);
  end if;
  insert into luma.sync_outbox as o (entity, entity_id, priority, wake)
  values (enqueue.entity, enqueue.entity_id, enqueue.priority, first_in_transaction)
  on conflict on constraint sync_outbox_pkey do update set
    version = o.version + 1,
    due_at = case
      -- A dead one gets a fresh start: the change may have mended what Luma refused.
      when o.dead_at is not null then now()
      -- A leased one stays invisible until its drain settles it, a failing one until its delay ends.
      when o.lease is not null or o.attempts > 0 then o.due_at
      when excluded.priority < 3 then now()
      -- An edit right after another waits a little, so that a burst becomes one call (see luma.finish()).
      else greatest(o.due_at, now())
    end,
    priority = case when o.version > o.done_version then least(o.priority, excluded.priority) else excluded.priority end,
    changed_at = case when o.version > o.done_version then o.changed_at else excluded.changed_at end,
    attempts = case when o.dead_at is null then o.attempts else 0 end,
    crashes = case when o.dead_at is null then o.crashes else 0 end,
    dead_at = null,
    wake = excluded.wake;
end
$$;
comment on function luma.enqueue(text, uuid, integer) is
  'Marks an entity as differing from Luma. Cheap, makes no call, and takes no lock but the one on its own outbox row.';
