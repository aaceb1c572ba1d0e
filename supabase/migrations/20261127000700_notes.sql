-- Why nothing is sent to a calendar, in words, in one place.

create or replace function luma.why_not_called(calendar text)
returns text language sql stable set search_path = '' as $$
  select coalesce(s.problem, case
    when s.paused_until = 'infinity' then format('the calendar is paused by %s until somebody runs: select luma.resume(%L);', s.paused_by, s.luma_key)
    when s.paused_until > now() then format('the calendar is paused by %s until %s UTC', s.paused_by, to_char(s.paused_until at time zone 'utc', 'HH24:MI:SS'))
  end)
  from luma.calendar_state s where s.luma_key = why_not_called.calendar
$$;
comment on function luma.why_not_called(text) is 'What is wrong with a calendar, or why it is paused, or null.';

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
      o.last_error, luma.why_not_called(o.calendar),
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
left join luma.sync_outbox o on o.entity = 'event' and o.entity_id = e.id;

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
      o.last_error, luma.why_not_called(o.calendar),
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
left join luma.sync_outbox o on o.entity = 'rsvp' and o.entity_id = r.id;

select luma.restrict_access();
