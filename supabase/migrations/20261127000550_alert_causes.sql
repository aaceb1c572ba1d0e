-- What there is to tell: true causes only, each in words that name what to do, without anybody's name or address.

create or replace view luma.alert_causes as
with late as (
  select o.calendar, min(o.changed_at) as since
  from luma.sync_outbox o
  where o.version > o.done_version and o.dead_at is null
    -- A backfill may take its time. What is stopped has an alert of its own, what was paused by hand needs none.
    and o.priority < 4 and o.changed_at < now() - (select s.alert_lag from luma.settings s)
    and not exists (
      select from luma.calendar_state c
      where c.luma_key = o.calendar and (c.stopped_at is not null or c.paused_by = 'admin' and c.paused_until > now())
    )
  group by o.calendar
)
select 'calendar' as kind, s.luma_key as subject, 1::bigint as level, format('%s: %s', s.luma_key, s.problem) as message
from luma.calendar_state s
where s.problem is not null
union all
select 'dead_letters', '', count(*), format('dead letters, which are not tried again by themselves: %s. select * from luma.dead_letters;', count(*))
from luma.dead_letters d having count(*) > 0
union all
select 'lag', coalesce(l.calendar, ''), 1,
  format('%s: a change has waited for Luma since %s UTC: select * from luma.queue;',
    coalesce(l.calendar, 'not routed yet'), to_char(l.since at time zone 'utc', 'YYYY-MM-DD HH24:MI'))
from late l
where luma.mode() = 'live'
union all
select 'webhooks', c.luma_key, 1,
  format('%s: pulls find changes that no webhook has told for an hour. deno task doctor says why.', c.luma_key)
from public.calendars c
where c.luma_key is not null and luma.mode() = 'live' and luma.is_deaf(c.luma_key)
  and coalesce(luma.heard_from(c.luma_key), '-infinity') < now() - interval '1 hour'
union all
select 'functions', '', 1, p.problem
from (select coalesce(luma.drain_problem(), luma.pull_problem()) as problem) p
where p.problem is not null
union all
select 'triggers', '', 1, format('changes that their triggers could not enqueue, nor since the sweep: %s. select * from luma.missed_changes;', count(*))
from luma.missed_changes m where m.missed_at < now() - interval '10 minutes' having count(*) > 0;
comment on view luma.alert_causes is
  'What is wrong now and worth a message: a calendar that has stopped or lacks its key, dead letters, changes that wait too long, webhooks that are silent while pulls find changes, functions that do not start, triggers that fail.';

select luma.restrict_access();
