-- What admins look at in SQL, with RSVPs. The columns of a view stay: a second application of the migrations
-- begins with its first form, and Postgres replaces no view by one with fewer columns.

create or replace view luma.dead_letters as
select o.entity, o.entity_id,
  case o.entity
    when 'rsvp' then format('%s: RSVP of %s', e.title, coalesce(r.user_id, l.user_id))
    when 'guest' then format('%s: guest on Luma', e.title)
    else e.title
  end as title,
  o.calendar, o.last_error as error, o.dead_at, o.changed_at,
  format('select luma.retry(%L);', o.entity_id) as to_retry
from luma.sync_outbox o
left join public.canonical_events e on e.id = o.event_id
left join public.event_rsvps r on o.entity = 'rsvp' and r.id = o.entity_id
left join luma.guest_links l on o.entity = 'rsvp' and l.rsvp_id = o.entity_id
where o.dead_at is not null
union all
select 'webhook', null, i.type, i.calendar, i.error, i.received_at, i.received_at, format('select luma.retry(%L);', i.webhook_id)
from luma.webhook_inbox i
where i.state = 'failed';
comment on view luma.dead_letters is 'What was given up, why, and the statement that tries it again. Mending the row tries again by itself.';

create or replace view luma.rsvp_status as
select r.id as rsvp_id, r.event_id, e.title, r.user_id, r.status as rsvp_status,
  case
    when o.dead_at is not null then 'failed'
    when o.version > o.done_version and o.lease is not null then 'in flight'
    when o.version > o.done_version then 'waiting'
    when n.agreed = n.wanted then 'on Luma'
    when not luma.takes_guests(r.event_id) then 'held'
    when n.email is null and n.wanted <> 'declined' then 'held'
    when n.kind is null then 'not on Luma'
    else 'waiting'
  end as status,
  case
    when o.version > o.done_version then coalesce(
      o.last_error, s.problem,
      case when s.paused_until > now() then format('the calendar is paused by %s until %s', s.paused_by, s.paused_until) end,
      case luma.mode() when 'off' then 'the mode is off' when 'dry_run' then 'the mode is dry_run' end,
      luma.drain_problem()
    )
    when n.agreed = n.wanted then case when n.wanted <> luma.guest_status(r.status) then
      format('another RSVP of this event has the same e-mail address, and Luma one guest for both: %s', n.wanted) end
    when e.submission_status is distinct from 'approved' then format('the event is not approved (submission_status %s)', coalesce(e.submission_status, 'null'))
    when luma.is_over(e) then 'the event is over'
    when not luma.takes_guests(r.event_id) then 'the event is not on Luma yet, see luma.event_status'
    when n.email is null and n.wanted <> 'declined' then 'the user has no usable e-mail address (users.email)'
  end as note,
  n.email, n.agreed as luma_status, n.luma_guest_id, g.synced_at, o.due_at, o.attempts
from public.event_rsvps r
join public.canonical_events e on e.id = r.event_id
cross join lateral luma.guest_need(r.id) n
left join luma.guests g on g.event_id = n.event_id and g.email = n.email
left join luma.sync_outbox o on o.entity = 'rsvp' and o.entity_id = r.id
left join luma.calendar_state s on s.luma_key = o.calendar;
comment on view luma.rsvp_status is
  'Each RSVP: does Luma have it, what is waiting, and why. held: it is sent when its event is on Luma and its user has an e-mail address.';

create or replace view luma.health as
select luma.mode() as mode,
  count(*) filter (where o.version > o.done_version and o.dead_at is null) + (select count(*) from luma.rechecks)
    + (select count(*) from luma.webhook_inbox i where i.due_at is not null) as waiting,
  count(*) filter (where o.lease is not null and o.due_at > now()) as in_flight,
  count(*) filter (where o.dead_at is not null) + (select count(*) from luma.webhook_inbox i where i.state = 'failed') as dead,
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
comment on view luma.health is
  'One row: the queue (with luma.rechecks and the webhook deliveries that wait), the calendars and what is wrong.';

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
    when l.look then concat_ws(' ', l.warning, 'It will be read from Luma.')
    else l.warning
  end as note,
  coalesce(l.calendar, o.calendar) as calendar, l.luma_event_id, case when l.luma_event_id is not null then coalesce(l.url, 'https://luma.com/' || l.slug) end as luma_url,
  l.synced_at, o.due_at, o.attempts
from public.canonical_events e
left join luma.event_links l on l.event_id = e.id
left join luma.sync_outbox o on o.entity = 'event' and o.entity_id = e.id
left join luma.calendar_state s on s.luma_key = o.calendar;
