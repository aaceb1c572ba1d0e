-- What is wrong is all that is worth an alert, and not only whether the functions run.

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
      'last_webhook', luma.heard_from(c.luma_key), 'webhooks_missed', luma.is_deaf(c.luma_key),
      'last_pull', (
        select max(r.ended_at) from luma.pull_runs r where r.calendar = c.luma_key and r.luma_event_id is null and r.outcome = 'done'
      ),
      'calls_last_minute', (select coalesce(sum(p.permits), 0) from luma.rate_permits p where p.calendar = c.luma_key and p.free_at > now())
    ))
   from public.calendars c left join luma.calendar_state s on s.luma_key = c.luma_key
   where c.luma_key is not null) as calendars,
  (select string_agg(c.message, E'\n' order by c.kind, c.subject) from luma.alert_causes c) as problem,
  (select to_jsonb(b) from luma.backfill_progress b) as backfill,
  (select count(*) from luma.duplicates) as duplicates
from luma.sync_outbox o;
comment on view luma.health is
  'One row: the queue (with luma.rechecks and the webhook deliveries that wait), the calendars (also their last webhook and pull), what is wrong, the backfill, and how many rows luma.duplicates has.';

select luma.restrict_access();
