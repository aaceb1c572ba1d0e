-- Comparing without writing: everything that a pull would do is done, looked at, and taken back. So the report is by
-- the same rules as the repair, and shows exactly what it would write.

create table if not exists luma.drift (
  id bigint generated always as identity primary key,
  run_id uuid not null,
  noticed_at timestamptz not null default clock_timestamp(),
  calendar text not null,
  entity text not null check (entity in ('event', 'rsvp', 'guest')),
  event_id uuid,
  luma_event_id text,
  title text,
  who text,
  field text not null,
  app_value jsonb,
  luma_value jsonb,
  ahead text not null check (ahead in ('app', 'luma', 'both')),
  action text not null
);
alter table luma.drift enable row level security;
create index if not exists drift_calendar on luma.drift (calendar);
comment on table luma.drift is
  'What differs between the two sides, as the last comparison of each calendar found it (luma.reconcile(), or any pull while the mode is dry_run). Names and addresses of guests are in it.';
comment on column luma.drift.event_id is 'The row in canonical_events; of a Luma event that is new here null.';
comment on column luma.drift.who is 'Of an RSVP the user''s id, of a guest who is no user the e-mail address.';
comment on column luma.drift.field is 'Column of the app''s row; * is all of it.';
comment on column luma.drift.app_value is 'What the app''s row says. Null: there is none.';
comment on column luma.drift.luma_value is 'What Luma says, in the app''s words; where the app alone has changed, what both said before.';
comment on column luma.drift.ahead is 'Which side has changed since both agreed.';
comment on column luma.drift.action is 'What a pull, or the drain, would do.';

create or replace function luma.report(run luma.pull_runs, line luma.drift)
returns void language sql set search_path = '' as $$
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, who, field, app_value, luma_value, ahead, action)
  values ((run).id, (run).calendar, (line).entity, (line).event_id, (line).luma_event_id, (line).title, (line).who, (line).field,
          (line).app_value, (line).luma_value, (line).ahead, (line).action);
$$;
comment on function luma.report(luma.pull_runs, luma.drift) is 'Writes a line of the report.';

create or replace function luma.changed_columns(before jsonb, after jsonb, ignored text[])
returns table (field text, app_value jsonb, luma_value jsonb) language sql immutable set search_path = '' as $$
  select a.key, before -> a.key, a.value
  from jsonb_each(after) a
  where a.value is distinct from before -> a.key and a.key <> all (ignored)
$$;
comment on function luma.changed_columns(jsonb, jsonb, text[]) is 'The columns that were written.';

create or replace function luma.event_lines(before public.canonical_events, luma_id text, conflicts_from bigint)
returns setof luma.drift language plpgsql set search_path = '' as $$
declare
  line luma.drift;
  after public.canonical_events;
  c record;
begin
  select e.* into after from luma.event_links l join public.canonical_events e on e.id = l.event_id where l.luma_event_id = luma_id;
  if after.id is null then
    -- Gone: its link has been forgotten.
    select * into after from public.canonical_events e where e.id = before.id;
  end if;
  line.entity := 'event';
  line.event_id := before.id;
  line.luma_event_id := luma_id;
  line.title := coalesce(before.title, after.title);
  if before.id is null and after.id is not null then
    line.field := '*';
    line.luma_value := luma.event_state(after);
    line.ahead := 'luma';
    line.action := 'a row is inserted';
    return next line;
    return;
  end if;
  for c in
    select n.field, n.app_value, n.luma_value, n.winner from luma.conflicts n where n.id > conflicts_from and n.entity = 'event' order by n.id
  loop
    line.field := c.field;
    line.app_value := c.app_value;
    line.luma_value := c.luma_value;
    line.ahead := 'both';
    line.action := case c.winner when 'app' then 'the app''s value is sent, Luma''s is kept in luma.conflicts' else 'Luma''s value is written, the app''s is kept in luma.conflicts' end;
    return next line;
  end loop;
  for c in
    select * from luma.changed_columns(to_jsonb(before), to_jsonb(after), '{updated_at,luma_synced_at,luma_sync_status,raw_payload,geocode_status}') n
    where not exists (
      select from luma.conflicts k where k.id > conflicts_from and k.entity = 'event' and k.app_value ? n.field
    )
  loop
    line.field := c.field;
    line.app_value := c.app_value;
    line.luma_value := c.luma_value;
    line.ahead := 'luma';
    line.action := case when c.field = 'luma_event_id' and c.luma_value <> 'null' then 'the row is linked with the Luma event' else 'the row is written' end;
    return next line;
  end loop;
