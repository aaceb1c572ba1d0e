-- Claiming, for events and RSVPs: expire, route, pick, lease. All of it is done by one drain at a time, under
-- luma.lock_permits(), and none of it waits for a lock that the app may hold.

create or replace view luma.due_jobs as
select *
from luma.sync_outbox o
where o.version > o.done_version
  and o.dead_at is null
  and o.due_at <= now()
  and (select luma.mode()) <> 'off'
  and (o.version > o.dry_version or (select luma.mode()) <> 'dry_run')
  -- What may have killed its drains goes one at a time, or those beside it would be given up with it.
  and (o.crashes < 2 or not exists (
    select from luma.sync_outbox s where s.lease is not null and s.due_at > now() and s.crashes >= 2
  ));
comment on view luma.due_jobs is 'Outbox rows with something to send in this mode, whose time has come. The one definition of "due".';

create or replace function luma.deliveries_due()
returns boolean language sql volatile set search_path = '' as $$
  select luma.mode() = 'live' and (
    exists (select from luma.webhook_inbox i where i.due_at <= clock_timestamp())
    or exists (select from luma.rechecks r where r.promote and r.due_at <= clock_timestamp())
  )
$$;
comment on function luma.deliveries_due() is 'True when luma_apply_deliveries() would find something.';

create or replace function luma.has_claimable(calendars text[] default null)
returns boolean language sql volatile set search_path = '' as $$
  select exists (
    select from luma.due_jobs o
    where (o.calendar = any (calendars) or o.calendar is null or calendars is null)
      and (o.calendar is null or luma.calendar_ready(o.calendar))
  )
  or (luma.mode() <> 'off' and exists (select from luma.rechecks r where r.due_at <= clock_timestamp() and not r.promote))
  or luma.deliveries_due()
$$;
comment on function luma.has_claimable(text[]) is 'True when a drain with keys for these calendars (null: for all) would find work.';

create or replace function luma.doubt(o luma.sync_outbox)
returns void language sql set search_path = ''
begin atomic
  -- What was being sent may have arrived. If the row goes back to what was agreed on before, that has to count
  -- as a change, so it leaves the base; visibility with it if the push may have closed the event for a while.
  update luma.event_links l
  set row_base = l.row_base - luma.changed_fields((o).lease_state, l.row_base) - case
    when luma.changed_fields((o).lease_state, l.row_base) && '{shown,is_ticketed,category,ticket_price,ticket_currency}'
    then '{visibility}'::text[] else '{}' end
  where (o).entity = 'event' and l.event_id = (o).entity_id and l.row_base is not null and (o).lease_state is not null;
  update luma.guests g
  set in_doubt = true, row_base = null, lease = null
  where (o).entity = 'rsvp' and g.lease = (o).lease;
end;
comment on function luma.doubt(luma.sync_outbox) is 'After an attempt that did not end well: nothing that it may have sent is agreed on any more.';

create or replace function luma.expire_leases()
returns void language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
  most_crashes integer := (select s.max_crashes from luma.settings s);
begin
  -- Past due and still leased: the drain that held it died or was cut short.
  for o in
    select * from luma.sync_outbox s where s.lease is not null and s.due_at <= now()
    order by s.due_at limit 500 for update skip locked
  loop
    perform luma.log_attempt(o, 'lease_expired', null, null);
    perform luma.doubt(o);
    if o.crashes + 1 >= most_crashes then
      perform luma.bury(o, format(
        '%s drains in a row died while working on this; see luma.attempts and the function''s log.', o.crashes + 1
      ));
    else
      update luma.sync_outbox s
      set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, crashes = o.crashes + 1
      where s.entity = o.entity and s.entity_id = o.entity_id;
    end if;
  end loop;
end
$$;
comment on function luma.expire_leases() is 'Frees what died drains have left leased, and puts what they may have sent in doubt.';

create or replace function luma.route_jobs()
returns void language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
  routed text;
begin
  for o in
    select * from luma.due_jobs j where j.calendar is null and j.entity = 'event'
    order by j.priority, j.due_at limit 100 for update skip locked
  loop
    routed := coalesce(
      (select l.calendar from luma.event_links l where l.event_id = o.entity_id),
      (select luma.route_event(e.lat, e.lng) from public.canonical_events e where e.id = o.entity_id),
      -- The row is gone and was never linked: any calendar will do to find that nothing is left to do.
      (select luma.route_event(null, null)
       where not exists (select from public.canonical_events e where e.id = o.entity_id))
    );
    update luma.sync_outbox s
    set calendar = routed,
        last_error = case when routed is null then
          'No calendar takes this event: set luma_is_default on a row of public.calendars that has a luma_key.' end,
        due_at = case when routed is null then now() + interval '1 minute' else s.due_at end
    where s.entity = o.entity and s.entity_id = o.entity_id;
  end loop;
  perform luma.route_rsvps();
