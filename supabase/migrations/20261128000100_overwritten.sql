-- A host's edit whose webhook comes when ours of the same field is on Luma already: the event is read, and shows ours
-- alone. What was delivered is remembered until then, so that luma.conflicts has what ours has overwritten.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

alter table luma.event_links
  add column if not exists former jsonb not null default '{}',
  add column if not exists ours jsonb not null default '{}',
  add column if not exists maybe_sent jsonb not null default '[]',
  add column if not exists unheard jsonb not null default '{}';
comment on column luma.event_links.former is
  'By field, newest first: what luma_base or maybe_told held before, as luma.trace_of(). A late webhook that repeats one of them tells nothing new.';
comment on column luma.event_links.maybe_sent is
  'Columns that attempts may have sent of which nobody heard more, newest first: what a webhook repeats of them is ours.';
comment on column luma.event_links.ours is
  'Fields of luma_base whose value came from here, also after Luma has shown it: when Luma was told, or seen to have been.';
comment on column luma.event_links.unheard is
  'By field: values that a late webhook has told and nothing else has. Whether ours has overwritten them, the next reading shows.';

comment on column luma.conflicts.winner is
  'app for events that the app made, and for what ours had overwritten on Luma before it was told; luma for events that come from Luma; of RSVPs whoever was later.';

create or replace function luma.trace_of(field text, value jsonb)
returns jsonb language sql immutable set search_path = ''
-- Descriptions are long, and come back in another form.
return case when field = 'description_md' then coalesce(to_jsonb(md5(luma.loosely(value))), 'null') else value end;
comment on function luma.trace_of(text, jsonb) is 'What of a field''s value is kept to know it again.';

create or replace function luma.was_known(
  event public.canonical_events, link luma.event_links, field text, value jsonb, columns jsonb
)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from jsonb_array_elements((link).former -> field) f
    where luma.is_same(field, f.value, luma.trace_of(field, was_known.value))
  ) or exists (
    select from jsonb_array_elements((link).maybe_sent) sent
    where sent.value ?| array(select jsonb_object_keys(columns))
      and luma.is_same_here(jsonb_populate_record(event, sent.value), field, was_known.value, columns)
  )
  -- What is paid for is closed until it has its ticket.
  or field = 'visibility' and was_known.value = '"private"'
    and (coalesce((event).is_ticketed, false) or (event).category is not distinct from 'ticketed')
$$;
comment on function luma.was_known(public.canonical_events, luma.event_links, text, jsonb, jsonb) is
  'True when a field held this before, by our word or by Luma''s, or may have.';

create or replace function luma.keep_former()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  -- Of so many values before: more than can change in the time that a webhook is late, unless somebody saves all day.
  kept constant integer := 20;
  f record;
begin
  if new.luma_base is null then
    new.former := '{}';
    new.ours := '{}';
    new.maybe_sent := '[]';
    new.unheard := '{}';
    return new;
  end if;
  for f in
    select b.key as field, b.value from jsonb_each(old.luma_base) b where b.value is distinct from new.luma_base -> b.key
    union all
    select m.key, m.value from jsonb_each(old.maybe_told) m where m.value is distinct from new.maybe_told -> m.key
  loop
    new.former := new.former || jsonb_build_object(f.field, (
      select jsonb_agg(t.value order by t.place) from (
        select luma.trace_of(f.field, f.value) as value, 0 as place
        union all
        select e.value, e.ordinality from jsonb_array_elements(new.former -> f.field) with ordinality e
        where e.ordinality < kept
      ) t
    ));
  end loop;
  new.ours := (
    select coalesce(jsonb_object_agg(b.key, w.at) filter (where w.at is not null), '{}')
    from jsonb_each(new.luma_base) b
    cross join lateral (
      select case
        when b.value is not distinct from old.luma_base -> b.key then old.ours -> b.key
        -- Told, or seen to have been told by a call that was never answered.
        when b.key = any (new.unseen) or luma.is_same(b.key, old.maybe_told -> b.key, b.value) then to_jsonb(clock_timestamp())
        -- Luma's form of it.
        when luma.is_same(b.key, old.luma_base -> b.key, b.value) then old.ours -> b.key
      end as at
    ) w
  );
  return new;
end
$$;
comment on function luma.keep_former() is 'Keeps what is replaced in luma_base, and whose word is there now.';

drop trigger if exists event_links_former on luma.event_links;
create trigger event_links_former before update of luma_base, maybe_told on luma.event_links
for each row when (old.luma_base is distinct from new.luma_base or old.maybe_told is distinct from new.maybe_told)
execute function luma.keep_former();

