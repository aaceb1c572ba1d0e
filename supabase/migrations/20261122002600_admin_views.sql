-- What admins look at in SQL.

create or replace view luma.dead_letters as
select o.entity, o.entity_id, e.title, o.calendar, o.last_error as error, o.dead_at, o.changed_at,
  format('select luma.retry(%L);', o.entity_id) as to_retry
from luma.sync_outbox o
left join public.canonical_events e on o.entity = 'event' and e.id = o.entity_id
where o.dead_at is not null;
comment on view luma.dead_letters is 'What was given up, why, and the statement that tries it again. Mending the row tries again by itself.';

create or replace view luma.event_status as
select e.id as event_id, e.title, e.submission_status, e.starts_at,
  case
    when o.dead_at is not null then 'failed'
    when o.version > o.done_version and o.lease is not null then 'in flight'
    when o.version > o.done_version then 'waiting'
    when l.luma_event_id is null then 'not on Luma'
    when (l.row_base ->> 'shown')::boolean then 'on Luma'
    else 'hidden on Luma'
  end as status,
  case
    when o.version > o.done_version then coalesce(
      o.last_error, s.problem,
      case when s.paused_until > now() then format('the calendar is paused by %s until %s', s.paused_by, s.paused_until) end,
      case luma.mode() when 'off' then 'the mode is off' when 'dry_run' then 'the mode is dry_run' end,
      luma.drain_problem()
    )
    when l.luma_event_id is null then luma.why_not_created(e)
    else l.warning
  end as note,
  coalesce(l.calendar, o.calendar) as calendar, l.luma_event_id, case when l.luma_event_id is not null then 'https://luma.com/' || l.slug end as luma_url,
  l.synced_at, o.due_at, o.attempts
from public.canonical_events e
left join luma.event_links l on l.event_id = e.id
left join luma.sync_outbox o on o.entity = 'event' and o.entity_id = e.id
left join luma.calendar_state s on s.luma_key = o.calendar;
comment on view luma.event_status is 'Each event: is it on Luma, what is waiting, and why.';

create or replace view luma.health as
select luma.mode() as mode,
  count(*) filter (where o.version > o.done_version and o.dead_at is null) as waiting,
  count(*) filter (where o.lease is not null and o.due_at > now()) as in_flight,
  count(*) filter (where o.dead_at is not null) as dead,
  now() - min(o.changed_at) filter (where o.version > o.done_version and o.dead_at is null) as oldest_waiting,
  (select count(*) from luma.missed_changes) as missed_changes,
  (select max(r.started_at) from luma.drain_runs r) as last_drain,
  (select jsonb_object_agg(c.luma_key, jsonb_build_object(
      'ready', luma.calendar_ready(c.luma_key), 'problem', s.problem, 'paused_until', s.paused_until,
      'calls_last_minute', (select coalesce(sum(p.permits), 0) from luma.rate_permits p where p.calendar = c.luma_key and p.free_at > now())
    ))
   from public.calendars c left join luma.calendar_state s on s.luma_key = c.luma_key
   where c.luma_key is not null) as calendars,
  luma.drain_problem() as problem
from luma.sync_outbox o;
comment on view luma.health is 'One row: the queue, the calendars and what is wrong.';
