-- How much waits, where, and what each calendar may still do.

create or replace view luma.queue as
select j.entity, j.calendar,
  count(*) filter (where j.state = 'due') as due,
  count(*) filter (where j.state = 'waiting') as waiting,
  count(*) filter (where j.state = 'in flight') as in_flight,
  count(*) filter (where j.state = 'dead') as dead,
  min(j.since) filter (where j.state = 'due') as oldest_due
from (
  select o.entity, o.calendar, o.changed_at as since,
    case
      when o.dead_at is not null then 'dead'
      when o.lease is not null and o.due_at > now() then 'in flight'
      when o.due_at > now() then 'waiting'
      else 'due'
    end as state
  from luma.sync_outbox o
  where o.version > o.done_version
  union all
  select 'webhook', i.calendar, i.received_at,
    case when i.state = 'failed' then 'dead' when i.due_at > now() then 'waiting' else 'due' end
  from luma.webhook_inbox i
  where i.state = 'failed' or i.due_at is not null
  union all
  select 'pull', r.calendar, r.requested_at,
    case
      when r.lease is not null and r.alive_until > now() then 'in flight'
      when r.due_at > now() then 'waiting'
      else 'due'
    end
  from luma.pull_runs r
  where r.ended_at is null
) j
group by j.entity, j.calendar;
comment on view luma.queue is
  'What is still to be done, by kind and calendar. due: now. waiting: for a retry, the spacing of edits or a pause. oldest_due: since when the oldest of what is due has waited. No calendar: not routed yet.';

create or replace function luma.call_limit(calendar text)
returns integer language sql stable set search_path = '' as $$
  select least(s.calls_per_minute, c.rate_limit - 20)
  from luma.settings s left join luma.calendar_state c on c.luma_key = call_limit.calendar
$$;
comment on function luma.call_limit(text) is 'Calls that a calendar may make in any 60 seconds: the setting, or 20 below what Luma tells.';

create or replace view luma.calendar_status as
select c.luma_key as calendar, c.name, luma.calendar_ready(c.luma_key) and s.problem is null as ready, s.problem, s.stopped_at, s.paused_until, s.paused_by,
  p.calls as calls_last_minute, luma.permits_free(c.luma_key) as calls_left, luma.call_limit(c.luma_key) as calls_per_minute,
  luma.heard_from(c.luma_key) as last_webhook, luma.is_deaf(c.luma_key) as webhooks_missed,
  (
    select max(r.ended_at) from luma.pull_runs r
    where r.calendar = c.luma_key and r.luma_event_id is null and r.outcome = 'done'
  ) as last_pull
from public.calendars c
left join luma.calendar_state s on s.luma_key = c.luma_key
cross join lateral (
  select coalesce(sum(r.permits), 0)::integer as calls from luma.rate_permits r where r.calendar = c.luma_key and r.free_at > now()
) p
where c.luma_key is not null;
comment on view luma.calendar_status is
  'Each calendar with a key: may it be called, and if not why; its calls of the last minute and those left; its last webhook and the last pull that read it whole.';

select luma.restrict_access();
