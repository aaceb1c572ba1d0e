-- The steps of a pull. luma-pull asks for one, makes its call, and hands in the result with the request for the next
-- one, so that whatever a killed function leaves is in the run's row, and the next function goes on there.
--
-- check (is the key this calendar's?) → events (the list, page by page) → details (events, one by one) → guests (the
-- lists, event by event) → end.

alter table luma.pull_runs drop constraint if exists pull_runs_phase_check;
alter table luma.pull_runs add constraint pull_runs_phase_check check (phase in ('check', 'events', 'details', 'guests'));
alter table luma.pull_runs alter column phase set default 'check';

create or replace function luma.save_run(run luma.pull_runs)
returns void language sql set search_path = '' as $$
  update luma.pull_runs r
  set ended_at = (run).ended_at, outcome = (run).outcome, problems = (run).problems, lease = (run).lease,
      alive_until = (run).alive_until, due_at = (run).due_at, failures = (run).failures, phase = (run).phase,
      listed_after = (run).listed_after, cursor = (run).cursor, next_cursor = (run).next_cursor, pages = (run).pages,
      seen = (run).seen, asked_at = (run).asked_at, listed_from = (run).listed_from, entries = (run).entries,
      tries = (run).tries, details = (run).details, guests_of = (run).guests_of, is_whole = (run).is_whole,
      events = (run).events, guests = (run).guests, inserted = (run).inserted, updated = (run).updated,
      unchanged = (run).unchanged, to_read = (run).to_read, errors = (run).errors, errors_before = (run).errors_before, calls = (run).calls
  where r.id = (run).id;
$$;
comment on function luma.save_run(luma.pull_runs) is 'Writes back what a step has made of a run.';

create or replace function luma.with_problem(run luma.pull_runs, problem text)
returns luma.pull_runs language plpgsql set search_path = '' as $$
begin
  run.errors := run.errors + 1;
  if cardinality(run.problems) < 20 then
    run.problems := run.problems || left(problem, 500);
  end if;
  return run;
end
$$;
comment on function luma.with_problem(luma.pull_runs, text) is 'The run with one error more; the first twenty are kept in words.';

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
      perform luma.sweep();
    end if;
  exception when others then
    get stacked diagnostics told = message_text;
    run := luma.with_problem(run, told);
  end;
  return run;
end
$$;
comment on function luma.ended_run(luma.pull_runs, text) is 'The run as it ends: done, incomplete or failed.';

create or replace function luma.started_list(run luma.pull_runs)
returns luma.pull_runs language plpgsql set search_path = '' as $$
begin
  run.cursor := null;
  run.next_cursor := null;
  run.pages := 0;
  run.seen := '{}';
  run.asked_at := null;
  run.listed_from := null;
  run.is_whole := true;
  run.failures := 0;
  run.errors_before := run.errors;
  return run;
end
$$;
comment on function luma.started_list(luma.pull_runs) is 'The run at the beginning of a list.';

create or replace function luma.finished_list(run luma.pull_runs)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  listed_event_id uuid := run.guests_of[1];
begin
  if run.phase = 'events' then
    -- Those that were new or changed are there already: lists tell neither descriptions nor hosts.
    run.details := array(select d from unnest(run.details || luma.plan_details(run)) with ordinality u (d, n) group by d order by min(n));
    run.phase := 'details';
  else
    if run.is_whole and not run.is_dry then
      run.to_read := run.to_read + luma.look_for_vanished(listed_event_id, run.seen, run.listed_from);
      if run.errors = run.errors_before then
        insert into luma.reads as r (event_id, guests_read_at) values (listed_event_id, run.listed_from)
        on conflict (event_id) do update set guests_read_at = greatest(r.guests_read_at, excluded.guests_read_at);
      end if;
      perform luma.settle_adoption(listed_event_id);
    elsif run.is_whole then
      perform luma.report_vanished(run);
    end if;
    run.guests_of := run.guests_of[2:];
  end if;
  return luma.started_list(run);
end
$$;
comment on function luma.finished_list(luma.pull_runs) is 'The run after the last page of a list was applied.';

create or replace function luma.settle_adoption(adopted_event_id uuid)
returns void language sql set search_path = ''
begin atomic
  with settled as (
    update luma.event_links l set is_adopting = false
    where l.event_id = adopted_event_id and l.is_adopting returning l.event_id
  ),
  -- Nobody is mailed about RSVPs that were there before. Whoever is writing one just now is live.
  quiet as (
    update luma.sync_outbox o set priority = 4
    where (o.entity, o.entity_id) in (
      select s.entity, s.entity_id from luma.sync_outbox s
      where s.entity = 'rsvp' and s.event_id in (select event_id from settled) and s.version > s.done_version
      for update skip locked
    )
  )
  insert into luma.rechecks (event_id, priority, wake) select s.event_id, 4, luma.wakes_drain() from settled s;
end;
comment on function luma.settle_adoption(uuid) is 'The guests of an adopted event are known: its RSVPs may be sent.';

