-- The backfill: what was there before the mode was live, below live traffic, the next event to begin first. Its rows in
-- the outbox say so, which makes it something that can be stopped, and whose progress can be seen.

create table if not exists luma.backfill_state (
  id boolean primary key default true check (id),
  started_at timestamptz,
  stopped_at timestamptz
);
alter table luma.backfill_state enable row level security;
alter table luma.backfill_state
  add column if not exists resumed_at timestamptz,
  add column if not exists done_before bigint not null default 0;
insert into luma.backfill_state default values on conflict do nothing;
comment on table luma.backfill_state is 'One row: the last backfill. See luma.backfill_progress.';
comment on column luma.backfill_state.stopped_at is 'By luma.stop_backfill(); luma.backfill() goes on.';
comment on column luma.backfill_state.resumed_at is 'Since when it runs without a pause (stopped, or not live), with done_before done by then: its pace is measured from here.';

alter table luma.sync_outbox
  add column if not exists backfill_started_at timestamptz,
  add column if not exists backfill_version bigint;
comment on column luma.sync_outbox.backfill_started_at is 'The backfill that it was last a part of, by its start.';
comment on column luma.sync_outbox.backfill_version is 'The version that the backfill is to send: a part of it while done_version is smaller.';

create or replace function luma.backfill_stopped()
returns boolean language sql stable set search_path = ''
return exists (select from luma.backfill_state b where b.stopped_at is not null);
comment on function luma.backfill_stopped() is 'True between luma.stop_backfill() and the next luma.backfill().';

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
  ))
  -- A live change of it is more urgent, and goes out.
  and (o.priority < 4 or o.backfill_version is null or o.done_version >= o.backfill_version or not (select luma.backfill_stopped()));

create or replace function luma.mark_backfill(entity text, entity_id uuid, place bigint)
returns void language sql set search_path = '' as $$
  update luma.sync_outbox o
  set backfill_version = o.version, backfill_started_at = (select b.started_at from luma.backfill_state b),
      -- Within one priority what has been due the longest goes first.
      due_at = case when o.lease is null and o.attempts = 0 and o.due_at <= now()
        then now() - interval '1 second' + least(mark_backfill.place, 900000) * interval '1 microsecond' else o.due_at end
  where o.entity = mark_backfill.entity and o.entity_id = mark_backfill.entity_id
$$;
comment on function luma.mark_backfill(text, uuid, bigint) is 'Makes what was just enqueued a part of the backfill, at this place.';

create or replace function luma.enqueue_diverged_rsvps(of_event uuid, of_user text, priority integer, out enqueued integer, out complete boolean)
language plpgsql set search_path = '' as $$
declare
  diverged record;
begin
  enqueued := 0;
  complete := true;
  for diverged in
    select d.*, coalesce(r.updated_at, r.created_at) < s.live_since as is_backfill
    from luma.diverged_rsvps(of_event, of_user) d
    cross join luma.settings s
    left join public.event_rsvps r on r.id = d.rsvp_id
    left join public.canonical_events e on e.id = d.event_id
    order by e.starts_at, r.created_at, d.rsvp_id
  loop
    if luma.try_enqueue('rsvp', diverged.rsvp_id, case when diverged.is_backfill then 4 else priority end, diverged.event_id) then
      enqueued := enqueued + 1;
      if diverged.is_backfill or priority = 4 then
        perform luma.mark_backfill('rsvp', diverged.rsvp_id, enqueued);
      end if;
    else
      complete := false;
    end if;
  end loop;
end
$$;

create or replace view luma.backfill_progress as
select
  case
    when b.started_at is null then 'none'
    when c.waiting = 0 then 'done'
    when b.stopped_at is not null then 'stopped'
    else 'running'
  end as state,
  b.started_at, c.total, c.done, c.waiting, c.dead, c.per_minute,
  case when c.per_minute > 0 then now() + c.waiting / c.per_minute * interval '1 minute' end as ends_at
from luma.backfill_state b
cross join lateral (
  select p.*, case when b.stopped_at is null and p.waiting > 0 then round(
    (greatest(p.done - b.done_before, 0) / greatest(extract(epoch from now() - b.resumed_at) / 60, 0.1))::numeric, 1
  ) end as per_minute
  from (
    select count(*) as total,
      count(*) filter (where o.done_version >= o.backfill_version) as done,
      count(*) filter (where o.done_version < o.backfill_version and o.dead_at is null) as waiting,
      count(*) filter (where o.done_version < o.backfill_version and o.dead_at is not null) as dead
    from luma.sync_outbox o
    where o.backfill_started_at = b.started_at
  ) p
) c;
comment on view luma.backfill_progress is
  'One row: the last backfill, in events and RSVPs. RSVPs of events that are new to Luma join when it has them, so total grows. per_minute is its pace while it runs, ends_at follows from that.';

