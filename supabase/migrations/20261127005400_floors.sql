-- While somebody keeps a transaction open, no dead row can be taken out of the index of due jobs, and a claim would walk
-- over every job since: the due ones come behind them. So a run remembers how far it has come, for each calendar and
-- priority, and looks from there on. What is enqueued is due from the start of its transaction, which may be long ago:
-- once a second, and before it says that there is nothing, a run looks at all of it.

alter table luma.drain_runs add column if not exists floors jsonb not null default '{}';
alter table luma.drain_runs add column if not exists looked_at timestamptz;
comment on column luma.drain_runs.floors is
  'When the last job of each calendar and priority was due: {"blr 3": …}. Only what is due later is claimed, for a second.';
comment on column luma.drain_runs.looked_at is 'When this run last looked at all that is due.';

create or replace function luma.due_floor(calendar text, priority integer)
returns timestamptz language plpgsql stable set search_path = '' as $$
begin
  return coalesce(
    (nullif(current_setting('luma.floors', true), '')::jsonb ->> concat(calendar, ' ', priority))::timestamptz, '-infinity'
  );
end
$$;
comment on function luma.due_floor(text, integer) is 'From when on this claim looks for due jobs.';

create or replace function luma.pick_job(run_id uuid, calendar text, oldest boolean)
returns luma.sync_outbox language plpgsql set search_path = '' as $$
declare
  -- One index range for each priority: neither leased rows nor ones in a retry delay are walked over.
  priorities smallint[] := case when oldest then array(
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      select d.due_at from luma.due_jobs d
      where d.calendar = pick_job.calendar and d.priority = p.priority
        and d.due_at >= luma.due_floor(pick_job.calendar, p.priority)
      order by d.due_at limit 1
    ) first
    order by first.due_at
  ) else '{1,2,3,4}' end;
  floors jsonb := coalesce(nullif(current_setting('luma.floors', true), ''), '{}');
  o luma.sync_outbox;
begin
  select j.* into o
  from unnest(priorities) with ordinality p (priority, place)
  cross join lateral (
    select * from luma.due_jobs d
    where d.calendar = pick_job.calendar and d.priority = p.priority and d.lease is null
      and d.due_at >= luma.due_floor(pick_job.calendar, p.priority)
    order by d.due_at limit 1
    for update skip locked
  ) j
  limit 1;
  if not found then
    if floors <> '{}' then
      perform set_config('luma.floors', '{}', true);
      return luma.pick_job(run_id, calendar, oldest);
    end if;
    return null;
  end if;
  perform set_config('luma.floors', (floors || jsonb_build_object(concat(calendar, ' ', o.priority), o.due_at))::text, true);
  update luma.sync_outbox s
  set lease = gen_random_uuid(), leased_by = run_id, leased_at = clock_timestamp(), lease_version = s.version,
      due_at = clock_timestamp() + make_interval(secs => (select t.lease_seconds from luma.settings t))
  where s.entity = o.entity and s.entity_id = o.entity_id
  returning s.* into o;
  return o;
end
$$;

create or replace function luma.most_urgent(calendar text, floored boolean)
returns smallint language plpgsql stable set search_path = '' as $$
begin
  return (
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) with ordinality p (priority, place)
    cross join lateral (
      select from luma.due_jobs d
      where d.calendar = most_urgent.calendar and d.priority = p.priority
        and d.due_at >= case when floored then luma.due_floor(most_urgent.calendar, p.priority) else '-infinity' end
      order by d.due_at limit 1
    ) first
    limit 1
  );
end
$$;
comment on function luma.most_urgent(text, boolean) is 'Priority of the most urgent due job of a calendar; null when there is none.';

create or replace function luma.calendars_with_work(calendars text[], oldest boolean)
returns setof text language sql volatile set search_path = '' as $$
  select k.luma_key
  from unnest(calendars) k (luma_key)
  cross join lateral (
    select coalesce(luma.most_urgent(k.luma_key, true), luma.most_urgent(k.luma_key, false)) as priority
  ) most_urgent
  where most_urgent.priority is not null and luma.calendar_ready(k.luma_key)
  -- Chance decides between equals, so that no calendar starves another.
  order by case when not oldest then most_urgent.priority end, random()
$$;

create or replace function luma.look_from_floors(run_id uuid)
returns void language plpgsql set search_path = '' as $$
declare
  run luma.drain_runs;
begin
  update luma.drain_runs r
  set alive_until = clock_timestamp() + interval '15 seconds',
      floors = case when r.looked_at > clock_timestamp() - interval '1 second' then r.floors else '{}' end,
      looked_at = case when r.looked_at > clock_timestamp() - interval '1 second' then r.looked_at else clock_timestamp() end
  where r.id = run_id returning r.* into run;
  perform set_config('luma.floors', coalesce(run.floors, '{}')::text, true);
end
$$;
comment on function luma.look_from_floors(uuid) is 'Prolongs a run that claims, and lets the claim go on from where the last one was.';

create or replace function public.luma_claim(run_id uuid, calendars text[], max_jobs integer)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  live boolean := luma.mode() = 'live';
  -- Now and then a claim goes to what has waited longest: a backfill gets its share of busy times.
  oldest boolean := random() < (select s.oldest_share from luma.settings s);
  calendar text;
  job jsonb;
  claimed jsonb := '[]';
  permits jsonb := '{}';
  free integer;
  needed integer;
  wait_ms integer;
  permits_after_ms integer;
begin
  perform luma.look_from_floors(run_id);
  perform luma.lock_permits();
  perform luma.expire_leases();
  perform luma.recheck_rsvps();
  perform luma.route_jobs();
  for calendar in select luma.calendars_with_work(calendars, oldest) loop
    free := case when live then luma.permits_free(calendar) else max_jobs end;
    if free = 0 then
      wait_ms := least(wait_ms, luma.permits_wait_ms(calendar));
    end if;
    needed := 0;
    while needed < free and jsonb_array_length(claimed) < max_jobs loop
      job := luma.claim_job(run_id, calendar, oldest, free - needed);
      exit when job is null;
      claimed := claimed || job;
      needed := needed + coalesce((job ->> 'permits')::integer, 1);
    end loop;
    if live and needed > 0 then
      -- Of the first that are given: those of a second calendar are younger than they are taken for, which is safe.
      permits_after_ms := coalesce(permits_after_ms, luma.elapsed_ms());
      permits := permits || jsonb_build_object(calendar, luma.take_permits(calendar, needed));
    end if;
  end loop;
  update luma.drain_runs r
  set jobs = r.jobs + jsonb_array_length(claimed), floors = coalesce(nullif(current_setting('luma.floors', true), ''), '{}')::jsonb
  where r.id = run_id;
  return jsonb_build_object(
    'mode', luma.mode(), 'jobs', claimed, 'permits', permits, 'wait_ms', wait_ms,
    'permits_after_ms', coalesce(permits_after_ms, 0), 'deliveries_due', luma.deliveries_due()
  );
end
$$;

select luma.restrict_access();