create or replace function luma.took_page(run luma.pull_runs, result jsonb)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  next text := result ->> 'next_cursor';
  ids text[] := array(
    select x from jsonb_array_elements(result -> 'entries') e
    cross join lateral unnest(array[e ->> 'id', e #>> '{news,email}']) x where x is not null
  );
begin
  run.pages := run.pages + 1;
  run.entries := result -> 'entries';
  run.listed_from := coalesce(run.listed_from, run.asked_at);
  if exists (select from jsonb_array_elements(run.entries) e where e ->> 'id' is null) then
    -- Whatever it is: it may be what seems to be missing in the end.
    run.is_whole := false;
  end if;
  -- Without an end a list would be read for ever. Each page has to bring something that the others had not,
  -- and no calendar has 100,000 events.
  if next is not null and (ids <@ run.seen or run.pages >= 2000) then
    run := luma.with_problem(run, format('%s: page %s %s and is not the last one; the list was left there.',
      result ->> 'route', run.pages, case when ids <@ run.seen then 'brings nothing new' else 'is one of very many' end));
    run.is_whole := false;
    next := null;
  end if;
  run.next_cursor := next;
  run.seen := run.seen || ids;
  return run;
end
$$;
comment on function luma.took_page(luma.pull_runs, jsonb) is
  'The run with a page to apply. result: {route, entries: [{id, news | error}], next_cursor}.';

create or replace function luma.apply_entry(run luma.pull_runs, entry jsonb)
returns text language plpgsql set search_path = '' as $$
begin
  return case
    when run.phase = 'guests' then luma.apply_listed_guest(run.guests_of[1], entry -> 'news', run.asked_at)
    else luma.apply_listed_event(run.calendar, entry -> 'news', run.asked_at, case run.phase when 'events' then 'list' else 'read' end)
  end;
end
$$;
comment on function luma.apply_entry(luma.pull_runs, jsonb) is 'Applies one event or guest of a page, and answers what became of it.';

create or replace function luma.counted(run luma.pull_runs, entry jsonb, became text)
returns luma.pull_runs language plpgsql set search_path = '' as $$
begin
  if run.phase = 'guests' then
    run.guests := run.guests + 1;
  elsif run.phase = 'events' or run.luma_event_id is not null then
    run.events := run.events + 1;
  end if;
  if became in ('inserted', 'adopted') then
    run.inserted := run.inserted + 1;
  elsif became in ('updated', 'linked', 'cancelled', 'external') then
    run.updated := run.updated + 1;
  elsif became = 'to be read' then
    run.to_read := run.to_read + 1;
  elsif run.phase <> 'details' or run.luma_event_id is not null then
    run.unchanged := run.unchanged + 1;
  end if;
  if run.phase = 'events' and became in ('inserted', 'adopted', 'updated') and not (run.is_dry and became <> 'updated') then
    run.details := run.details || (entry ->> 'id');
  elsif run.phase = 'details' and not run.is_dry and became <> 'to be read' then
    perform luma.note_read(l.event_id, run.asked_at) from luma.event_links l where l.luma_event_id = entry ->> 'id';
  end if;
  return run;
end
$$;
comment on function luma.counted(luma.pull_runs, jsonb, text) is 'The run with one entry more applied, and with what follows from that.';

create or replace function luma.read_later(run luma.pull_runs, entry jsonb)
returns boolean language plpgsql set search_path = '' as $$
declare
  link luma.event_links;
  guest luma.guests;
begin
  if run.phase = 'guests' then
    select * into guest from luma.guests g
    where g.event_id = run.guests_of[1] and g.email = luma.guest_address(entry -> 'news');
    if guest.id is null then
      return false;
    end if;
    update luma.guests g set look = true where g.id = guest.id;
    return luma.try_enqueue('guest', guest.id, 4, guest.event_id);
  end if;
  update luma.event_links l set look = true where l.luma_event_id = entry ->> 'id' returning * into link;
  return link.event_id is not null and luma.try_enqueue('event', link.event_id, 4, link.event_id);
end
$$;
comment on function luma.read_later(luma.pull_runs, jsonb) is
  'Leaves an entry whose row is locked to the drain. False when nothing is known of it, or its outbox row is locked too.';

create or replace function luma.applied_entries(run luma.pull_runs)
returns luma.pull_runs language plpgsql set search_path = '' as $$
declare
  -- The app's rows are locked for as long as this lasts.
  enough timestamptz := clock_timestamp() + interval '50 milliseconds';
  entry jsonb;
  told text;
  became text;
begin
  while jsonb_array_length(run.entries) > 0 and clock_timestamp() < enough loop
    entry := run.entries -> 0;
    if run.phase <> 'guests' and not run.is_dry and entry #>> '{news,slug}' is not null then
      -- Our own, whose create was never answered. Not taken back when the rest has to wait.
      perform luma.link_created_event(run.calendar, entry #>> '{news,slug}', entry ->> 'id');
    end if;
    begin
      if entry ? 'error' then
        run := luma.with_problem(run, concat_ws(': ', entry ->> 'id', entry ->> 'error'));
      else
        became := case when run.is_dry then luma.rehearse_entry(run, entry) else luma.apply_entry(run, entry) end;
        run := luma.counted(run, entry, became);
      end if;
    exception
      when sqlstate 'LM001' or lock_not_available or deadlock_detected or serialization_failure then
        run.tries := run.tries + 1;
        exit when run.tries < 40;
        -- The app, or a call of ours, has it for long: it is read when that is over.
        if not run.is_dry and luma.read_later(run, entry) then
          run.to_read := run.to_read + 1;
        else
          run := luma.with_problem(run, format('%s is being written by the app for long.', entry ->> 'id'));
        end if;
      when others then
        -- One that cannot be applied stops none of the others.
        get stacked diagnostics told = message_text;
        run := luma.with_problem(run, format('%s: %s', entry ->> 'id', told));
    end;
    run.tries := 0;
    run.entries := run.entries - 0;
  end loop;
  return run;
end
$$;
comment on function luma.applied_entries(luma.pull_runs) is 'Applies some of what is left of the page, for a moment.';

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
  update luma.bell b set pull_rung_at = null where b.pull_rung_at is not null;
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
