-- What Luma tells of an event becomes the app's row: inserted once, then merged field by field.
--
-- "Changed there" compares what is told with what Luma was last told or seen to hold (luma_base), "changed here" the
-- row with what it said then (row_base), never the one with the other, because Luma renders texts anew.
--
-- Nothing here waits for a lock that the app may hold: whoever finds one taken gives up (SQLSTATE LM001, or the lock
-- timeout), and the news is applied a moment later.

create or replace function luma.busy(what text)
returns void language plpgsql set search_path = '' as $$
begin
  raise exception 'luma: % is being written just now', what using errcode = 'LM001';
end
$$;
comment on function luma.busy(text) is 'Raises LM001: try again in a moment.';

create or replace function luma.lock_unleased(entity text, entity_id uuid)
returns void language plpgsql set search_path = '' as $$
declare
  lease uuid;
begin
  -- What is being sent just now may be what is being told: after the call it is known.
  select o.lease into lease from luma.sync_outbox o
  where o.entity = lock_unleased.entity and o.entity_id = lock_unleased.entity_id for update skip locked;
  if lease is not null or (not found and exists (
    select from luma.sync_outbox o where o.entity = lock_unleased.entity and o.entity_id = lock_unleased.entity_id
  )) then
    perform luma.busy(format('%s %s', entity, entity_id));
  end if;
end
$$;
comment on function luma.lock_unleased(text, uuid) is 'Keeps drains away from an entity until the end of the transaction; raises LM001 when one has it.';

create or replace function luma.may_be_late(at timestamptz)
returns boolean language sql volatile set search_path = ''
return coalesce(at > clock_timestamp() - make_interval(hours => (select s.redelivery_hours from luma.settings s)), false);
comment on function luma.may_be_late(timestamptz) is 'True when news from then may still come, after what was said later.';

create or replace function luma.culture_of(tags jsonb)
returns text language sql stable set search_path = '' as $$
  select c.slug
  from jsonb_array_elements_text(tags) with ordinality t (name, place)
  join public.event_cultures c on lower(trim(t.name)) in (lower(c.slug), lower(c.name)) and c.slug <> 'default'
  order by t.place limit 1
$$;
comment on function luma.culture_of(jsonb) is 'The culture that the first fitting tag of an event stands for, by its slug or name, or null.';

create or replace function luma.fields_told(news jsonb)
returns table (field text, value jsonb, columns jsonb) language sql stable set search_path = '' as $$
  select f.key, f.value -> 'value', f.value -> 'columns' from jsonb_each(news -> 'fields') f
  union all
  select 'culture', coalesce(to_jsonb(c.slug), 'null'),
    -- Without a fitting tag the culture is the app's "Other", where it has that one.
    jsonb_build_object('culture', coalesce(c.slug, (select d.slug from public.event_cultures d where d.slug = 'default')))
  from (select luma.culture_of(news -> 'tags') as slug) c
  where news ? 'tags'
$$;
comment on function luma.fields_told(jsonb) is 'The fields that news tells (from_luma.ts, EventNews), with the culture that its tags stand for.';

