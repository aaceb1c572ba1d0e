-- What admins call in SQL.

create or replace function luma.backfill()
returns integer language sql volatile set search_path = '' as $$
  select count(*)::integer from luma.diverged_events() d where luma.try_enqueue('event', d, 4)
$$;
comment on function luma.backfill() is
  'Enqueues every approved, coming event that Luma does not have as it is, below live traffic. Answers how many. Can be repeated.';

create or replace function luma.set_mode(mode text)
returns text language plpgsql set search_path = '' as $$
begin
  if set_mode.mode is null or set_mode.mode not in ('off', 'dry_run', 'live') then
    raise exception 'luma.set_mode: the mode is off, dry_run or live, not %', coalesce(quote_literal(set_mode.mode), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  update luma.settings s set mode = set_mode.mode, updated_at = now() where s.id;
  if set_mode.mode <> 'off' then
    perform luma.backfill();
    -- For what has waited since before; what backfill enqueued rings by itself.
    perform luma.tick();
  end if;
  return set_mode.mode;
end
$$;
comment on function luma.set_mode(text) is
  'off: nothing is sent, changes wait in the outbox. dry_run: luma.attempts tells what would be sent. live: everything is sent, what waited first.';

create or replace function luma.check_calendar(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  if not exists (select from public.calendars c where c.luma_key = check_calendar.calendar) then
    raise exception 'luma: there is no calendar %', coalesce(quote_literal(calendar), 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'One of: ' || (select coalesce(string_agg(c.luma_key, ', ' order by c.luma_key), '(none has a luma_key)') from public.calendars c where c.luma_key is not null);
  end if;
end
$$;
comment on function luma.check_calendar(text) is 'Raises, naming the calendars there are, unless this is one of them.';

create or replace function luma.pause(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.check_calendar(calendar);
  perform luma.pause_calendar(calendar, 'infinity', 'admin');
end
$$;
comment on function luma.pause(text) is 'Makes no more calls for this calendar until luma.resume(). Jobs are kept.';

create or replace function luma.resume(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.check_calendar(calendar);
  update luma.calendar_state s
  set paused_until = null, paused_by = null, stopped_at = null, problem = null, updated_at = now()
  where s.luma_key = resume.calendar;
  perform luma.tick();
end
$$;
comment on function luma.resume(text) is 'Calls for this calendar go on: after luma.pause(), or after a refused key was replaced.';

create or replace function luma.retry(entity_id uuid default null)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer;
begin
  update luma.sync_outbox o
  set dead_at = null, attempts = 0, crashes = 0, due_at = now(), wake = true
  where o.version > o.done_version and o.lease is null
    and case when retry.entity_id is null then o.dead_at is not null else o.entity_id = retry.entity_id end;
  get diagnostics revived = row_count;
  if revived = 0 and retry.entity_id is not null then
    raise exception 'luma.retry: nothing of % waits to be sent', retry.entity_id
      using errcode = 'no_data_found', hint = 'See luma.dead_letters for what can be retried, luma.event_status for what happened to an event.';
  end if;
  return revived;
end
$$;
comment on function luma.retry(uuid) is
  'Tries again, now: one event or RSVP by its id, or every dead letter. Answers how many.';
