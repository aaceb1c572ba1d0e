create or replace function public.luma_drain_start(keys text[])
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  run_id uuid;
begin
  insert into luma.drain_runs (alive_until) values (clock_timestamp() + interval '15 seconds') returning id into run_id;
  update luma.bell b set rung_at = null, unanswered = 0 where b.rung_at is not null or b.unanswered > 0;
  perform luma.lock_permits();
  perform luma.route_jobs();
  return jsonb_build_object(
    'run_id', run_id, 'mode', luma.mode(), 'problems', luma.note_missing_keys(keys),
    'lease_seconds', (select s.lease_seconds from luma.settings s)
  );
end
$$;
comment on function public.luma_drain_start(text[]) is
  'luma-drain: registers a run that holds keys for these calendars. {run_id, mode, problems, lease_seconds}.';

create or replace function luma.claim_job(run_id uuid, calendar text, oldest boolean, free integer)
returns jsonb language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
  job jsonb;
begin
  -- A claim looks through so many jobs that turn out to have nothing to send, and leaves more to the next one.
  for n in 1..50 loop
    o := luma.pick_job(run_id, calendar, oldest);
    exit when o.lease is null;
    if o.entity = 'event' then
      job := luma.event_job(o);
      if job is null then
        perform luma.finish(o, 'nothing_to_do', '[]');
      end if;
    elsif o.entity = 'rsvp' then
      job := luma.guests_job(o, free);
    else
      job := luma.looks_job(o);
    end if;
    exit when job is not null;
  end loop;
  return job;
end
$$;
comment on function luma.claim_job(uuid, text, boolean, integer) is
  'Leases the next job of a calendar, one for at most so many calls at once, and describes it; null when there is none.';

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
  update luma.drain_runs r set alive_until = clock_timestamp() + interval '15 seconds' where r.id = run_id;
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
  update luma.drain_runs r set jobs = r.jobs + jsonb_array_length(claimed) where r.id = run_id;
  return jsonb_build_object(
    'mode', luma.mode(), 'jobs', claimed, 'permits', permits, 'wait_ms', wait_ms,
    'permits_after_ms', coalesce(permits_after_ms, 0), 'deliveries_due', luma.deliveries_due()
  );
end
$$;
comment on function public.luma_claim(uuid, text[], integer) is
  'luma-drain: leases up to max_jobs jobs of calendars it has keys for; RSVPs of one event are one job. {mode, jobs, permits (calls by calendar, for luma.permit_ms()), permits_after_ms (how long after the request they were given, at the least), wait_ms (when work waits for permits), deliveries_due (true: call luma_apply_deliveries)}.';

select luma.restrict_access();