create or replace function luma.loosely(value jsonb)
returns text language sql immutable set search_path = ''
return lower(regexp_replace(value #>> '{}', '[[:space:]!-/:-@\[-`{-~]+', '', 'g'));
comment on function luma.loosely(jsonb) is
  'A value without spaces and ASCII marks: what is left of a text when it was turned into Luma''s rich text and back.';

create or replace function luma.is_same(field text, one jsonb, other jsonb)
returns boolean language sql immutable set search_path = ''
return one is not distinct from other
  -- Luma renders these anew.
  or (field in ('description_md', 'geo_address_json') and coalesce(luma.loosely(one) = luma.loosely(other), false))
  -- The same image, from another path of Luma's CDN.
  or (field = 'cover_url' and coalesce(strpos(other #>> '{}', regexp_replace(one #>> '{}', '^.*/', '')) > 0, false));
comment on function luma.is_same(text, jsonb, jsonb) is
  'True when the other value of a field can be what became of the one on Luma.';

create or replace function luma.is_early(link luma.event_links, field text, value jsonb)
returns boolean language sql immutable set search_path = ''
return field = 'culture' and value = 'null' and field = any ((link).unseen) and not (link).tags_heard;
comment on function luma.is_early(luma.event_links, text, jsonb) is
  'True for the missing tag of an event that has just been made: a tag is put on after that, so the first news has none.';

create or replace function luma.differs_there(link luma.event_links, news jsonb, field text, value jsonb)
returns boolean language sql immutable set search_path = ''
return case
  when (link).luma_base -> field is not distinct from value then false
  when field <> all ((link).unseen) then true
  -- Seen for the first time since Luma was told: its own form of what it was told is no change.
  when luma.is_same(field, (link).luma_base -> field, value) then false
  when luma.is_early(link, field, value) then false
  -- An address is resolved. Who moves the event moves its coordinates too.
  when field = 'geo_address_json' then
    not coalesce((link).luma_base -> 'coordinate' = nullif(news #> '{fields,coordinate,value}', 'null'), false)
  else true
end;
comment on function luma.differs_there(luma.event_links, jsonb, text, jsonb) is
  'True when a field is not what Luma was last told or seen to hold. Of a field that it was never heard of too.';

create or replace function luma.recognise(link luma.event_links, news jsonb)
returns luma.event_links language plpgsql stable set search_path = '' as $$
declare
  f record;
begin
  for f in
    select t.field, t.columns from luma.fields_told(news) t
    where link.maybe_told ? t.field and luma.is_same(t.field, link.maybe_told -> t.field, t.value)
  loop
    link.luma_base := link.luma_base || jsonb_build_object(f.field, link.maybe_told -> f.field);
    link.unseen := link.unseen || f.field;
    link.row_base := link.row_base || (
      select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(link.maybe_state) s where f.columns ? s.key
    );
  end loop;
  return link;
end
$$;
comment on function luma.recognise(luma.event_links, jsonb) is
  'The link as it would be if an update call whose answer was lost had been answered, as far as the news shows that it had its effect.';

create or replace function luma.is_same_here(event public.canonical_events, field text, value jsonb, columns jsonb)
returns boolean language sql stable set search_path = '' as $$
  select not exists (
    select from jsonb_each(luma.event_state(jsonb_populate_record(event, columns))) told
    where columns ? told.key
      and case when field = 'description_md' then not luma.is_same(field, luma.event_state(event) -> told.key, told.value)
        else luma.event_state(event) -> told.key is distinct from told.value end
  )
  -- The app keeps an address in parts, which are one line on Luma.
  or field = 'geo_address_json' and coalesce(luma.loosely(value) in (
    luma.loosely(to_jsonb(concat(event.location_name, event.location_raw, 'Meeting point' || event.meeting_point))),
    luma.loosely(to_jsonb(concat(event.location_raw, 'Meeting point' || event.meeting_point)))
  ), false)
$$;
comment on function luma.is_same_here(public.canonical_events, text, jsonb, jsonb) is
  'True when a row says already what Luma tells of a field, perhaps in another form.';

create or replace function luma.request_look(event_id uuid, tags boolean)
returns void language plpgsql set search_path = '' as $$
begin
  update luma.event_links l set look = true, look_tags = l.look_tags or tags where l.event_id = request_look.event_id;
  -- Many requests are one read, and everything else goes first.
  perform luma.enqueue('event', request_look.event_id, 4, request_look.event_id);
end
$$;
comment on function luma.request_look(uuid, boolean) is 'Has the drain read an event from Luma, with its tags if need be.';

create or replace function luma.write_event(event public.canonical_events, changes jsonb)
returns public.canonical_events language plpgsql set search_path = '' as $$
declare
  n public.canonical_events := jsonb_populate_record(event, changes);
begin
  perform set_config('luma.applying', 'on', true);
  update public.canonical_events e
  set title = n.title, description = n.description, starts_at = n.starts_at, ends_at = n.ends_at, tz = n.tz,
      lat = n.lat, lng = n.lng, geocode_status = n.geocode_status, location_raw = n.location_raw,
      location_name = n.location_name, meeting_point = n.meeting_point, location_type = n.location_type, meeting_url = n.meeting_url,
      cover_image_url = n.cover_image_url, visibility = n.visibility, culture = n.culture, host_id = n.host_id,
      external_rsvp_url = n.external_rsvp_url, raw_payload = n.raw_payload, submission_status = n.submission_status,
      luma_event_id = n.luma_event_id, luma_synced_at = now(),
      luma_sync_status = case when e.source_type is distinct from 'luma' or e.luma_sync_status in ('pushed', 'synced') then 'synced' else 'pulled' end
  where e.id = n.id
  returning e.* into n;
  perform set_config('luma.applying', '', true);
  return n;
end
$$;
comment on function luma.write_event(public.canonical_events, jsonb) is 'Writes what Luma told to the app''s row, and nothing is sent because of it.';

create or replace function luma.location_type_of(event public.canonical_events, changes jsonb)
returns jsonb language sql immutable set search_path = ''
return (
  select case
    when not changes ?| '{lat,lng,location_raw,location_name,meeting_url}' then '{}'
    when is_place and n.location_type = 'online' then '{"location_type": "custom"}'
    when not is_place and nullif(trim(n.meeting_url), '') is not null and n.location_type is distinct from 'online'
      then '{"location_type": "online"}'
    else '{}'
  end::jsonb
  from jsonb_populate_record(event, changes) n
  cross join lateral (
    select n.lat is not null or nullif(trim(concat(n.location_raw, n.location_name)), '') is not null as is_place
  ) p
);
comment on function luma.location_type_of(public.canonical_events, jsonb) is
  'The change of location_type that goes with these changes: online without a place but with a meeting link.';

create or replace function luma.details_told(event public.canonical_events, link luma.event_links, news jsonb)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(case
      -- Of our own events only the questions, which the app does not have: the rest would be an echo.
      when event.source_type = 'luma' and raw || rest <> raw then jsonb_build_object('raw_payload', raw || rest)
      when event.source_type is distinct from 'luma' and rest ? 'registration_questions'
        and coalesce(raw -> 'registration_questions', '[]') <> rest -> 'registration_questions'
        then jsonb_build_object('raw_payload', raw || jsonb_build_object('registration_questions', rest -> 'registration_questions'))
    end, '{}')
    || coalesce(case
      -- A host's own address stays.
      when news ->> 'url' <> coalesce(event.external_rsvp_url, '')
        and coalesce(nullif(trim(event.external_rsvp_url), ''), url) = url
        then jsonb_build_object('external_rsvp_url', news ->> 'url')
    end, '{}')
    || coalesce(case
      when event.source_type = 'luma' and event.host_id is null then (
        select jsonb_build_object('host_id', min(u)) from luma.users_by_email(news ->> 'host_email') u having count(*) = 1
      )
    end, '{}')
  from (
    select coalesce(link.url, 'https://luma.com/' || link.slug) as url, coalesce(news -> 'rest', '{}') as rest,
      case when jsonb_typeof(event.raw_payload) = 'object' then event.raw_payload else '{}' end as raw
  ) known
$$;
comment on function luma.details_told(public.canonical_events, luma.event_links, jsonb) is
  'Changes to columns that Luma alone decides: what has no column of its own, the page''s address while it is Luma''s, and the host.';

create or replace function luma.merge_event(event public.canonical_events, link luma.event_links, news jsonb, is_read boolean)
returns text language plpgsql set search_path = '' as $$
declare
  luma_leads boolean := event.source_type is not distinct from 'luma';
  state jsonb := luma.event_state(event);
  is_hidden boolean := not (state ->> 'shown')::boolean;
  changes jsonb := '{}';
  base jsonb := coalesce(link.luma_base, '{}');
  agreed text[] := '{}';
  f record;
  mine jsonb;
  changed_here boolean;
  app_won boolean := false;
begin
  for f in select t.* from luma.fields_told(news) t where luma.differs_there(link, news, t.field, t.value) loop
    -- What the row says of the field.
    select coalesce(jsonb_object_agg(s.key, s.value), '{}') into mine from jsonb_each(state) s where f.columns ? s.key;
    changed_here := exists (select from jsonb_each(mine) m where m.value is distinct from link.row_base -> m.key);
    if not luma_leads and (not base ? f.field or link.row_base is null) then
      -- Heard for the first time of an event of ours: nothing says that it was changed there.
      null;
    elsif f.field = 'visibility' and is_hidden then
      -- The app hides it and Luma does not, any more.
      if f.value = '"private"' or coalesce(link.row_base ->> 'shown' = 'true', false) then
        null;
      elsif luma_leads then
        changes := changes || f.columns || '{"submission_status": "approved"}';
        agreed := agreed || '{shown,visibility}'::text[];
      else
        perform luma.note_conflict('event', event.id, event.id, f.field, to_jsonb(event.submission_status), f.value, 'app');
        link.row_base := link.row_base - 'shown';
        app_won := true;
      end if;
    elsif changed_here and luma.is_same_here(event, f.field, f.value, f.columns) then
      -- The same on both sides, perhaps in Luma's form: what the row says stays.
      agreed := agreed || array(select jsonb_object_keys(mine));
    elsif changed_here and not luma_leads then
      perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
      app_won := true;
    else
      if changed_here and link.row_base is not null then
        perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'luma');
      end if;
      changes := changes || f.columns;
      agreed := agreed || array(select jsonb_object_keys(mine));
    end if;
  end loop;

  -- Everything told is what Luma was seen to hold.
  select base || coalesce(jsonb_object_agg(t.field, t.value), '{}') into base
  from luma.fields_told(news) t
  where not luma.is_early(link, t.field, t.value);
  changes := changes || luma.location_type_of(event, changes);
  changes := changes || luma.details_told(event, link, news);
  agreed := agreed || array(select jsonb_object_keys(changes));
  if jsonb_populate_record(event, changes) is distinct from event then
    event := luma.write_event(event, changes);
  else
    changes := '{}';
  end if;
  select l.row_base || coalesce(jsonb_object_agg(s.key, s.value) filter (where s.key is not null), '{}') into link.row_base
  from (select coalesce(link.row_base, case when luma_leads then '{}'::jsonb end) as row_base) l
  left join jsonb_each(luma.event_state(event)) s on s.key = any (agreed)
  group by l.row_base;
  update luma.event_links l
  set luma_base = base, row_base = link.row_base, url = coalesce(news ->> 'url', l.url),
      unseen = array(
        select u from unnest(link.unseen) u
        where u not in (select t.field from luma.fields_told(news) t where not luma.is_early(link, t.field, t.value))
      ),
      maybe_told = nullif(l.maybe_told - array(select t.field from luma.fields_told(news) t), '{}'),
      heard_at = case when is_read then l.heard_at else clock_timestamp() end, tags_heard = l.tags_heard or news ? 'tags',
      look = l.look and not is_read, look_tags = l.look_tags and not news ? 'tags',
      synced_at = now()
  where l.event_id = event.id;
  if app_won then
    -- Also when nothing was waiting: Luma has to follow.
    perform luma.enqueue('event', event.id, 3, event.id);
  end if;
  return case when changes = '{}' then 'unchanged' else 'updated' end;
end
$$;
comment on function luma.merge_event(public.canonical_events, luma.event_links, jsonb, boolean) is
  'Merges what Luma told of an event into its row. is_read: it was asked just now, and nothing of ours was on its way.';

create or replace function luma.insert_event(calendar text, news jsonb)
returns text language plpgsql set search_path = '' as $$
declare
  luma_id text := news ->> 'luma_event_id';
  event public.canonical_events;
  told jsonb;
  base jsonb;
  link luma.event_links;
begin
  select jsonb_object_agg(t.field, t.value) into base from luma.fields_told(news) t;
  select coalesce(jsonb_object_agg(c.key, c.value), '{}') into told
  from luma.fields_told(news) t cross join lateral jsonb_each(t.columns) c where c.value <> 'null';
  -- A row that shows this event already, though nothing is known of it here.
  select * into event from public.canonical_events e
  where e.luma_event_id = luma_id and not exists (select from luma.event_links l where l.event_id = e.id)
  order by e.created_at limit 1;
  insert into luma.event_links as l (event_id, calendar, slug, luma_event_id, url, luma_base, heard_at)
  values (
    coalesce(event.id, gen_random_uuid()), insert_event.calendar, 'luma-' || md5(luma_id), luma_id, news ->> 'url',
    case when event.id is null then base else '{}' end, clock_timestamp()
  )
  -- Whoever is inserting it just now has waited for nobody.
  on conflict do nothing returning * into link;
  if link.event_id is null then
    perform luma.busy(luma_id);
  end if;
  if event.id is null then
    perform set_config('luma.applying', 'on', true);
    event := jsonb_populate_record(
      null::public.canonical_events,
      '{"tz": "UTC", "visibility": "public", "geocode_status": "pending", "location_type": "custom"}' || told
    );
    event := jsonb_populate_record(event, luma.location_type_of(event, told));
    insert into public.canonical_events as e (
      id, canonical_uid, source_type, submission_status, title, description, starts_at, ends_at, tz, lat, lng, geocode_status,
      location_raw, location_name, meeting_point, location_type, meeting_url, cover_image_url, visibility, culture, external_rsvp_url,
      luma_event_id, luma_sync_status, luma_synced_at, source_refs, raw_payload
    )
    select link.event_id, 'luma-' || luma_id, 'luma', 'approved', event.title, event.description, event.starts_at, event.ends_at,
      event.tz, event.lat, event.lng, event.geocode_status, event.location_raw, event.location_name, event.meeting_point, event.location_type,
      event.meeting_url, event.cover_image_url, event.visibility, event.culture, news ->> 'url', luma_id, 'pulled', now(),
      jsonb_build_array(jsonb_build_object('source', 'luma', 'event_url', news ->> 'url', 'luma_event_id', luma_id, 'calendar', insert_event.calendar)),
      news -> 'rest'
    returning e.* into event;
    perform set_config('luma.applying', '', true);
    update luma.event_links l set row_base = luma.event_state(event), synced_at = now() where l.event_id = event.id;
  else
    perform luma.merge_event(event, link, news, is_read => true);
  end if;
  -- Webhooks tell no hosts, and calendar.event.added little else.
  perform luma.request_look(event.id, tags => not news ? 'tags');
  return 'inserted';
end
$$;
comment on function luma.insert_event(text, jsonb) is
  'A Luma event that is new here becomes a row: source_type luma, approved. What the webhook left out is read from Luma.';

create or replace function luma.forget_event(forgotten_event_id uuid)
returns void language plpgsql set search_path = '' as $$
begin
  insert into luma.removed_events (luma_event_id)
  select l.luma_event_id from luma.event_links l where l.event_id = forgotten_event_id and l.luma_event_id is not null
  on conflict do nothing;
  -- Approved again, the event is a new one on Luma: a fresh slug keeps late news of the old one away from it.
  update luma.event_links l
  set luma_event_id = null, create_lease = null, create_state = null, row_base = null, luma_base = null, warning = null, url = null,
      unseen = '{}', maybe_told = null, maybe_state = null, tags_heard = false, look = false, look_tags = false,
      slug = left(l.slug, -12) || left(replace(gen_random_uuid()::text, '-', ''), 12)
  where l.event_id = forgotten_event_id;
  -- Its guests went with it.
  delete from luma.guests g where g.event_id = forgotten_event_id;
  delete from luma.guest_links k where k.event_id = forgotten_event_id;
  perform luma.count_external_guests(forgotten_event_id);
end
$$;
comment on function luma.forget_event(uuid) is 'After Luma has deleted an event: nothing of it is on Luma any more.';

create or replace function luma.cancel_event(event public.canonical_events)
returns text language plpgsql set search_path = '' as $$
begin
  perform luma.forget_event(event.id);
  perform luma.write_event(event, jsonb_build_object(
    -- What the app has ended by itself keeps its own word for that.
    'submission_status', case when event.submission_status in ('cancelled', 'rejected') then event.submission_status else 'cancelled' end,
    -- A page that is gone; and an event of the app's that is approved again has to become a new one.
    'external_rsvp_url', case when not luma.is_luma_address(event.external_rsvp_url) then event.external_rsvp_url end
  ));
  update luma.sync_outbox o set done_version = o.version, dead_at = null, last_error = null, attempts = 0
  where o.entity = 'event' and o.entity_id = event.id and o.lease is null;
  return 'cancelled';
end
$$;
comment on function luma.cancel_event(public.canonical_events) is 'Luma has cancelled, so deleted, the event: its row is cancelled too.';

create or replace function luma.apply_event(calendar text, news jsonb, is_read boolean)
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
    return luma.insert_event(calendar, news);
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
  if not is_read then
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
  link.tags_heard := link.tags_heard or is_read;
  differing := array(
    select t.field from luma.fields_told(news) t
    where coalesce(link.luma_base, '{}') ? t.field and luma.differs_there(link, news, t.field, t.value)
  );
  if not is_read and differing <> '{}' and (
    -- Another webhook said otherwise, or Luma was told otherwise and has not shown it yet: which of the two is older?
    luma.may_be_late(link.heard_at) or (differing && link.unseen and luma.may_be_late(link.told_at))
  ) then
    update luma.event_links l set heard_at = clock_timestamp() where l.event_id = event.id;
    perform luma.request_look(event.id, tags => 'culture' = any (differing));
    return 'to be read';
  end if;
  return luma.merge_event(event, link, news, is_read);
end
$$;
comment on function luma.apply_event(text, jsonb, boolean) is
  'Makes the app''s row follow what Luma told of an event (from_luma.ts, EventNews), and answers what became of it. is_read: the caller holds the event''s lease and has just read it; else it is a webhook''s, which may be late. Raises LM001 when the row is locked.';
