-- Asking for a pull: by pg_cron, by an admin, by going live, by what an adoption leaves open. A request is a row, so a
-- lost ring loses nothing: luma.tick() rings again.

alter table luma.bell
  add column if not exists pull_rung_at timestamptz,
  add column if not exists pull_unanswered integer not null default 0;
comment on column luma.bell.pull_rung_at is 'When luma-pull was last rung for without having started yet.';
comment on column luma.bell.pull_unanswered is 'Rings since luma-pull last started: the more, the less often it is rung for.';

create or replace function luma.waiting_pulls()
returns setof luma.pull_runs language sql stable set search_path = '' as $$
  select r.* from luma.pull_runs r
  where r.ended_at is null and r.due_at <= clock_timestamp() and luma.mode() <> 'off'
    -- Never begun, handed on, or left by a function that died.
    and (r.lease is null or r.alive_until < clock_timestamp())
    and luma.calendar_ready(r.calendar)
    and (r.started_at is not null or not exists (
      select from luma.pull_runs a
      where a.calendar = r.calendar and a.luma_event_id is not distinct from r.luma_event_id
        and a.started_at is not null and a.ended_at is null
    ))
$$;
comment on function luma.waiting_pulls() is 'Pulls that a function may begin, or go on with, now: of each calendar, or event, one at a time.';

create or replace function luma.ring_pull()
returns void language plpgsql set search_path = '' as $$
declare
  functions_url text := luma.secret('luma_functions_url');
  sync_secret text := luma.secret('luma_sync_secret');
begin
  -- Without the two luma.ring() says what is missing. And a ring without an answer counts as lost after five seconds,
  -- later after more: the function may not be there.
  if functions_url is null or sync_secret is null
    or exists (select from luma.bell b where b.pull_rung_at > clock_timestamp() - interval '5 seconds' * 2 ^ least(b.pull_unanswered - 1, 6))
  then
    return;
  end if;
  perform net.http_post(
    url := rtrim(functions_url, '/') || '/luma-pull',
    body := '{}'::jsonb,
    headers := jsonb_build_object('content-type', 'application/json', 'x-luma-sync-secret', sync_secret),
    timeout_milliseconds := 5000
  );
  update luma.bell b set pull_rung_at = clock_timestamp(), pull_unanswered = b.pull_unanswered + 1
  where b.id in (select c.id from luma.bell c for update skip locked);
end
$$;
comment on function luma.ring_pull() is 'Has pg_net call luma-pull after this transaction commits, unless it was just rung for.';

create or replace function luma.pull_problem()
returns text language sql stable set search_path = '' as $$
  select format('luma-pull was rung for %s times without starting: is it deployed (supabase functions deploy)?', b.pull_unanswered)
  from luma.bell b where b.pull_unanswered >= 3
$$;
comment on function luma.pull_problem() is 'Why nothing is pulled, as far as the database can tell, or null.';

create or replace function luma.request_pull(calendar text, luma_event_id text, is_full boolean, is_dry boolean, is_asked boolean)
returns void language sql set search_path = ''
begin atomic
  insert into luma.pull_runs as r (calendar, luma_event_id, is_full, is_dry, is_asked)
  values (request_pull.calendar, request_pull.luma_event_id, request_pull.is_full, request_pull.is_dry or luma.mode() = 'dry_run', request_pull.is_asked)
  on conflict (calendar, coalesce(luma_event_id, ''), is_dry) where started_at is null and ended_at is null
  do update set is_full = r.is_full or excluded.is_full, is_asked = r.is_asked or excluded.is_asked;
end;
comment on function luma.request_pull(text, text, boolean, boolean, boolean) is
  'Asks for a pull. One that waits to begin becomes this one too.';

create or replace function luma.ask_pull(calendar text, luma_event_id text)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.request_pull(calendar, luma_event_id, is_full => true, is_dry => false, is_asked => true);
  perform luma.ring_pull();
end
$$;
comment on function luma.ask_pull(text, text) is 'Asks for a pull of one event with its guests, and rings for it.';

create or replace function luma.ask_pulls(calendar text, event text, is_dry boolean)
returns integer language plpgsql set search_path = '' as $$
declare
  link luma.event_links;
  asked integer := 0;
  key text;
begin
  if luma.mode() = 'off' then
    raise exception 'luma: the mode is off, so Luma is not asked for anything'
      using errcode = 'object_not_in_prerequisite_state', hint = 'select luma.set_mode(''dry_run''); compares the two sides and writes nothing.';
  end if;
  -- Whoever asks has perhaps mended what kept it from starting.
  update luma.bell b set pull_rung_at = null, pull_unanswered = 0 where b.id and b.pull_unanswered > 1;
  if calendar is not null then
    perform luma.check_calendar(calendar);
  end if;
  if event is null then
    for key in select c.luma_key from public.calendars c where c.luma_key is not null and c.luma_key = coalesce(ask_pulls.calendar, c.luma_key) loop
      perform luma.request_pull(key, null, is_full => true, is_dry => ask_pulls.is_dry, is_asked => true);
      asked := asked + 1;
    end loop;
    return asked;
  end if;
  select * into link from luma.event_links l
  where l.luma_event_id is not null and event in (l.luma_event_id, l.event_id::text);
  if link.calendar <> calendar then
    raise exception 'luma: event % is on calendar %, not on %', quote_literal(event), link.calendar, calendar
      using errcode = 'invalid_parameter_value', hint = 'Leave the calendar out: the event''s own is known.';
  end if;
  if link.event_id is null and (event !~ '^evt-' or calendar is null) then
    raise exception 'luma: there is no event % on Luma that is known here', quote_literal(event)
      using errcode = 'invalid_parameter_value',
        hint = 'Give the id of a row of canonical_events that luma.event_status shows to be on Luma, or Luma''s id (evt-…) together with its calendar.';
  end if;
  perform luma.request_pull(
    coalesce(link.calendar, calendar), coalesce(link.luma_event_id, event), is_full => true, is_dry => ask_pulls.is_dry, is_asked => true
  );
  return 1;