end
$$;
comment on function luma.route_jobs() is
  'Gives due jobs their calendar, here rather than in the app''s transaction. One that no calendar takes waits, with the reason in last_error.';

create or replace function luma.route_rsvps()
returns void language sql set search_path = ''
begin atomic
  with unrouted as (
    select s.entity, s.entity_id, s.event_id from luma.due_jobs s
    where s.calendar is null and s.entity in ('rsvp', 'guest')
    order by s.priority, s.due_at limit 2000 for update skip locked
  ), open_events as (
    select u.entity, u.event_id, min(l.calendar) as calendar
    from unrouted u join luma.event_links l on l.event_id = u.event_id
    -- A guest is looked up as long as Luma has the event.
    where case u.entity when 'guest' then l.luma_event_id is not null else luma.takes_guests(u.event_id) end
    group by u.entity, u.event_id
  )
  update luma.sync_outbox o
  set calendar = e.calendar,
      done_version = case when e.event_id is null then o.version else o.done_version end,
      last_error = case when e.event_id is not null then o.last_error end
  from unrouted u left join open_events e on e.entity = u.entity and e.event_id = u.event_id
  where o.entity = u.entity and o.entity_id = u.entity_id;
end;
comment on function luma.route_rsvps() is
  'Gives due RSVPs, and guests to look at, the calendar of their event. Those whose event takes no guests have nothing to do until it opens (see luma.rechecks), so they are done.';

drop function if exists luma.pick_jobs(uuid, text, integer);
create or replace function luma.pick_job(run_id uuid, calendar text, oldest boolean)
returns luma.sync_outbox language plpgsql set search_path = '' as $$
declare
  -- One index range for each priority: neither leased rows nor ones in a retry delay are walked over.
  priorities smallint[] := case when oldest then array(
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      select d.due_at from luma.due_jobs d
      where d.calendar = pick_job.calendar and d.priority = p.priority
      order by d.due_at limit 1
    ) first
    order by first.due_at
  ) else '{1,2,3,4}' end;
  o luma.sync_outbox;
begin
  select j.* into o
  from unnest(priorities) with ordinality p (priority, place)
  cross join lateral (
    select * from luma.due_jobs d
    where d.calendar = pick_job.calendar and d.priority = p.priority and d.lease is null
    order by d.due_at limit 1
    for update skip locked
  ) j
  limit 1;
  if not found then
    return null;
  end if;
  update luma.sync_outbox s
  set lease = gen_random_uuid(), leased_by = run_id, leased_at = clock_timestamp(), lease_version = s.version,
      due_at = clock_timestamp() + make_interval(secs => (select t.lease_seconds from luma.settings t))
  where s.entity = o.entity and s.entity_id = o.entity_id
  returning s.* into o;
  return o;
end
$$;
comment on function luma.pick_job(uuid, text, boolean) is
  'Leases the most urgent due job of a calendar, or the one that has been due the longest. Null when there is none.';

create or replace function luma.finish(o luma.sync_outbox, outcome text, calls jsonb)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.log_attempt(o, outcome, null, calls);
  update luma.sync_outbox s
  set done_version = case when outcome = 'dry_run' then s.done_version else o.lease_version end,
      dry_version = greatest(s.dry_version, o.lease_version),
      lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null,
      -- A change that came in during the call leaves the row due; an edit waits for those that follow it.
      due_at = case when s.entity = 'event' and s.priority = 1 or outcome = 'nothing_to_do' then now()
        else now() + make_interval(secs => (select t.edit_spacing_ms from luma.settings t) / 1000.0) end,
      changed_at = case when s.version > o.lease_version then o.leased_at else s.changed_at end,
      attempts = 0, crashes = 0, last_error = null
  where s.entity = o.entity and s.entity_id = o.entity_id;
end
$$;
comment on function luma.finish(luma.sync_outbox, text, jsonb) is
  'Marks the leased version as done (or as logged, in dry_run). The row stays due when a newer version exists.';

create or replace function luma.calendars_with_work(calendars text[], oldest boolean)
returns setof text language sql volatile set search_path = '' as $$
  select k.luma_key
  from unnest(calendars) k (luma_key)
  cross join lateral (
    select o.priority from luma.due_jobs o where o.calendar = k.luma_key order by o.priority limit 1
  ) most_urgent
  where luma.calendar_ready(k.luma_key)
  -- Chance decides between equals, so that no calendar starves another.
  order by case when not oldest then most_urgent.priority end, random()
$$;
comment on function luma.calendars_with_work(text[], boolean) is
  'Those of the calendars that have due jobs and may be called, the most urgent first, or in any order.';
drop function if exists luma.calendars_with_work(text[]);
