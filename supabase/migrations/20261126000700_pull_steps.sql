-- The steps of a pull. luma-pull asks for one, makes its call, and hands in the result with the request for the next
-- one, so that whatever a killed function leaves is in the run's row, and the next function goes on there.
--
-- check (is the key this calendar's?) → events (the list, page by page) → details (events, one by one) → guests (the
-- lists, event by event) → end.

create or replace function luma.ended_run(run luma.pull_runs, how text)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  told text;
begin
  run.outcome := how;
  run.ended_at := clock_timestamp();
  run.lease := null;
  run.alive_until := null;
  run.entries := '[]';
  run.seen := '{}';
  run.details := '{}';
  run.guests_of := '{}';
  begin
    if run.is_dry then
      perform luma.report_app_side(run);
    elsif run.luma_event_id is null and how <> 'failed' then
      perform luma.take_over_calendar(run.calendar);
      -- What the app's side is ahead of, and what waited to know that it is not on Luma yet: so this run has to be over,
      -- and of two that end at once the second has to see the first.
      perform pg_advisory_xact_lock(hashtext('luma'), hashtext('pull ends'));
      perform luma.save_run(run);
      -- Not a whole luma.sweep(), which may take longer than a call through the Data API.
      perform luma.try_enqueue('event', d, 3, d) from luma.diverged_events() d;
    end if;
  exception when others then
    get stacked diagnostics told = message_text;
    run := luma.with_problem(run, told);
  end;
  return run;
end
$$;
comment on function luma.ended_run(luma.pull_runs, text) is 'The run as it ends: done, incomplete or failed.';

create or replace function luma.failed_call(run luma.pull_runs, failure jsonb)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  said text := failure ->> 'message';
  what text := luma.sort_failure(failure ->> 'kind', (failure ->> 'status')::integer, run.failures);
begin
  run.asked_at := null;
  run.failures := run.failures + 1;
  if what = 'rate_limited' then
    perform luma.pause_calendar(
      run.calendar, now() + make_interval(secs => coalesce((failure ->> 'retry_after')::double precision, 60)), 'luma'
    );
    run.failures := 0;
  elsif what = 'retry' and run.failures < 5 then
    run.due_at := clock_timestamp() + luma.retry_delay(run.failures);
  elsif what = 'stopped' then
    perform luma.note_problem(run.calendar, said, stop => true);
    run := luma.ended_run(luma.with_problem(run, said), 'failed');
  elsif run.phase in ('check', 'events') then
    run := luma.ended_run(luma.with_problem(run, said), 'failed');
  elsif run.phase = 'guests' and failure ->> 'status' = '404' and not run.is_dry then
    -- The event has gone since it was listed.
    perform luma.request_look(run.guests_of[1], tags => false);
    run.to_read := run.to_read + 1;
    run.guests_of := run.guests_of[2:];
    run := luma.started_list(run);
  else
    -- Of one event: the rest goes on.
    run := luma.with_problem(run, said);
    if run.phase = 'details' then
      run.details := run.details[2:];
    else
      run.guests_of := run.guests_of[2:];
      run := luma.started_list(run);
    end if;
    run.failures := 0;
  end if;
  return run;
end
$$;
comment on function luma.failed_call(luma.pull_runs, jsonb) is
  'The run after a call that failed (as luma_fail takes it): tried again, left out, or the end.';

create or replace function luma.checked_calendar(run luma.pull_runs, calendar_id text)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  expected text := (select c.luma_calendar_id from public.calendars c where c.luma_key = run.calendar);
  problem text;
begin
  if expected is distinct from calendar_id then
    -- Under the key of another calendar every event of this one would seem to be gone.
    problem := format('The key in LUMA_%s_API_KEY is that of calendar %s, and public.calendars says %s (luma_calendar_id): set the right one, then run: select luma.resume(%L);',
      upper(run.calendar), calendar_id, coalesce(expected, 'nothing'), run.calendar);
    perform luma.note_problem(run.calendar, problem, stop => true);
    return luma.ended_run(luma.with_problem(run, problem), 'failed');
  end if;
  run.asked_at := null;
  run.phase := case when run.luma_event_id is null then 'events' else 'details' end;
  run.details := array_remove(array[run.luma_event_id], null);
  return run;