end
$$;
comment on function luma.event_lines(public.canonical_events, text, bigint) is
  'What applying an event has just done to its row (before: as it was).';

create or replace function luma.guest_lines(run luma.pull_runs, news jsonb, rows_before jsonb, conflicts_from bigint)
returns setof luma.drift language plpgsql set search_path = '' as $$
declare
  line luma.drift;
  event public.canonical_events;
  rsvp public.event_rsvps;
  c record;
begin
  select * into event from public.canonical_events e where e.id = run.guests_of[1];
  line.event_id := event.id;
  line.luma_event_id := news ->> 'luma_event_id';
  line.title := event.title;
  line.entity := 'rsvp';
  for rsvp in
    select r.* from luma.guest_links l join public.event_rsvps r on r.id = l.rsvp_id
    where l.event_id = event.id and l.email = luma.guest_address(news)
  loop
    line.who := rsvp.user_id;
    if rows_before -> rsvp.id::text is null then
      line.field := '*';
      line.luma_value := jsonb_build_object('status', rsvp.status, 'checked_in', rsvp.checked_in, 'rsvp_type', rsvp.rsvp_type);
      line.ahead := 'luma';
      line.action := 'an RSVP is inserted';
      return next line;
    end if;
    for c in
      select * from luma.changed_columns(rows_before -> rsvp.id::text, to_jsonb(rsvp), '{updated_at,luma_synced_at,luma_guest_id}')
      where rows_before -> rsvp.id::text is not null
    loop
      line.field := c.field;
      line.app_value := c.app_value;
      line.luma_value := c.luma_value;
      line.ahead := case when exists (select from luma.conflicts k where k.id > conflicts_from and k.entity_id = rsvp.id) then 'both' else 'luma' end;
      line.action := 'the RSVP is written';
      return next line;
    end loop;
    for c in select k.app_value, k.luma_value from luma.conflicts k where k.id > conflicts_from and k.entity_id = rsvp.id and k.winner = 'app' loop
      line.field := 'status';
      line.app_value := c.app_value;
      line.luma_value := c.luma_value;
      line.ahead := 'both';
      line.action := 'the app''s value is sent, Luma''s is kept in luma.conflicts';
      return next line;
    end loop;
    return;
  end loop;
  line.entity := 'guest';
  line.who := luma.guest_address(news);
  line.field := 'status';
  line.luma_value := news -> 'status';
  line.ahead := 'luma';
  line.action := 'is kept in luma.external_guests: nobody''s RSVP';
  return next line;
end
$$;
comment on function luma.guest_lines(luma.pull_runs, jsonb, jsonb, bigint) is
  'What applying a guest has just done to the RSVPs of its event (rows_before: as they were, by id).';

create or replace function luma.rehearse_entry(run luma.pull_runs, entry jsonb)
returns text language plpgsql set search_path = '' as $$
declare
  news jsonb := entry -> 'news';
  conflicts_from bigint := (select coalesce(max(c.id), 0) from luma.conflicts c);
  event public.canonical_events;
  rows_before jsonb;
  became text;
  lines luma.drift[];
  line luma.drift;
begin
  if run.phase = 'guests' then
    select jsonb_object_agg(r.id, to_jsonb(r)) into rows_before from public.event_rsvps r
    where r.event_id = run.guests_of[1] and (
      r.id in (select l.rsvp_id from luma.guest_links l where l.event_id = r.event_id and l.email = luma.guest_address(news))
      or r.user_id = (luma.match_user(news ->> 'email', news ->> 'phone')).user_id
    );
    rows_before := coalesce(rows_before, '{}');
  else
    select e.* into event from public.canonical_events e
    where e.id = (select l.event_id from luma.event_links l where l.luma_event_id = news ->> 'luma_event_id');
    if event.id is null then
      event := luma.adoptable_row(news);
    end if;
  end if;
  begin
    became := luma.apply_entry(run, entry);
    if became not in ('unchanged', 'over') then
      lines := case when run.phase = 'guests'
        then array(select l from luma.guest_lines(run, news, rows_before, conflicts_from) l)
        else array(select l from luma.event_lines(event, news ->> 'luma_event_id', conflicts_from) l)
      end;
    end if;
    -- All of it was to look at only.
    raise exception using errcode = 'LM002', message = 'rehearsed';
  exception when sqlstate 'LM002' then
    null;
  end;
  foreach line in array coalesce(lines, '{}') loop
    -- Of two readings of an event the later, whole one stands.
    delete from luma.drift d where d.run_id = run.id and d.luma_event_id = line.luma_event_id and d.entity = line.entity
      and d.who is not distinct from line.who and d.field = line.field;
    perform luma.report(run, line);
  end loop;
  return became;
