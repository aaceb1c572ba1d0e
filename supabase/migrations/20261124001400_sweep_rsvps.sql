-- What heals a lost change, now for RSVPs too; and what keeps the tables from growing.

create or replace function luma.why_not_created(e public.canonical_events)
returns text language sql stable set search_path = '' as $$
  select case
    when e.submission_status is distinct from 'approved'
      then format('not approved (submission_status %s)', coalesce(e.submission_status, 'null'))
    when e.source_type in ('ical', 'luma') then format('comes from Luma or a feed (source_type %s)', e.source_type)
    when luma.is_over(e) then 'over'
    when luma.is_luma_address(e.external_rsvp_url) then format('already on Luma at %s', e.external_rsvp_url)
  end
$$;

create or replace function luma.diverged_events()
returns setof uuid language sql stable set search_path = '' as $$
  select coalesce(e.id, l.event_id)
  from public.canonical_events e
  full join luma.event_links l on l.event_id = e.id
  -- What is over is left as it is. A link without a row is of an event that was deleted.
  where (e.id is null or not luma.is_over(e))
    and luma.needs_push(e, l)
    and not exists (
      select from luma.sync_outbox o
      where o.entity = 'event' and o.entity_id = coalesce(e.id, l.event_id) and o.version > o.done_version
    )
$$;

create or replace function luma.sweep()
returns integer language plpgsql set search_path = '' as $$
declare
  missed record;
  swept integer := 0;
begin
  for missed in
    with deleted as (delete from luma.missed_changes m where m.id is not null returning m.entity, m.entity_id)
    select d.entity_id from deleted d where d.entity = 'event'
    union
    select luma.diverged_events()
  loop
    swept := swept + luma.try_enqueue('event', missed.entity_id, 3, missed.entity_id)::integer;
  end loop;
  -- Also what the RSVP trigger missed: of an event that takes no guests there is nothing to enqueue.
  swept := swept + (luma.enqueue_diverged_rsvps(null, null, 1)).enqueued;
  perform luma.sweep_news();
  perform luma.show_status(o.entity_id, 'push_failed')
  from luma.sync_outbox o where o.dead_at is not null and o.entity = 'event';
  perform luma.show_synced(g.event_id)
  from (
    select distinct l.event_id
    from luma.guest_links l
    join luma.guests g on g.event_id = l.event_id and g.email = l.email
    join public.event_rsvps r on r.id = l.rsvp_id and r.user_id = l.user_id
    where g.synced_at is not null and (
      r.luma_synced_at is distinct from g.synced_at
      -- Told by a webhook, after the guest was added.
      or (g.luma_guest_id is not null and r.luma_guest_id is distinct from g.luma_guest_id)
    )
  ) g;
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
  delete from luma.attempts a
  where a.settled_at < now() - make_interval(days => settings.log_days)
    or a.id <= (select max(n.id) - settings.log_rows from luma.attempts n);
  delete from luma.drain_runs r
  where r.started_at < now() - make_interval(days => settings.log_days)
    or r.started_at <= (select n.started_at from luma.drain_runs n order by n.started_at desc offset settings.log_rows limit 1);
  delete from luma.sync_outbox o
  where o.version = o.done_version and o.lease is null and o.due_at < now() - make_interval(days => settings.log_days);
  delete from luma.webhook_inbox i where i.received_at < now() - make_interval(days => settings.webhook_days);
  delete from luma.removed_events r where r.removed_at < now() - make_interval(days => greatest(settings.webhook_days, 30));
  delete from luma.conflicts c where c.noticed_at < now() - make_interval(days => settings.log_days);
  -- Guests of events that are no more, or over for as long as history is kept: addresses are not kept for nothing.
  delete from luma.guests g
  where g.lease is null and not exists (
    select from public.canonical_events e
    where e.id = g.event_id and coalesce(e.ends_at, e.starts_at) > now() - make_interval(days => settings.log_days)
  );
  delete from luma.guest_links l
  where not exists (select from luma.guests g where g.event_id = l.event_id and g.email = l.email);
  delete from net._http_response r where r.created < now() - make_interval(hours => settings.net_response_hours);
  -- Runs that never began have no times, but ids in the order of the others.
  delete from cron.job_run_details d using cron.job j
  where d.jobid = j.jobid and j.jobname like 'luma-%'
    and d.runid <= (
      select max(n.runid) from cron.job_run_details n
      where n.end_time < now() - make_interval(days => settings.cron_details_days)
    )
    and (d.end_time is null or d.end_time < now() - make_interval(days => settings.cron_details_days));
