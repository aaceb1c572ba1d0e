-- Enqueueing the rows of a statement together. Most of what it costs to enqueue one row is the start of the statement
-- that does so (its checks, partial indexes and the conflict rule are prepared each time), not the row.
--
-- So the row-level triggers, which cost nothing when no synced column changed, only write down what they saw, in a
-- setting of the transaction, and a trigger after the statement enqueues that. No transition tables: those would be
-- filled for every write of the app's. Nor `update of` columns: a trigger of the app's may change one that the
-- statement does not name. A savepoint that is rolled back takes the setting back with it.

create or replace function luma.enqueue_all(entity text, entity_ids uuid[], priorities integer[], event_ids uuid[])
returns void language plpgsql set search_path = ''
-- For one row planning would take longer than the rest, and is thought worth it: a plan for any array expects ten.
set plan_cache_mode = 'force_generic_plan' as $$
declare
  wakes boolean := luma.wakes_drain();
begin
  insert into luma.sync_outbox as o (entity, entity_id, event_id, priority, due_at, wake)
  select
    enqueue_all.entity, j.entity_id, j.event_id, j.priority,
    -- RSVPs wait a little for those that follow them, if one of their event has just been sent.
    greatest(now(), case when enqueue_all.entity = 'rsvp' then
      (select l.guests_due_at from luma.event_links l where l.event_id = j.event_id) end),
    wakes and j.entity_id = entity_ids[1]
  from (
    -- Once each, as it was last: a trigger of the app's may have changed a row again.
    select distinct on (u.entity_id) u.entity_id, u.priority, u.event_id
    from unnest(entity_ids, priorities, event_ids) with ordinality u (entity_id, priority, event_id, place)
    order by u.entity_id, u.place desc
  ) j
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
comment on function luma.enqueue_all(text, uuid[], integer[], uuid[]) is
  'Marks entities as differing from Luma; event_ids are the events of RSVPs, or the events themselves. Makes no call, and takes no locks but those on their own outbox rows, which are taken under the locks of the rows they are about.';

create or replace function luma.enqueue(entity text, entity_id uuid, priority integer, event_id uuid)
returns void language sql set search_path = ''
return luma.enqueue_all(entity, array[entity_id], array[priority], array[event_id]);
comment on function luma.enqueue(text, uuid, integer, uuid) is 'Marks one entity as differing from Luma; see luma.enqueue_all().';

create or replace function luma.note_missed_changes(entity text, seen text, error text)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.note_missed_change(entity, left(s, 36)::uuid, error) from string_to_table(trim(seen), ' ') s;
exception when others then
  raise warning 'luma: % % were not enqueued (%), nor could that be recorded (%)', entity, left(seen, 100), error, sqlerrm;
end
$$;
comment on function luma.note_missed_changes(text, text, text) is 'Records what luma.enqueue_seen() could not enqueue; never raises.';

create or replace function luma.enqueue_seen(entity text)
returns void language plpgsql set search_path = '' as $$
declare
  setting text := 'luma.seen_' || entity;
  seen text := current_setting(setting);
begin
  -- Emptied first, or what fails would be tried again with every statement that follows.
  perform set_config(setting, '', true);
  if octet_length(seen) < 76 then
    -- One row, as most statements have it: no query is started to take it apart.
    perform luma.enqueue_all(
      entity, array[left(seen, 36)::uuid], array[substr(seen, 37, 1)::integer],
      array[coalesce(nullif(trim(substr(seen, 38)), ''), left(seen, 36))::uuid]
    );
  else
    perform luma.enqueue_all(
      entity, array_agg(left(s, 36)::uuid), array_agg(substr(s, 37, 1)::integer),
      array_agg(coalesce(nullif(substr(s, 38), ''), left(s, 36))::uuid)
    )
    from string_to_table(trim(seen), ' ') s;
  end if;
exception when others then
  perform set_config(setting, '', true);
  perform luma.note_missed_changes(entity, seen, sqlerrm);
end
$$;
comment on function luma.enqueue_seen(text) is
  'Enqueues what row-level triggers have written to the setting luma.seen_<entity>: of each row its id, the priority, the id of its event (left out for an event), and a blank. Errors are recorded in luma.missed_changes, never raised.';

create or replace function luma.enqueue_statement()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if current_setting('luma.seen_' || tg_argv[0], true) <> '' then
    perform luma.enqueue_seen(tg_argv[0]);
  end if;
  return null;
end
$$;
comment on function luma.enqueue_statement() is 'Trigger: enqueues what the row-level triggers of the statement have seen.';

-- Before the row-level triggers rely on it: applied statement by statement, nothing is missed in between.
-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

create or replace trigger zz_luma_events_written
after insert or update or delete on public.canonical_events
for each statement execute function luma.enqueue_statement('event');

create or replace trigger zz_luma_rsvps_written
after insert or update or delete on public.event_rsvps
for each statement execute function luma.enqueue_statement('rsvp');

-- Most rows have no lease, and need no entry for that.
create unique index if not exists sync_outbox_lease on luma.sync_outbox (lease) where lease is not null;
alter table luma.sync_outbox drop constraint if exists sync_outbox_lease_key;

reset lock_timeout;

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
  if octet_length(set_config('luma.seen_event', concat(current_setting('luma.seen_event', true), event.id, case
    when tg_op = 'DELETE' or event.submission_status is distinct from 'approved' then 1
    when event.luma_event_id is null then 2
    else 3
  end, ' '), true)) > 4000 then
    perform luma.enqueue_seen('event');
  end if;
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

create or replace function luma.enqueue_rsvp()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  rsvp public.event_rsvps;
begin
  -- Here and not where it is declared: an error there would be outside this block's handler.
  rsvp := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  -- The event's row stays alone: the app's own trigger updates it in the same transaction, and two RSVPs at
  -- once would wait for each other.
  if octet_length(set_config(
    'luma.seen_rsvp', concat(current_setting('luma.seen_rsvp', true), rsvp.id, 1, rsvp.event_id, ' '), true
  )) > 4000 then
    perform luma.enqueue_seen('rsvp');
  end if;
  return null;
exception when others then
  perform luma.note_missed_change('rsvp', rsvp.id, sqlerrm);
  return null;
end
$$;

select luma.restrict_access();
