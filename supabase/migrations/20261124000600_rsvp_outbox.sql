-- The outbox takes RSVPs (entity 'rsvp', by the id of the row), and guests that have to be looked at on Luma (entity
-- 'guest', by luma.guests.id).

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

alter table luma.sync_outbox drop constraint if exists sync_outbox_entity_check;
alter table luma.sync_outbox add constraint sync_outbox_entity_check check (entity in ('event', 'rsvp', 'guest'));
alter table luma.sync_outbox add column if not exists event_id uuid;
update luma.sync_outbox o set event_id = o.entity_id where o.event_id is null;
alter table luma.sync_outbox alter column event_id set not null;
alter table luma.event_links add column if not exists guests_due_at timestamptz;

create index if not exists sync_outbox_rsvps on luma.sync_outbox (event_id, due_at)
  where entity = 'rsvp' and version > done_version and dead_at is null;
create index if not exists sync_outbox_leases on luma.sync_outbox (due_at) where lease is not null;

comment on column luma.sync_outbox.event_id is 'The event of an RSVP, by which RSVPs go together; of an event its own id.';
comment on column luma.sync_outbox.lease_state is
  'What is being sent: luma.event_state() when the lease was taken, which becomes the base on acknowledgement; of an RSVP what luma.guest_need() said.';
comment on column luma.event_links.guests_due_at is
  'Guests are added to the event again from then on, so that a burst of RSVPs is a few calls. What fills a whole call does not wait once it is due.';

drop function if exists luma.enqueue(text, uuid, integer);
create or replace function luma.enqueue(entity text, entity_id uuid, priority integer, event_id uuid)
returns void language plpgsql set search_path = '' as $$
begin
  insert into luma.sync_outbox as o (entity, entity_id, event_id, priority, due_at, wake)
  values (
    enqueue.entity, enqueue.entity_id, enqueue.event_id, enqueue.priority,
    -- RSVPs wait a little for those that follow them, if one of their event has just been sent.
    greatest(now(), case when enqueue.entity = 'rsvp' then
      (select l.guests_due_at from luma.event_links l where l.event_id = enqueue.event_id) end),
    luma.wakes_drain()
  )
  on conflict on constraint sync_outbox_pkey do update set
    version = o.version + 1,
    event_id = excluded.event_id,
    due_at = case
      -- A dead one gets a fresh start: the change may have mended what Luma refused.
      when o.dead_at is not null then excluded.due_at
      -- A leased one stays invisible until its drain settles it, a failing one until its delay ends.
      when o.lease is not null or o.attempts > 0 then o.due_at
      when o.entity = 'event' and excluded.priority < 3 then excluded.due_at
      -- An edit right after another waits a little, so that a burst becomes one call (see luma.finish()).
      else greatest(o.due_at, excluded.due_at)
    end,
    priority = case when o.version > o.done_version then least(o.priority, excluded.priority) else excluded.priority end,
    -- A calendar that is known stays: an event stays on its calendar, and an RSVP with its event.
    calendar = case when o.event_id = excluded.event_id then o.calendar end,
    changed_at = case when o.version > o.done_version then o.changed_at else excluded.changed_at end,
    attempts = case when o.dead_at is null then o.attempts else 0 end,
    crashes = case when o.dead_at is null then o.crashes else 0 end,
    dead_at = null,
    wake = excluded.wake;
end
$$;
comment on function luma.enqueue(text, uuid, integer, uuid) is
  'Marks an entity as differing from Luma; event_id is the event of an RSVP, or the event itself. Cheap, makes no call, and takes no lock but the one on its own outbox row, which is taken under the lock of the row it is about.';

drop function if exists luma.try_enqueue(text, uuid, integer);
create or replace function luma.try_enqueue(entity text, entity_id uuid, priority integer, event_id uuid)
returns boolean language plpgsql
-- An app's transaction may be inserting this one, and want one that we have locked already. As short as can be, for
-- it may be inserting thousands, and waiting for it is not needed: it enqueues them itself.
set search_path = '' set lock_timeout = '1ms' as $$
declare
  is_free boolean;
begin
  select true into is_free
  from luma.sync_outbox o where o.entity = try_enqueue.entity and o.entity_id = try_enqueue.entity_id
  for update skip locked;
  if is_free is null and exists (
    select from luma.sync_outbox o where o.entity = try_enqueue.entity and o.entity_id = try_enqueue.entity_id
  ) then
    -- Whoever holds it is enqueueing it.
    return false;
  end if;
  perform luma.enqueue(entity, entity_id, priority, event_id);
  return true;
exception when lock_not_available then
  -- Somebody is enqueueing it for the first time.
  return false;
end
$$;
comment on function luma.try_enqueue(text, uuid, integer, uuid) is 'Enqueues unless somebody else is doing so; for whoever enqueues many at once.';

create or replace function luma.enqueue_event()
returns trigger language plpgsql
-- The app's roles have no rights in schema luma; the trigger acts for them.
security definer set search_path = '' as $$
declare
  event public.canonical_events;
begin
  -- Here and not where it is declared: an error there would be outside this block's handler.
  event := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  perform luma.enqueue('event', event.id, case
    when tg_op = 'DELETE' or event.submission_status is distinct from 'approved' then 1
    when event.luma_event_id is null then 2
    else 3
  end, event.id);
  -- It may have been closed until now, without Luma hearing of it: what was judged meanwhile is compared again.
  if tg_op = 'UPDATE' and event.submission_status = 'approved'
    and (old.submission_status, old.starts_at, old.ends_at) is distinct from (new.submission_status, new.starts_at, new.ends_at)
  then
    insert into luma.rechecks (event_id) values (event.id);
  end if;
  return null;
exception when others then
  perform luma.note_missed_change('event', event.id, sqlerrm);
  return null;
end
$$;

reset lock_timeout;
