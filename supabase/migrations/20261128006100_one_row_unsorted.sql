-- One row, as most statements have it, is enqueued without starting a sort for it: that each is told once is now seen to
-- where many are taken apart. A single edit took 326 µs of CPU instead of 363 beside other work (one writer, medians of
-- seven rounds that took turns; the least 273 instead of 293), a row of 10,000 in one statement as much as before.

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
  from unnest(entity_ids, priorities, event_ids) j (entity_id, priority, event_id)
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
  'Marks entities as differing from Luma, each told once; event_ids are the events of RSVPs, or the events themselves. Makes no call, and takes no locks but those on their own outbox rows, which are taken under the locks of the rows they are about.';

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
    perform luma.enqueue_all(entity, array_agg(j.entity_id), array_agg(j.priority), array_agg(j.event_id))
    from (
      -- Once each, as it was last: a trigger of the app's may have changed a row again.
      select distinct on (u.entity_id) u.entity_id, u.priority, u.event_id
      from (
        select left(s, 36)::uuid as entity_id, substr(s, 37, 1)::integer as priority,
          coalesce(nullif(substr(s, 38), ''), left(s, 36))::uuid as event_id, place
        from string_to_table(trim(seen), ' ') with ordinality t (s, place)
      ) u
      order by u.entity_id, u.place desc
    ) j;
  end if;
exception when others then
  perform set_config(setting, '', true);
  perform luma.note_missed_changes(entity, seen, sqlerrm);
end
$$;

select luma.restrict_access();
