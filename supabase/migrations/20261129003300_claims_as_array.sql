-- The jobs of a claim are gathered in an array, and become JSON once: a JSON array is copied whole with each job that is
-- added, which took a tenth of the time of a claim of a hundred.

create or replace function public.luma_claim(run_id uuid, calendars text[], max_jobs integer)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  live boolean := luma.mode() = 'live';
  -- Now and then a claim goes to what has waited longest: a backfill gets its share of busy times.
  oldest boolean := random() < (select s.oldest_share from luma.settings s);
  calendar text;
  job jsonb;
  claimed jsonb[] := '{}';
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
  update luma.drain_runs r
  set jobs = r.jobs + cardinality(claimed), floors = coalesce(nullif(current_setting('luma.floors', true), ''), '{}')::jsonb
  where r.id = run_id;
  return jsonb_build_object(
    'mode', luma.mode(), 'jobs', to_jsonb(claimed), 'permits', permits, 'wait_ms', wait_ms,
    'permits_after_ms', coalesce(permits_after_ms, 0), 'deliveries_due', luma.deliveries_due()
  );
end
$$;

select luma.restrict_access();
