-- A claim that goes on from where the last one was did so for each calendar by itself, and some of its steps never did:
-- leases that ran out were looked for each time, through all that were taken since somebody opened a transaction.
--
-- Now a claim goes on or looks at all, as a whole: once a second, and when going on finds nothing. Leases that ran out
-- are looked for when it looks at all. What a run remembers is written once a claim, because each writing leaves one
-- more dead version of its row for the next claim to pass.

create or replace function luma.raise_floor(queue text, priority integer, due_at timestamptz)
returns void language plpgsql set search_path = '' as $$
begin
  perform set_config('luma.floors', (
    coalesce(nullif(current_setting('luma.floors', true), ''), '{}')::jsonb || jsonb_build_object(concat(queue, ' ', priority), due_at)
  )::text, true);
end
$$;
comment on function luma.raise_floor(text, integer, timestamptz) is
  'From now on this claim looks only for what is due later, of a priority of a calendar.';

create or replace function luma.most_urgent(calendar text)
returns smallint language plpgsql stable set search_path = '' as $$
begin
  return (
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) with ordinality p (priority, place)
    cross join lateral (
      select from luma.due_jobs d
      where d.calendar = most_urgent.calendar and d.priority = p.priority
        and d.due_at >= luma.due_floor(most_urgent.calendar, p.priority)
      order by d.due_at limit 1
    ) first
    limit 1
  );
end
$$;
comment on function luma.most_urgent(text) is 'Priority of the most urgent due job of a calendar; null when there is none.';

create or replace function luma.calendars_with_work(calendars text[], oldest boolean)
returns setof text language sql volatile set search_path = '' as $$
  select k.luma_key
  from unnest(calendars) k (luma_key)
  cross join lateral (select luma.most_urgent(k.luma_key) as priority) most_urgent
  where most_urgent.priority is not null and luma.calendar_ready(k.luma_key)
  -- Chance decides between equals, so that no calendar starves another.
  order by case when not oldest then most_urgent.priority end, random()
$$;

create or replace function luma.go_on(run_id uuid)
returns boolean language plpgsql set search_path = '' as $$
declare
  floors jsonb := (
    select r.floors from luma.drain_runs r where r.id = run_id and r.looked_at > clock_timestamp() - interval '1 second'
  );
begin
  perform set_config('luma.floors', coalesce(floors, '{}')::text, true);
  return coalesce(floors, '{}') <> '{}';
end
$$;
comment on function luma.go_on(uuid) is
  'Lets a claim go on from where the last one of its run was. False when it has to look at all that is due.';

create or replace function luma.remember_claim(run_id uuid, jobs integer, looked_at timestamptz)
returns void language plpgsql set search_path = '' as $$
begin
  update luma.drain_runs r
  set jobs = r.jobs + remember_claim.jobs, alive_until = clock_timestamp() + interval '15 seconds',
      looked_at = coalesce(remember_claim.looked_at, r.looked_at),
      floors = coalesce(nullif(current_setting('luma.floors', true), ''), '{}')::jsonb
  where r.id = run_id;
end
$$;
comment on function luma.remember_claim(uuid, integer, timestamptz) is
  'Prolongs a run that has claimed, and remembers where it is and when it last looked at all.';

create or replace function public.luma_claim(run_id uuid, calendars text[], max_jobs integer)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  live boolean := luma.mode() = 'live';
  -- Now and then a claim goes to what has waited longest: a backfill gets its share of busy times.
  oldest boolean := random() < (select s.oldest_share from luma.settings s);
  goes_on boolean := luma.go_on(run_id);
  looked_at timestamptz;
  calendar text;
  job jsonb;
  claimed jsonb[] := '{}';
  permits jsonb := '{}';
  free integer;
  needed integer;
  wait_ms integer;
  permits_after_ms integer;
begin
  perform luma.lock_permits();
  perform luma.recheck_rsvps();
  loop
    if not goes_on then
      looked_at := clock_timestamp();
      perform luma.expire_leases();
    end if;
    perform luma.route_jobs();
    for calendar in select luma.calendars_with_work(calendars, oldest) loop
      free := case when live then luma.permits_free(calendar) else max_jobs end;
      if free = 0 then
        wait_ms := least(wait_ms, luma.permits_wait_ms(calendar));
      end if;
      needed := 0;
      while needed < free and cardinality(claimed) < max_jobs loop
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
    exit when not goes_on or cardinality(claimed) > 0;
    -- What is due from before may have come in since.
    goes_on := false;
    perform set_config('luma.floors', '{}', true);
  end loop;
  perform luma.remember_claim(run_id, cardinality(claimed), looked_at);
  return jsonb_build_object(
    'mode', luma.mode(), 'jobs', to_jsonb(claimed), 'permits', permits, 'wait_ms', wait_ms,
    'permits_after_ms', coalesce(permits_after_ms, 0), 'deliveries_due', luma.deliveries_due()
  );
end
$$;

drop function if exists luma.most_urgent(text, boolean);
drop function if exists luma.look_from_floors(uuid);

select luma.restrict_access();
