-- Entries: what was read of an event or a guest is applied, one by one, for a moment at a time.

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
      begin
        -- Our own, whose create was never answered. Not taken back when the rest has to wait.
        perform luma.link_created_event(run.calendar, entry #>> '{news,slug}', entry ->> 'id');
      exception when others then
        -- The drain finds it by the slug as well.
        raise warning 'luma: % was not linked: %', entry ->> 'id', sqlerrm;
      end;
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

select luma.restrict_access();