end
$$;
comment on function luma.ask_pulls(text, text, boolean) is 'Asks for pulls, and rings for nobody: luma.pull_now(), luma.reconcile() and luma_pull_request() share this.';

create or replace function luma.pull_now(calendar text default null, event text default null)
returns integer language plpgsql set search_path = '' as $$
declare
  asked integer := luma.ask_pulls(calendar, event, is_dry => false);
begin
  perform luma.log_admin('pull_now', jsonb_build_object('calendar', calendar, 'event', event, 'asked', asked));
  perform luma.ring_pull();
  return asked;
end
$$;
comment on function luma.pull_now(text, text) is
  'Reads Luma now, all of it: every calendar, one of them (luma_key), or one event (id of its row, or Luma''s evt-… id). Answers how many pulls were asked for; luma.pulls shows what becomes of them.';

create or replace function luma.reconcile(dry boolean default true, calendar text default null)
returns integer language plpgsql set search_path = '' as $$
declare
  asked integer := luma.ask_pulls(calendar, null, is_dry => coalesce(dry, true));
begin
  perform luma.log_admin('reconcile', jsonb_build_object('dry', coalesce(dry, true), 'calendar', calendar, 'asked', asked));
  perform luma.ring_pull();
  return asked;
end
$$;
comment on function luma.reconcile(boolean, text) is
  'Compares both sides, field by field and guest by guest. dry: luma.drift tells what differs, which side is ahead and what would be done, and nothing else is written. Not dry: repairs it, as luma.pull_now() does. Answers how many pulls were asked for; luma.pulls shows when they are over.';

create or replace function public.luma_pull_request(calendar text default null, event text default null, dry boolean default false)
returns integer language sql security definer set search_path = ''
return luma.ask_pulls(calendar, event, is_dry => dry);
comment on function public.luma_pull_request(text, text, boolean) is
  'luma-pull: asks for a pull, as luma.pull_now() does (dry: as luma.reconcile()). It begins with luma_pull_begin().';

create or replace function luma.schedule_pull()
returns void language plpgsql set search_path = '' as $$
begin
  if luma.mode() = 'off' or not (select s.scheduled_pulls from luma.settings s) then
    return;
  end if;
  perform luma.request_pull(c.luma_key, null, is_full => false, is_dry => false, is_asked => false)
  from public.calendars c
  where c.luma_key is not null and not exists (
    -- The last one is still under way: it goes on rather than being followed at once.
    select from luma.pull_runs r
    where r.calendar = c.luma_key and r.luma_event_id is null and r.started_at is not null and r.ended_at is null
  );
  perform luma.ring_pull();
end
$$;
comment on function luma.schedule_pull() is 'Asks for a pull of every calendar. Run by pg_cron every 15 minutes.';

create or replace function luma.tick()
returns void language plpgsql set search_path = '' as $$
begin
  if luma.has_claimable() then
    perform luma.kick();
  end if;
  if exists (select from luma.waiting_pulls()) then
    perform luma.ring_pull();
  end if;
end
$$;
comment on function luma.tick() is
  'Rings for the drain when something is due (retries, expired leases, lost rings), and for the pull when one waits or was left by its function. Run by pg_cron.';

select cron.schedule('luma-pull', '*/15 * * * *', 'select luma.schedule_pull()');

create or replace view luma.pulls as
select r.id, r.calendar, e.title, r.luma_event_id,
  case
    when r.ended_at is not null then r.outcome
    when r.started_at is null then 'waiting'
    when r.lease is not null and r.alive_until > now() then 'running'
    else 'to be continued'
  end as state,
  case when r.is_dry then 'compare' when r.is_full then 'everything' else 'what may have changed' end as reads,
  case when r.is_asked then 'asked' else 'schedule' end as reason,
  r.phase, r.requested_at, r.started_at, r.ended_at, coalesce(r.ended_at, now()) - r.started_at as took,
  r.events, r.guests, r.events + r.guests as processed, r.inserted, r.updated, r.unchanged, r.to_read, r.errors, r.calls, r.problems
from luma.pull_runs r
left join luma.event_links l on l.luma_event_id = r.luma_event_id
left join public.canonical_events e on e.id = l.event_id;
comment on view luma.pulls is
  'Each pull: what it was to read, how far it is, and what it found. to_read was left to the drain; problems are the first errors in words.';

create or replace function luma.clean_up_pulls()
returns void language sql set search_path = ''
begin atomic
  delete from luma.pull_runs r
  where r.ended_at < now() - make_interval(days => (select s.log_days from luma.settings s));
  delete from luma.reads r where not exists (select from luma.event_links l where l.event_id = r.event_id);
end;
comment on function luma.clean_up_pulls() is 'Trims what pulls have left to luma.settings.log_days. Run by pg_cron.';

select cron.schedule('luma-clean-up', '17 * * * *', 'select luma.clean_up(), luma.clean_up_pulls()');

select luma.restrict_access();