end
$$;
comment on function luma.clean_up() is
  'Trims the history, finished work, pg_net''s answers and pg_cron''s run details to what luma.settings says. Run by pg_cron.';

select cron.schedule('luma-clean-up', '17 * * * *', 'select luma.clean_up()');

create or replace function luma.backfill()
returns integer language sql volatile set search_path = '' as $$
  select (select count(*) from luma.diverged_events() d where luma.try_enqueue('event', d, 4, d))::integer
    + (luma.enqueue_diverged_rsvps(null, null, 4)).enqueued
$$;
comment on function luma.backfill() is
  'Enqueues every approved, coming event, and every RSVP of events on Luma, that Luma does not have as it is, below live traffic and without mails to guests. RSVPs of events that are new to Luma follow when it has them. Answers how many. Can be repeated.';

create or replace function luma.set_mode(mode text)
returns text language plpgsql set search_path = '' as $$
begin
  if set_mode.mode is null or set_mode.mode not in ('off', 'dry_run', 'live') then
    raise exception 'luma.set_mode: the mode is off, dry_run or live, not %', coalesce(quote_literal(set_mode.mode), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if set_mode.mode = 'live' and luma.mode() <> 'live' then
    -- What was written while nothing was sent is a backfill: nobody expects a mail about it any more.
    update luma.sync_outbox o set priority = 4
    where (o.entity, o.entity_id) in (
      select s.entity, s.entity_id from luma.sync_outbox s
      where s.entity = 'rsvp' and s.version > s.done_version for update skip locked
    );
  end if;
  update luma.settings s
  set mode = set_mode.mode, updated_at = now(),
      live_since = case when set_mode.mode = 'live' and s.mode <> 'live' then now() else s.live_since end
  where s.id;
  if set_mode.mode <> 'off' then
    perform luma.backfill();
    -- For what has waited since before; what backfill enqueued rings by itself.
    perform luma.tick();
  end if;
  return set_mode.mode;
end
$$;
comment on function luma.set_mode(text) is
  'off: nothing is sent, changes wait in the outbox. dry_run: luma.attempts tells what would be sent. live: everything is sent, what waited first, and about RSVPs that waited nobody is mailed.';

create or replace function luma.retry(entity_id uuid default null)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer;
begin
  update luma.sync_outbox o
  set dead_at = null, attempts = 0, crashes = 0, due_at = now(), wake = true
  where (o.entity, o.entity_id) in (
    select s.entity, s.entity_id from luma.sync_outbox s
    where s.version > s.done_version and s.lease is null
      and case when retry.entity_id is null then s.dead_at is not null else s.entity_id = retry.entity_id end
    -- One that is locked is being changed just now, which tries it again as well.
    for update skip locked
  );
  get diagnostics revived = row_count;
  if retry.entity_id is null then
    revived := revived + luma.retry_deliveries(null);
  end if;
  if revived = 0 and retry.entity_id is not null then
    raise exception 'luma.retry: nothing of % waits to be sent', retry.entity_id
      using errcode = 'no_data_found', hint = 'See luma.dead_letters for what can be retried, luma.event_status and luma.rsvp_status for what happened to an event or an RSVP.';
  end if;
  return revived;
end
$$;
comment on function luma.retry(uuid) is
  'Tries again, now: one event or RSVP by its id, or every dead letter, webhook deliveries included. Answers how many.';