create or replace function luma.remember_unheard(event public.canonical_events, link luma.event_links, news jsonb, differing text[])
returns void language sql set search_path = '' as $$
  update luma.event_links l
  set unheard = l.unheard || (
    select coalesce(jsonb_object_agg(t.field, coalesce(l.unheard -> t.field, '[]') || jsonb_build_array(t.value)), '{}')
    from luma.fields_told(news) t
    where t.field = any (differing) and not luma.was_known(event, link, t.field, t.value, t.columns)
      and not coalesce(l.unheard -> t.field @> jsonb_build_array(t.value), false)
      and coalesce(jsonb_array_length(l.unheard -> t.field), 0) < 20
  )
  where l.event_id = (link).event_id
$$;
comment on function luma.remember_unheard(public.canonical_events, luma.event_links, jsonb, text[]) is
  'Remembers what a webhook tells of these fields while it has to be seen whether it still holds.';

create or replace function luma.note_overwritten(event public.canonical_events, link luma.event_links, news jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  f record;
begin
  if link.unheard = '{}' then
    return;
  end if;
  for f in
    select t.field, t.columns, lost.value from luma.fields_told(news) t
    cross join lateral jsonb_array_elements(link.unheard -> t.field) lost
    -- What Luma shows is ours. Where a host said something else again, that is the host's last word.
    where (
        -- What was told longer ago than a webhook can be late has overwritten nothing that comes now.
        luma.may_be_late((link.ours ->> t.field)::timestamptz)
        or coalesce(luma.is_same(t.field, link.maybe_told -> t.field, t.value), false)
      )
      and not luma.differs_there(link, news, t.field, t.value) and not luma.is_same(t.field, lost.value, t.value)
  loop
    perform luma.note_conflict(
      'event', event.id, event.id, f.field,
      (select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(luma.event_state(event)) s where f.columns ? s.key),
      f.value, 'app'
    );
  end loop;
  update luma.event_links l set unheard = l.unheard - array(select t.field from luma.fields_told(news) t)
  where l.event_id = event.id;
end
$$;
comment on function luma.note_overwritten(public.canonical_events, luma.event_links, jsonb) is
  'A reading is there: what webhooks have told that ours has overwritten goes to luma.conflicts. The app''s value stays on both sides, of events from Luma too: Luma tells no time of an edit, so nobody can know which of the two was later.';

create or replace function luma.apply_event(calendar text, news jsonb, source text)
returns text language plpgsql set search_path = '' set lock_timeout = '20ms' as $$
declare
  luma_id text := news ->> 'luma_event_id';
  link luma.event_links;
  event public.canonical_events;
  differing text[];
begin
  if exists (
    select from public.calendars c
    where c.luma_key = apply_event.calendar and c.luma_calendar_id <> news ->> 'calendar_id'
  ) then
    return 'another calendar''s';
  elsif exists (select from luma.removed_events r where r.luma_event_id = luma_id) then
    return 'cancelled before';
  end if;
  select * into link from luma.event_links l where l.luma_event_id = luma_id;
  if not found then
    if (news ->> 'gone')::boolean then
      -- Before its event.created, perhaps.
      insert into luma.removed_events (luma_event_id) values (luma_id) on conflict do nothing;
      return 'cancelled';
    end if;
    return luma.insert_event(calendar, news, source);
  end if;
  select * into event from public.canonical_events e where e.id = link.event_id for no key update skip locked;
  if not found then
    if exists (select from public.canonical_events e where e.id = link.event_id) then
      perform luma.busy(format('event %s', link.event_id));
    end if;
    if (news ->> 'gone')::boolean then
      perform luma.forget_event(link.event_id);
    end if;
    return 'deleted here';
  end if;
  if source <> 'read' then
    perform luma.lock_unleased('event', event.id);
  end if;
  if (news ->> 'gone')::boolean then
    return luma.cancel_event(event);
  end if;
  -- Again, now that nobody else writes it.
  select * into link from luma.event_links l where l.event_id = event.id for update;
  if link.luma_event_id is distinct from luma_id then
    perform luma.busy(format('event %s', event.id));
  end if;
  link := luma.recognise(link, news);
  -- What was asked for just now is no news of before.
  link.tags_heard := link.tags_heard or source <> 'webhook';
  differing := array(
    select t.field from luma.fields_told(news) t
    where coalesce(link.luma_base, '{}') ? t.field and luma.differs_there(link, news, t.field, t.value)
  );
  if source = 'webhook' and differing <> '{}' and (
    -- Another webhook said otherwise, or Luma was told otherwise and has not shown it yet: which of the two is older?
    luma.may_be_late(link.heard_at) or (differing && link.unseen and luma.may_be_late(link.told_at))
  ) then
    update luma.event_links l set heard_at = clock_timestamp() where l.event_id = event.id;
    perform luma.remember_unheard(event, link, news, differing);
    perform luma.request_look(event.id, tags => 'culture' = any (differing));
    return 'to be read';
  end if;
  if source <> 'webhook' then
    perform luma.note_overwritten(event, link, news);
  end if;
  return luma.merge_event(event, link, news, source);
end
$$;

reset lock_timeout;

select luma.restrict_access();
