-- What a pull reads, and how often: calls go where something may have changed unheard.

create or replace function luma.guests_read_every(starts_at timestamptz)
returns interval language sql stable set search_path = ''
return case
  when starts_at < now() + interval '2 days' then interval '0'
  when starts_at < now() + interval '7 days' then interval '1 hour'
  when starts_at < now() + interval '30 days' then interval '6 hours'
  else interval '1 day'
end;
comment on function luma.guests_read_every(timestamptz) is
  'How often the guests of an event are read though nothing says that they changed: webhooks tell changes, so this only bounds what a lost one can cost.';

create or replace function luma.guests_due(run luma.pull_runs, event public.canonical_events, link luma.event_links)
returns boolean language sql stable set search_path = '' as $$
  select (run).is_full or r.guests_read_at is null
    -- Webhooks were missed since.
    or r.guests_read_at < (select s.missed_at from luma.calendar_state s where s.luma_key = (link).calendar)
    or r.guests_read_at + luma.guests_read_every((event).starts_at) <= now()
    -- Something was told or heard since: where there is movement, some of it may have been lost.
    or (link).heard_at > r.guests_read_at or (link).told_at > r.guests_read_at
    or exists (
      select from luma.guests g where g.event_id = (event).id and greatest(g.heard_at, g.synced_at) > r.guests_read_at
    )
  from (select) one left join luma.reads r on r.event_id = (event).id
$$;
comment on function luma.guests_due(luma.pull_runs, public.canonical_events, luma.event_links) is
  'True when a run has to read the guest list of an event: all of them when it was asked for, those that never were, soon, busy and just changed ones, and the others now and then.';

create or replace function luma.coming_events(run luma.pull_runs)
returns table (event public.canonical_events, link luma.event_links) language sql stable set search_path = '' as $$
  select e, l
  from luma.event_links l join public.canonical_events e on e.id = l.event_id
  where l.calendar = (run).calendar and l.luma_event_id is not null and not luma.is_over(e)
    and ((run).luma_event_id is null or l.luma_event_id = (run).luma_event_id)
$$;
comment on function luma.coming_events(luma.pull_runs) is 'The events on Luma that a run is about and that are not over.';

create or replace function luma.plan_details(run luma.pull_runs)
returns text[] language sql stable set search_path = '' as $$
  select array(
    select (c.link).luma_event_id
    from luma.coming_events(run) c
    left join luma.reads r on r.event_id = (c.event).id
    where (
      -- Not listed: gone, moved out of sight, or made private. That one was read lately is no reason to hurry again.
      (run).is_whole and (c.link).luma_event_id <> all ((run).seen)
      and greatest((c.event).starts_at, ((c.link).luma_base ->> 'start_at')::timestamptz) >= (run).listed_after
      and ((run).is_full or r.read_at is null or r.read_at < now() - interval '1 hour')
      -- It may be younger than the pages that were read.
      and not coalesce((c.link).told_at >= (run).started_at, false)
    ) or (
      -- Lists tell no descriptions.
      (run).is_full and coalesce(r.read_at < (run).requested_at, true)
    ) or (
      -- Nobody has read it yet: the pull that brought it could not.
      r.read_at is null and (c.event).source_type = 'luma'
    ) or coalesce(r.read_at, (c.link).created_at) < (
      select s.missed_at from luma.calendar_state s where s.luma_key = (run).calendar
    )
    order by (c.event).starts_at
  )
$$;
comment on function luma.plan_details(luma.pull_runs) is
  'Luma events that a run has to read one by one after it has listed them: those that are missing, and those whose description may have changed unheard.';

create or replace function luma.plan_guests(run luma.pull_runs)
returns uuid[] language sql stable set search_path = '' as $$
  select array(
    select (c.event).id from luma.coming_events(run) c
    where luma.guests_due(run, c.event, c.link)
    order by (c.event).starts_at
  )
$$;
comment on function luma.plan_guests(luma.pull_runs) is 'Events whose guest lists a run has to read, the next one to begin first.';

create or replace function luma.start_of_list(calendar text)
returns timestamptz language sql stable set search_path = '' as $$
  select least(
    now() - make_interval(days => (select s.pull_lookback_days from luma.settings s)),
    (
      select min(e.starts_at) - interval '1 second'
      from luma.event_links l join public.canonical_events e on e.id = l.event_id
      where l.calendar = start_of_list.calendar and l.luma_event_id is not null and not luma.is_over(e)
    )
  )
$$;
comment on function luma.start_of_list(text) is 'From which start on events are listed, so that those that are running are among them.';

create or replace function luma.note_missed(calendar text)
returns void language plpgsql set search_path = '' as $$
declare
  noted timestamptz := coalesce((select s.missed_at from luma.calendar_state s where s.luma_key = note_missed.calendar), '-infinity');
  heard timestamptz := luma.heard_from(calendar);
  is_missed boolean;
begin
  is_missed :=
    -- A pull found what no webhook has told since, though it had its time.
    exists (
      select from luma.event_links l
      where l.calendar = note_missed.calendar and l.pulled_at > noted and l.pulled_at < clock_timestamp() - interval '30 seconds'
        and coalesce(l.heard_at < l.pulled_at, true)
    ) or exists (
      select from luma.guests g join luma.event_links l on l.event_id = g.event_id
      where l.calendar = note_missed.calendar and g.pulled_at > noted and g.pulled_at < clock_timestamp() - interval '30 seconds'
        and coalesce(g.heard_at < g.pulled_at, true)
    )
    -- What we tell Luma comes back as a webhook, where there are any.
    or exists (
      select from luma.event_links l
      where l.calendar = note_missed.calendar and l.told_at > greatest(noted, heard + interval '10 seconds', clock_timestamp() - interval '1 day')
        and l.told_at < clock_timestamp() - interval '1 minute' and heard is not null
    )
    -- Nobody was there: Luma gives a delivery up after a while.
    or (
      select max(r.started_at) > noted and max(r.ended_at) < clock_timestamp() - interval '40 minutes'
        and (select s.scheduled_pulls from luma.settings s)
      from luma.pull_runs r
      where r.calendar = note_missed.calendar and r.luma_event_id is null and not r.is_dry and r.outcome = 'done'
    );
  if is_missed then
    insert into luma.calendar_state as s (luma_key, missed_at) values (note_missed.calendar, clock_timestamp())
    on conflict (luma_key) do update set missed_at = excluded.missed_at;
  end if;
end
$$;
comment on function luma.note_missed(text) is
  'Notes in luma.calendar_state.missed_at when webhooks were missed: then whatever was not read since has to be.';

select luma.restrict_access();
