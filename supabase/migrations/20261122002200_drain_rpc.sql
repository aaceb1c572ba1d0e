create or replace function luma.note_missing_keys(keys text[])
returns jsonb language plpgsql set search_path = '' as $$
declare
  missing text;
  problems jsonb := '[]';
  problem text;
begin
  for missing in
    select distinct o.calendar from luma.due_jobs o
    where o.calendar <> all (keys) and luma.calendar_ready(o.calendar)
  loop
    problem := format('LUMA_%s_API_KEY is not set in the function secrets: no call can be made for calendar %s.', upper(missing), missing);
    problems := problems || to_jsonb(problem);
    perform luma.note_problem(missing, problem, stop => false);
    -- Look again in a minute rather than at every tick.
    perform luma.pause_calendar(missing, now() + interval '1 minute', 'luma');
  end loop;
  update luma.calendar_state s set problem = null, updated_at = now()
  where s.luma_key = any (keys) and s.stopped_at is null and s.problem like 'LUMA\_%\_API\_KEY is not set%';
  return problems;
end
$$;
comment on function luma.note_missing_keys(text[]) is 'Keeps, and answers, one message for each calendar that has due jobs but no key.';

create or replace function public.luma_drain_start(keys text[])
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  run_id uuid;
begin
  insert into luma.drain_runs (alive_until) values (clock_timestamp() + interval '15 seconds') returning id into run_id;
  update luma.bell b set rung_at = null, unanswered = 0 where b.rung_at is not null or b.unanswered > 0;
  perform luma.route_jobs();
  return jsonb_build_object(
    'run_id', run_id, 'mode', luma.mode(), 'problems', luma.note_missing_keys(keys),
    'lease_seconds', (select s.lease_seconds from luma.settings s)
  );
end
$$;
comment on function public.luma_drain_start(text[]) is
  'luma-drain: registers a run that holds keys for these calendars. {run_id, mode, problems, lease_seconds}.';

create or replace function luma.calendars_with_work(calendars text[])
returns setof text language sql volatile set search_path = '' as $$
  select k.luma_key
  from unnest(calendars) k (luma_key)
  cross join lateral (
    select o.priority from luma.due_jobs o where o.calendar = k.luma_key order by o.priority limit 1
  ) most_urgent
  where luma.calendar_ready(k.luma_key)
  -- Chance decides between equals, so that no calendar starves another.
  order by most_urgent.priority, random()
$$;
comment on function luma.calendars_with_work(text[]) is 'Those of the calendars that have due jobs and may be called, the most urgent first.';

create or replace function public.luma_claim(run_id uuid, calendars text[], max_jobs integer)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  live boolean := luma.mode() = 'live';
  calendar text;
  o luma.sync_outbox;
  job jsonb;
  claimed jsonb := '[]';
  permits jsonb := '{}';
  picked integer;
  free integer;
  wait_ms integer;
begin
  update luma.drain_runs r set alive_until = clock_timestamp() + interval '15 seconds' where r.id = run_id;
  perform luma.route_jobs();
  perform luma.lock_permits();
  for calendar in select luma.calendars_with_work(calendars) loop
    free := case when live then luma.permits_free(calendar) else max_jobs end;
    if free = 0 then
      wait_ms := least(wait_ms, luma.permits_wait_ms(calendar));
    end if;
    picked := 0;
    for o in select * from luma.pick_jobs(run_id, calendar, least(free, max_jobs - jsonb_array_length(claimed))) loop
      job := luma.event_job(o);
      if job is null then
        perform luma.finish(o, 'nothing_to_do', '[]');
      else
        claimed := claimed || job;
        picked := picked + 1;
      end if;
    end loop;
    if live and picked > 0 then
      permits := permits || jsonb_build_object(calendar, luma.take_permits(calendar, picked));
    end if;
  end loop;
  update luma.drain_runs r set jobs = r.jobs + jsonb_array_length(claimed) where r.id = run_id;
  return jsonb_build_object('mode', luma.mode(), 'jobs', claimed, 'permits', permits, 'wait_ms', wait_ms);
end
$$;
comment on function public.luma_claim(uuid, text[], integer) is
  'luma-drain: leases up to max_jobs jobs of calendars it has keys for. {mode, jobs, permits (calls by calendar, for luma.permit_seconds()), wait_ms (when work waits for permits)}.';

create or replace function public.luma_drain_end(run_id uuid, calendars text[], calls integer, reason text, force boolean)
returns text language plpgsql security definer set search_path = '' as $$
declare
  alone boolean := luma.try_lock_bell(exclusive => true);
  work boolean := luma.has_claimable(calendars);
begin
  if not force and (work or not alone) then
    return case when work then 'work' else 'writers' end;
  end if;
  -- Retries and edits that are due in a moment: cheaper to wait for than to be rung for.
  if not force and exists (
    select from luma.sync_outbox o
    where o.version > o.done_version and o.dead_at is null and o.lease is null
      -- Without a calendar yet: enqueued since this transaction began, so later than its now().
      and (o.calendar is null or (o.calendar = any (calendars) and luma.calendar_ready(o.calendar)))
      and o.due_at between now() and now() + interval '3 seconds' and luma.mode() = 'live'
  ) then
    return 'soon';
  end if;
  update luma.drain_runs r
  set ended_at = clock_timestamp(), calls = luma_drain_end.calls, end_reason = reason
  where r.id = run_id;
  if work or not alone then
    -- Out of time with work left: the next run takes over.
    perform luma.ring();
  end if;
  return 'ended';
end
$$;
comment on function public.luma_drain_end(uuid, text[], integer, text, boolean) is
  'luma-drain: ends the run, unless there is work, a writer is just committing, or something is due in a moment (then it answers work, writers or soon, and the run goes on). With force it ends anyway and rings for the next run.';

create or replace function public.luma_note_rate_limit(calendar text, rate_limit integer)
returns void language sql security definer set search_path = '' as $$
  insert into luma.calendar_state as s (luma_key, rate_limit) values (calendar, luma_note_rate_limit.rate_limit)
  on conflict (luma_key) do update set rate_limit = excluded.rate_limit, updated_at = now()
  where s.rate_limit is distinct from excluded.rate_limit
$$;
comment on function public.luma_note_rate_limit(text, integer) is 'luma-drain: X-RateLimit-Limit as Luma told it.';

select luma.restrict_access();