create or replace function luma.begin_backfill()
returns void language sql set search_path = ''
begin atomic
  update luma.backfill_state b
  set stopped_at = null,
      -- One that is not over goes on.
      started_at = case when p.waiting > 0 then b.started_at else clock_timestamp() end,
      resumed_at = case when p.waiting > 0 and b.stopped_at is null and b.resumed_at >= s.live_since then b.resumed_at else clock_timestamp() end,
      done_before = case when p.waiting = 0 then 0
        when b.stopped_at is null and b.resumed_at >= s.live_since then b.done_before else p.done end
  from luma.backfill_progress p, luma.settings s
  where b.id;
end;
comment on function luma.begin_backfill() is 'Begins a backfill, or goes on with the one that was stopped.';

create or replace function luma.lock_waiting(of_entity text)
returns setof uuid language sql set search_path = '' as $$
  -- Whoever is changing one just now makes it live traffic.
  select o.entity_id from luma.sync_outbox o
  where o.entity = of_entity and o.version > o.done_version and o.dead_at is null and o.priority = 4
    and o.changed_at < (select s.live_since from luma.settings s)
    and (o.backfill_version is null or o.done_version >= o.backfill_version)
  for update skip locked
$$;
comment on function luma.lock_waiting(text) is 'What has waited since before the mode was live, and is no part of the backfill yet.';

create or replace function luma.start_backfill()
returns integer language plpgsql set search_path = '' as $$
declare
  diverged record;
  enqueued integer := 0;
begin
  perform luma.begin_backfill();
  for diverged in
    select d.event_id, d.is_waiting
    from (
      select d as event_id, false as is_waiting from luma.diverged_events() d
      union all
      select w, true from luma.lock_waiting('event') w
    ) d
    left join public.canonical_events e on e.id = d.event_id
    left join luma.event_links l on l.event_id = d.event_id
    -- Not what waits only to be read.
    where luma.needs_push(e, l)
    order by e.starts_at, d.event_id
  loop
    if diverged.is_waiting or luma.try_enqueue('event', diverged.event_id, 4, diverged.event_id) then
      enqueued := enqueued + 1;
      perform luma.mark_backfill('event', diverged.event_id, enqueued);
    end if;
  end loop;
  for diverged in
    select w as rsvp_id
    from luma.lock_waiting('rsvp') w
    left join public.event_rsvps r on r.id = w
    left join public.canonical_events e on e.id = r.event_id
    order by e.starts_at, r.created_at, w
  loop
    enqueued := enqueued + 1;
    perform luma.mark_backfill('rsvp', diverged.rsvp_id, enqueued);
  end loop;
  enqueued := enqueued + (luma.enqueue_diverged_rsvps(null, null, 4)).enqueued;
  -- For those that waited while it was stopped.
  perform luma.tick();
  return enqueued;
end
$$;
comment on function luma.start_backfill() is 'What luma.backfill() and luma.set_mode() do. Answers how many it enqueued.';

create or replace function luma.backfill()
returns integer language plpgsql set search_path = '' as $$
declare
  enqueued integer := luma.start_backfill();
begin
  perform luma.log_admin('backfill', jsonb_build_object('enqueued', enqueued));
  return enqueued;
end
$$;
comment on function luma.backfill() is
  'Enqueues every approved, coming event, and every RSVP of events on Luma, that Luma does not have as it is: the next to begin first, below live traffic and without mails to guests. RSVPs of events that are new to Luma follow when it has them. Answers how many. Can be repeated, and goes on after luma.stop_backfill(). See luma.backfill_progress.';

create or replace function luma.stop_backfill()
returns integer language plpgsql set search_path = '' as $$
begin
  update luma.backfill_state b set stopped_at = coalesce(b.stopped_at, clock_timestamp()) where b.started_at is not null;
  perform luma.log_admin('stop_backfill', '{}');
  return (select p.waiting from luma.backfill_progress p);
end
$$;
comment on function luma.stop_backfill() is
  'Sends nothing more of the backfill, until luma.backfill(); live changes go on. Calls under way end. Answers how many wait.';

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
  coalesce(luma.drain_problem(), luma.pull_problem()) as problem,
  (select to_jsonb(b) from luma.backfill_progress b) as backfill,
  (select count(*) from luma.duplicates) as duplicates
from luma.sync_outbox o;
comment on view luma.health is
  'One row: the queue (with luma.rechecks and the webhook deliveries that wait), the calendars (also their last webhook and pull), what is wrong, the backfill, and how many rows luma.duplicates has.';

select luma.restrict_access();