end
$$;
comment on function luma.checked_calendar(luma.pull_runs, text) is 'The run after the calendar behind the key was asked for.';

create or replace function luma.took_result(run luma.pull_runs, result jsonb)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  kind text := result ->> 'kind';
begin
  if kind in ('calendar', 'page', 'event', 'failed') then
    run.calls := run.calls + 1;
  end if;
  if kind in ('calendar', 'page', 'event') then
    run.failures := 0;
  end if;
  if kind = 'calendar' then
    run := luma.checked_calendar(run, result ->> 'calendar_id');
  elsif kind = 'page' then
    run := luma.took_page(run, result);
  elsif kind = 'event' then
    run.entries := result -> 'entries';
  elsif kind = 'failed' then
    run := luma.failed_call(run, result -> 'failure');
  elsif kind = 'late' then
    -- Its permit was too old to be used.
    perform public.luma_return_permits(run.calendar, 1);
    run.asked_at := null;
  end if;
  return run;
end
$$;
comment on function luma.took_result(luma.pull_runs, jsonb) is 'The run with the result of its last step.';

create or replace function luma.went_on(run luma.pull_runs)
returns luma.pull_runs language plpgsql set search_path = '' as $$
begin
  if run.asked_at is not null then
    -- What was read has been applied.
    run.asked_at := null;
    if run.phase = 'details' then
      run.details := run.details[2:];
    elsif run.next_cursor is not null then
      run.cursor := run.next_cursor;
    else
      run := luma.finished_list(run);
    end if;
  end if;
  if run.phase = 'details' and run.details = '{}' then
    run.phase := 'guests';
    run.guests_of := luma.plan_guests(run);
  end if;
  -- Over, or gone, since it was planned.
  while run.phase = 'guests' and run.guests_of <> '{}' and not exists (
    select from luma.coming_events(run) c where (c.event).id = run.guests_of[1]
  ) loop
    run.guests_of := run.guests_of[2:];
  end loop;
  if run.phase = 'guests' and run.guests_of = '{}' then
    run := luma.ended_run(run, case when run.errors = 0 then 'done' else 'incomplete' end);
  end if;
  return run;
end
$$;
comment on function luma.went_on(luma.pull_runs) is 'The run at its next call, or at its end.';

create or replace function luma.describe_call(run luma.pull_runs)
returns jsonb language sql stable set search_path = '' as $$
  select case run.phase
    when 'check' then '{"do": "get_calendar"}'
    when 'events' then jsonb_build_object('do', 'list_events', 'after', run.listed_after, 'cursor', run.cursor)
    when 'details' then jsonb_build_object('do', 'get_event', 'luma_event_id', run.details[1])
    else jsonb_build_object('do', 'list_guests', 'cursor', run.cursor, 'luma_event_id', (
      select l.luma_event_id from luma.event_links l where l.event_id = run.guests_of[1]
    ))
  end
$$;
comment on function luma.describe_call(luma.pull_runs) is 'The call that a run makes next.';

create or replace function public.luma_pull_step(run_id uuid, lease uuid, result_json text)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  run luma.pull_runs;
  permit record;
