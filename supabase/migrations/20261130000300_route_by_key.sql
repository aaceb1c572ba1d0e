-- What has just come gets its calendar with one look at each event and one update for each calendar.
--
-- RSVPs and guests were joined to their events, and the planner chose how: with statistics from before a burst it
-- compared each of 2,000 jobs with each of 2,000 events, and a drain could not start within the time of a call. Events
-- were updated one at a time. Now nothing is joined: the worst that old statistics do is that the update reads all jobs
-- of a kind once. And a claim goes on from where the last one was here, too.

create or replace function luma.destination(entity text, event_id uuid)
returns text language plpgsql stable set search_path = '' as $$
declare
  link luma.event_links;
  place record;
begin
  select * into link from luma.event_links l where l.event_id = destination.event_id;
  if entity = 'event' then
    -- Of a row that is gone there is no place: any calendar will do to find that nothing is left to do.
    select e.lat, e.lng into place from public.canonical_events e where e.id = destination.event_id;
    return coalesce(link.calendar, luma.route_event(place.lat, place.lng));
  end if;
  -- A guest is looked up as long as Luma has the event.
  return case when link.luma_event_id is not null and (entity = 'guest' or luma.takes_guests(event_id)) then link.calendar end;
end
$$;
comment on function luma.destination(text, uuid) is
  'luma_key of the calendar for jobs of this kind and event; null when none takes them.';

create or replace function luma.unrouted_jobs(entity text, most integer)
returns setof luma.sync_outbox language plpgsql set search_path = '' as $$
begin
  return query
    select j.*
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      select * from luma.due_jobs d
      where d.calendar is null and d.entity = unrouted_jobs.entity and d.priority = p.priority
        and d.due_at >= luma.due_floor('unrouted ' || unrouted_jobs.entity, p.priority)
      order by d.due_at limit most
      for update skip locked
    ) j
    limit most;
end
$$;
comment on function luma.unrouted_jobs(text, integer) is
  'Locks the most urgent due jobs of a kind that have no calendar yet, without those that somebody else has locked.';

create or replace function luma.route_jobs()
returns void language plpgsql set search_path = '' as $$
declare
  kind text;
  jobs luma.sync_outbox[];
  part record;
begin
  foreach kind in array '{event,rsvp,guest}'::text[] loop
    jobs := array(select j from luma.unrouted_jobs(kind, case kind when 'event' then 100 else 2000 end) j);
    for part in
      select e.calendar, array_agg(id) as ids
      from (
        select luma.destination(kind, j.event_id) as calendar, array_agg(j.entity_id) as ids from unnest(jobs) j group by j.event_id
      ) e
      cross join unnest(e.ids) id
      group by e.calendar
    loop
      update luma.sync_outbox o
      set calendar = part.calendar,
          -- Done until their event opens (see luma.rechecks).
          done_version = case when part.calendar is null and kind <> 'event' then o.version else o.done_version end,
          due_at = case when part.calendar is null and kind = 'event' then now() + interval '1 minute' else o.due_at end,
          last_error = case
            when kind <> 'event' then case when part.calendar is not null then o.last_error end
            when part.calendar is null then
              'No calendar takes this event: set luma_is_default on a row of public.calendars that has a luma_key.'
          end
      where o.entity = kind and o.entity_id = any (part.ids);
    end loop;
    perform luma.raise_floor('unrouted ' || kind, j.priority, max(j.due_at)) from unnest(jobs) j group by j.priority;
  end loop;
end
$$;
comment on function luma.route_jobs() is
  'Gives due jobs that have none their calendar. RSVPs and guests whose event takes none have nothing to do until it opens, so they are done.';

drop function if exists luma.route_rsvps();

select luma.restrict_access();
