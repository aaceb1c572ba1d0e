-- What admins call leaves a trace in luma.admin_log, and says what there is when it was called with something else.

create or replace function luma.check_calendar(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  if not exists (select from public.calendars c where c.luma_key = check_calendar.calendar) then
    raise exception 'luma: there is no calendar %', coalesce(quote_literal(calendar), 'null')
      using errcode = 'invalid_parameter_value',
        hint = (
          select coalesce('One of: ' || string_agg(c.luma_key, ', ' order by c.luma_key) || '.', 'No row of public.calendars has a luma_key yet.')
          from public.calendars c where c.luma_key is not null
        );
  end if;
end
$$;

create or replace function luma.pause(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.check_calendar(calendar);
  perform luma.pause_calendar(calendar, 'infinity', 'admin');
  perform luma.log_admin('pause', jsonb_build_object('calendar', calendar));
end
$$;

create or replace function luma.resume(calendar text)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.check_calendar(calendar);
  perform luma.log_admin('resume', (
    select jsonb_build_object('calendar', calendar, 'was_paused_by', s.paused_by, 'problem', s.problem)
    from (select calendar as luma_key) c left join luma.calendar_state s on s.luma_key = c.luma_key
  ));
  update luma.calendar_state s
  set paused_until = null, paused_by = null, stopped_at = null, problem = null, updated_at = now()
  where s.luma_key = resume.calendar;
  perform luma.tick();
end
$$;

create or replace function luma.revive(entity_id uuid)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer;
begin
  update luma.sync_outbox o
  set dead_at = null, attempts = 0, crashes = 0, due_at = now(), wake = true
  where (o.entity, o.entity_id) in (
    select s.entity, s.entity_id from luma.sync_outbox s
    where s.version > s.done_version and s.lease is null
      and case when revive.entity_id is null then s.dead_at is not null else s.entity_id = revive.entity_id end
    -- One that is locked is being changed just now, which tries it again as well.
    for update skip locked
  );
  get diagnostics revived = row_count;
  return revived;
end
$$;
comment on function luma.revive(uuid) is 'Makes a waiting or dead job due now, null: every dead one. Answers how many.';

create or replace function luma.retry(entity_id uuid default null)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer := luma.revive(entity_id);
begin
  if entity_id is null then
    revived := revived + luma.retry_deliveries(null);
  elsif revived = 0 then
    raise exception 'luma.retry: nothing of % waits to be sent', entity_id
      using errcode = 'no_data_found', hint = 'See luma.dead_letters for what can be retried, luma.event_status and luma.rsvp_status for what happened to an event or an RSVP.';
  end if;
  perform luma.log_admin('retry', jsonb_build_object('id', entity_id, 'revived', revived));
  return revived;
end
$$;

create or replace function luma.retry(webhook_id text)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer;
begin
  -- An id in quotes comes here, whatever it is the id of.
  if webhook_id is null or webhook_id ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
    return luma.retry(webhook_id::uuid);
  end if;
  revived := luma.retry_deliveries(webhook_id);
  if revived = 0 then
    raise exception 'luma.retry: there is no webhook delivery %', quote_literal(webhook_id)
      using errcode = 'no_data_found', hint = 'See luma.dead_letters and luma.deliveries; an event or RSVP is retried by its id, a uuid.';
  end if;
  perform luma.log_admin('retry', jsonb_build_object('id', webhook_id, 'revived', revived));
  return revived;
end
$$;

create or replace function luma.pull_now(event uuid)
returns integer language sql set search_path = ''
return luma.pull_now(null, event::text);
comment on function luma.pull_now(uuid) is 'Reads one event now, with its guests: luma.pull_now(event => (select id from canonical_events where …)).';

create or replace function luma.clean_up_admin_log()
returns void language sql set search_path = '' as $$
  delete from luma.admin_log l where l.at < now() - make_interval(days => (select s.admin_log_days from luma.settings s))
$$;
comment on function luma.clean_up_admin_log() is 'Trims luma.admin_log to luma.settings.admin_log_days. Run by pg_cron.';

select cron.schedule('luma-clean-up', '17 * * * *', 'select luma.clean_up(), luma.clean_up_pulls(), luma.clean_up_admin_log()');

select luma.restrict_access();