begin
  select * into run from luma.pull_runs r
  where r.id = run_id and r.lease = luma_pull_step.lease and r.ended_at is null for update;
  if not found or luma.mode() = 'off' then
    return '{"do": "end"}';
  end if;
  run.alive_until := clock_timestamp() + interval '30 seconds';
  run := luma.took_result(run, result_json::jsonb);
  if run.ended_at is null and run.entries <> '[]' then
    run := luma.applied_entries(run);
    if run.entries <> '[]' then
      perform luma.save_run(run);
      return jsonb_build_object('do', 'wait', 'wait_ms', case when run.tries > 0 then 50 else 0 end);
    end if;
  end if;
  if run.ended_at is null and run.due_at <= clock_timestamp() then
    run := luma.went_on(run);
  end if;
  if run.ended_at is not null then
    perform luma.save_run(run);
    return '{"do": "end"}';
  end if;
  if not luma.calendar_ready(run.calendar) then
    -- luma.tick() goes on with it when the calendar may be called again.
    run.lease := null;
    run.alive_until := null;
    perform luma.save_run(run);
    return '{"do": "end"}';
  end if;
  if run.due_at > clock_timestamp() then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', ceil(1000 * extract(epoch from run.due_at - clock_timestamp())));
  end if;
  permit := luma.take_pull_permit(run.calendar, run.is_asked);
  if not permit.granted then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', permit.wait_ms);
  end if;
  run.listed_after := coalesce(run.listed_after, luma.start_of_list(run.calendar));
  -- Before the call, by the clock that all else is told by.
  run.asked_at := clock_timestamp();
  perform luma.save_run(run);
  return luma.describe_call(run) || jsonb_build_object('permit_after_ms', luma.elapsed_ms());
end
$$;
comment on function public.luma_pull_step(uuid, uuid, text) is
  'luma-pull: takes the result of a step and answers the next one. result_json: {kind: none | late | calendar {calendar_id} | page {route, entries: [{id, news | error}], next_cursor} | event {entries} | failed {failure}}. Answers {do: get_calendar | list_events {after, cursor} | get_event {luma_event_id} | list_guests {luma_event_id, cursor}, permit_after_ms}, {do: wait, wait_ms}, or {do: end}.';

create or replace function public.luma_pull_begin(keys text[])
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  run luma.pull_runs;
  runs jsonb := '[]';
begin
  if luma.mode() = 'off' then
    return '[]';
  end if;
  if luma.mode() = 'live' then
    perform luma.mark_calendars(keys);
  end if;
  -- One after the other, so that each run gets one function.
  perform pg_advisory_xact_lock(hashtext('luma'), hashtext('pulls'));
  update luma.bell b set pull_rung_at = null, pull_unanswered = 0 where b.pull_rung_at is not null or b.pull_unanswered > 0;
  for run in
    select * from luma.waiting_pulls() w order by w.started_at nulls last, w.luma_event_id nulls last, w.requested_at
  loop
    -- Of one that has just been taken, or that another one of its calendar is before.
    continue when not exists (select from luma.waiting_pulls() w where w.id = run.id);
    if run.calendar <> all (keys) then
      run.started_at := clock_timestamp();
      update luma.pull_runs r set started_at = run.started_at where r.id = run.id;
      perform luma.save_run(luma.ended_run(luma.with_problem(run, format(
        'LUMA_%s_API_KEY is not set in the function secrets: calendar %s cannot be read.', upper(run.calendar), run.calendar
      )), 'failed'));
      continue;
    end if;
    if run.started_at is null and run.luma_event_id is null and not run.is_dry then
      perform luma.note_missed(run.calendar);
    end if;
    update luma.pull_runs r
    set lease = gen_random_uuid(), alive_until = clock_timestamp() + interval '30 seconds',
        started_at = coalesce(r.started_at, clock_timestamp()), is_dry = r.is_dry or luma.mode() = 'dry_run',
        -- A call that was under way is made again.
        asked_at = case when r.entries <> '[]' then r.asked_at end
    where r.id = run.id returning * into run;
    runs := runs || jsonb_build_object('run_id', run.id, 'lease', run.lease, 'calendar', run.calendar);
  end loop;
  return runs;
end
$$;
comment on function public.luma_pull_begin(text[]) is
  'luma-pull: takes the pulls that wait, of calendars that it has keys for: [{run_id, lease, calendar}].';

create or replace function public.luma_pull_pause(run_id uuid, lease uuid)
returns void language plpgsql security definer set search_path = '' as $$
begin
  update luma.pull_runs r set lease = null, alive_until = null, asked_at = case when r.entries <> '[]' then r.asked_at end
  where r.id = run_id and r.lease = luma_pull_pause.lease;
  if found then
    perform luma.ring_pull();
  end if;
end
$$;
comment on function public.luma_pull_pause(uuid, uuid) is 'luma-pull: the time is up; the next one goes on with this run.';

select luma.restrict_access();
