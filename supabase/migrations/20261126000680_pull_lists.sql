-- Lists: a run's way through their pages, and what follows from the whole of one.

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
    elsif run.is_dry then
      perform luma.report_rsvps(run);
      if run.is_whole then
        perform luma.report_vanished(run);
      end if;
    end if;
    run.guests_of := run.guests_of[2:];
  end if;
  return luma.started_list(run);
end
$$;
comment on function luma.finished_list(luma.pull_runs) is 'The run after the last page of a list was applied.';

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

select luma.restrict_access();