end
$$;
comment on function luma.rehearse_entry(luma.pull_runs, jsonb) is
  'Applies an entry, writes down in luma.drift what that did, and takes it back.';

create or replace function luma.report_vanished(run luma.pull_runs)
returns void language sql set search_path = '' as $$
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, who, field, app_value, ahead, action)
  select (run).id, (run).calendar, 'guest', e.id, e.luma_event_id, e.title, g.email, 'status', to_jsonb(g.luma_base), 'luma',
    'is not on the guest list any more: the guest is read, and if Luma has nobody counts as having declined'
  from luma.guests g join public.canonical_events e on e.id = g.event_id
  where g.event_id = (run).guests_of[1] and g.luma_base <> 'declined'
    and not coalesce(g.luma_guest_id = any ((run).seen), false) and g.email <> all ((run).seen)
    and not luma.was_guest_sent_since(g, (run).listed_from);
$$;
comment on function luma.report_vanished(luma.pull_runs) is 'Reports guests whom a whole list did not show.';

create or replace function luma.report_app_side(run luma.pull_runs)
returns void language plpgsql set search_path = '' as $$
begin
  delete from luma.drift d
  where d.calendar = run.calendar and d.run_id <> run.id and (run.luma_event_id is null or d.luma_event_id = run.luma_event_id);
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, field, app_value, luma_value, ahead, action)
  select run.id, run.calendar, 'event', coalesce(e.id, l.event_id), l.luma_event_id, e.title, f.field,
    case when f.field = '*' then luma.event_state(e) else luma.event_state(e) -> f.field end, l.row_base -> f.field, 'app',
    case when e.id is null then 'the row is deleted: the Luma event is made private'
      when l.luma_event_id is null then 'the event is created on Luma' else 'the app''s value is sent' end
  from public.canonical_events e
  full join luma.event_links l on l.event_id = e.id
  cross join lateral unnest(case
    when l.luma_event_id is null or e.id is null then '{*}'::text[]
    when l.row_base is null then '{*}'
    else luma.changed_fields(case when e.submission_status = 'approved' then luma.event_state(e) else '{"shown": false}' end, l.row_base)
  end) f (field)
  where (e.id is null or not luma.is_over(e)) and luma.needs_push(e, l)
    and coalesce(l.calendar, luma.route_event(e.lat, e.lng)) = run.calendar
    and (run.luma_event_id is null or l.luma_event_id = run.luma_event_id)
    -- What Luma has changed too is told of already, with what becomes of it.
    and not exists (select from luma.drift d where d.run_id = run.id and d.event_id = coalesce(e.id, l.event_id) and d.entity = 'event' and d.ahead = 'both' and d.app_value ? f.field);
end
$$;
comment on function luma.report_app_side(luma.pull_runs) is
  'Ends a report: the events that the app is ahead of, and away with the lines of the report before.';

create or replace function luma.report_rsvps(run luma.pull_runs)
returns void language sql set search_path = '' as $$
  insert into luma.drift (run_id, calendar, entity, event_id, luma_event_id, title, who, field, app_value, luma_value, ahead, action)
  select (run).id, (run).calendar, 'rsvp', l.event_id, l.luma_event_id, e.title, n.user_id, 'status', to_jsonb(n.wanted), to_jsonb(n.agreed), 'app',
    case n.kind when 'add' then 'the guest is added on Luma' else 'the app''s status is sent' end
  from luma.event_links l
  join public.canonical_events e on e.id = l.event_id
  cross join lateral luma.rsvps_of_event(l.event_id) i (id)
  cross join lateral luma.guest_need(i.id) n
  where l.event_id = (run).guests_of[1] and luma.takes_guests(l.event_id) and n.kind is not null
    -- What Luma has changed too is told of already, with what becomes of it.
    and not exists (
      select from luma.drift d
      where d.run_id = (run).id and d.event_id = l.event_id and d.who = n.user_id and d.field = 'status'
    )
$$;
comment on function luma.report_rsvps(luma.pull_runs) is 'Reports the RSVPs of the event whose guests were just listed that the app is ahead of.';

select luma.restrict_access();
