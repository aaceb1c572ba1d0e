-- What heals a lost change: a trigger that failed, a status that could not be shown. Compares rows with the
-- base, so it depends on nothing that may have been lost.

create or replace function luma.diverged_events()
returns setof uuid language sql stable set search_path = '' as $$
  select coalesce(e.id, l.event_id)
  from public.canonical_events e
  full join luma.event_links l on l.event_id = e.id
  -- What is over is left as it is. A link without a row is of an event that was deleted.
  where (e.id is null or coalesce(e.ends_at, e.starts_at) > now())
    and luma.needs_push(e, l)
    and not exists (
      select from luma.sync_outbox o
      where o.entity = 'event' and o.entity_id = coalesce(e.id, l.event_id) and o.version > o.done_version
    )
$$;
comment on function luma.diverged_events() is 'Ids of events whose row and last agreed state differ though nothing of them waits in the outbox.';

create or replace function luma.try_enqueue(entity text, entity_id uuid, priority integer)
returns boolean language plpgsql
-- Far below deadlock_timeout: an app's transaction that changes several events may hold this row, and want
-- one that we have locked already.
set search_path = '' set lock_timeout = '50ms' as $$
begin
  perform luma.enqueue(entity, entity_id, priority);
  return true;
exception when lock_not_available then
  -- Whoever holds it is enqueueing it.
  return false;
end
$$;
comment on function luma.try_enqueue(text, uuid, integer) is 'Enqueues unless somebody else is doing so; for whoever enqueues many at once.';

create or replace function luma.sweep()
returns integer language plpgsql set search_path = '' as $$
declare
  missed record;
  swept integer := 0;
begin
  for missed in
    with deleted as (delete from luma.missed_changes m where m.id is not null returning m.entity, m.entity_id)
    select distinct d.entity, d.entity_id from deleted d
    union
    select 'event', d from luma.diverged_events() d
  loop
    swept := swept + luma.try_enqueue(missed.entity, missed.entity_id, 3)::integer;
  end loop;
  perform luma.show_status(o.entity_id, 'push_failed')
  from luma.sync_outbox o where o.dead_at is not null and o.entity = 'event';
  return swept;
end
$$;
comment on function luma.sweep() is 'Enqueues what a trigger missed. Run by pg_cron; answers how many it enqueued.';

create or replace function luma.clean_up()
returns void language plpgsql set search_path = '' as $$
declare
  settings luma.settings;
begin
  select * into settings from luma.settings;
  delete from luma.attempts a where a.settled_at < now() - make_interval(days => settings.log_days);
  delete from luma.drain_runs r where r.started_at < now() - make_interval(days => settings.log_days);
  delete from luma.sync_outbox o
  where o.version = o.done_version and o.lease is null and o.due_at < now() - make_interval(days => settings.log_days);
  delete from luma.webhook_inbox i where i.received_at < now() - make_interval(days => settings.webhook_days);
  delete from cron.job_run_details d using cron.job j
  where d.jobid = j.jobid and j.jobname like 'luma-%'
    and d.end_time < now() - make_interval(days => settings.cron_details_days);
end
$$;
comment on function luma.clean_up() is 'Trims the history to luma.settings.log_days, webhook_days and cron_details_days. Run by pg_cron.';
