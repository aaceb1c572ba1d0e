-- Claiming: route, pick, lease, and say for each job what Luma should hold now.

create or replace view luma.due_jobs as
select *
from luma.sync_outbox o
where o.version > o.done_version
  and o.dead_at is null
  and o.due_at <= now()
  and (select luma.mode()) <> 'off'
  and (o.version > o.dry_version or (select luma.mode()) <> 'dry_run');
comment on view luma.due_jobs is 'Outbox rows with something to send in this mode, whose time has come. The one definition of "due".';

create or replace function luma.has_claimable(calendars text[] default null)
returns boolean language sql volatile set search_path = '' as $$
  select exists (
    select from luma.due_jobs o
    where (o.calendar = any (calendars) or o.calendar is null or calendars is null)
      and (o.calendar is null or luma.calendar_ready(o.calendar))
  )
$$;
comment on function luma.has_claimable(text[]) is 'True when a drain with keys for these calendars (null: for all) would find work.';

create or replace function luma.route_jobs()
returns void language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
  routed text;
begin
  for o in
    select * from luma.due_jobs j where j.calendar is null
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
end
$$;
comment on function luma.route_jobs() is
  'Gives due jobs their calendar, here rather than in the app''s transaction. One that no calendar takes waits, with the reason in last_error.';

create or replace function luma.pick_jobs(run_id uuid, picked_calendar text, how_many integer)
returns setof luma.sync_outbox language plpgsql set search_path = '' as $$
declare
  settings luma.settings;
  o luma.sync_outbox;
begin
  select * into settings from luma.settings;
  for o in
    select j.*
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      -- One index range for each priority: neither leased rows nor ones in a retry delay are walked over.
      select * from luma.due_jobs d
      where d.calendar = picked_calendar and d.priority = p.priority
      order by d.due_at limit how_many
      for update skip locked
    ) j
    limit how_many
  loop
    if o.lease is not null then
      -- Due and still leased: the drain that held it died or was cut short.
      perform luma.log_attempt(o, 'lease_expired', null, null);
      perform luma.doubt(o);
      o.crashes := o.crashes + 1;
      if o.crashes >= settings.max_crashes then
        perform luma.bury(o, format(
          '%s drains in a row died while working on this; see luma.attempts and the function''s log.', o.crashes
        ));
        continue;
      end if;
    end if;
    update luma.sync_outbox s
    set lease = gen_random_uuid(), leased_by = run_id, leased_at = clock_timestamp(), lease_version = s.version,
        crashes = o.crashes, due_at = clock_timestamp() + make_interval(secs => settings.lease_seconds)
    where s.entity = o.entity and s.entity_id = o.entity_id
    returning s.* into o;
    return next o;
  end loop;
end
$$;
comment on function luma.pick_jobs(uuid, text, integer) is 'Leases up to so many due jobs of a calendar, the most urgent first.';
