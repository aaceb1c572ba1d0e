-- What Luma tells of an event, now also by lists: a page that was asked for while nothing of ours was on its way is as
-- good as a reading of the event, but tells less of it. And a Luma event that a row of the app shows already is
-- adopted: the row keeps its id and its RSVPs.

alter table luma.event_links add column if not exists is_adopting boolean not null default false;
comment on column luma.event_links.is_adopting is
  'The row was there before it was linked: its RSVPs wait until the guests that Luma has were read, so that none is overwritten unseen.';

create or replace function luma.takes_guests(event_id uuid)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from luma.event_links l
    join public.canonical_events e on e.id = l.event_id
    where l.event_id = takes_guests.event_id and l.luma_event_id is not null
      -- Shown on Luma, not only here: an event that is approved again is still hidden there for a moment.
      and (l.row_base ->> 'shown')::boolean
      and e.submission_status = 'approved' and not luma.is_over(e) and not l.is_adopting
  )
$$;

create or replace function luma.was_empty(base jsonb, field text, value jsonb)
returns boolean language sql immutable set search_path = '' as $$
  select nullif(value #>> '{}', '') is not null and case
    when field in ('description_md', 'meeting_url') then true
    -- Of a place that it was told a part of, Luma finds the rest.
    when field in ('coordinate', 'geo_address_json') then not base ?| '{coordinate,geo_address_json}'
    else false
  end
$$;
comment on function luma.was_empty(jsonb, text, jsonb) is
  'True when Luma was told nothing of a field, so had nothing there, and says something now: then somebody has put it there.';

drop function if exists luma.merge_event(public.canonical_events, luma.event_links, jsonb, boolean);
create or replace function luma.merge_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
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
    if not luma_leads and link.is_adopting and link.row_base is not null and not base ? f.field then
      -- What was not told when it was adopted, by the same rules (luma.adopt_own_event()).
      if luma.is_same_here(event, f.field, f.value, f.columns) then
        agreed := agreed || array(select jsonb_object_keys(mine));
      elsif luma.is_unset(mine) or f.field = 'visibility' then
        changes := changes || f.columns;
        agreed := agreed || array(select jsonb_object_keys(mine));
      else
        if nullif(f.value #>> '{}', '') is not null then
          perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
        end if;
        app_won := true;
      end if;
    elsif not luma_leads and (link.row_base is null or not base ? f.field and not luma.was_empty(base, f.field, f.value)) then
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
      heard_at = case when source = 'webhook' then clock_timestamp() else l.heard_at end, tags_heard = l.tags_heard or news ? 'tags',
      look = l.look and source <> 'read', look_tags = l.look_tags and not news ? 'tags',
      -- What is read for the first time no webhook had to tell, and of tags Luma sends none.
      pulled_at = case when source <> 'webhook' and changes <> '{}' and exists (
        select from luma.fields_told(news) t
        where t.field <> 'culture' and link.luma_base ? t.field and luma.differs_there(link, news, t.field, t.value)
      ) then clock_timestamp() else l.pulled_at end,
      synced_at = now()
  where l.event_id = event.id;
  if app_won then
    -- Also when nothing was waiting: Luma has to follow.
    perform luma.enqueue('event', event.id, case when link.is_adopting then 4 else 3 end, event.id);
  end if;
  return case when changes = '{}' then 'unchanged' else 'updated' end;
end
$$;
comment on function luma.merge_event(public.canonical_events, luma.event_links, jsonb, text) is
  'Merges what Luma told of an event into its row. source: webhook; read (events/get) or list, when it was asked and nothing of ours was on its way.';

create or replace function luma.adoptable_row(news jsonb)
returns public.canonical_events language plpgsql set search_path = '' as $$
declare
  luma_id text := news ->> 'luma_event_id';
  known_id uuid;
  event public.canonical_events;
begin
  select e.id into known_id
  from (
    select e.id as event_id, true as is_certain from public.canonical_events e
    where e.luma_event_id = luma_id and not exists (select from luma.event_links l where l.event_id = e.id)
    union all
    select r.* from luma.rows_of_page(
      array[lower(luma_id), lower(news ->> 'slug')] || array(select luma.page_keys(news ->> 'url')),
      news #>> '{fields,name,value}', (news #>> '{fields,start_at,value}')::timestamptz
    ) r
  ) c
  join public.canonical_events e on e.id = c.event_id
  -- What an admin has ended does not come back as this event; and what may be being created has its own.
  where e.submission_status not in ('cancelled', 'rejected', 'draft')
    and not exists (select from luma.event_links l where l.event_id = e.id and l.create_lease is not null)
  -- The row that people made rather than the feed's copy, and the older of two.
  order by e.luma_event_id is not distinct from luma_id desc, c.is_certain desc, e.source_type = 'ical', e.created_at, e.id
  limit 1;
  if known_id is null then
    return null;
  end if;
  select * into event from public.canonical_events e where e.id = known_id for no key update skip locked;
  if not found then
    perform luma.busy(format('event %s', known_id));
  end if;
  perform luma.lock_unleased('event', known_id);
  return event;
end
$$;
comment on function luma.adoptable_row(jsonb) is
  'The row that shows a Luma event which is new here, locked, or null. Others that show it too are in luma.duplicates. Raises LM001.';

create or replace function luma.is_unset(columns jsonb)
returns boolean language sql immutable set search_path = ''
return not exists (select from jsonb_each_text(columns) c where coalesce(trim(c.value), '') not in ('', 'default'));
comment on function luma.is_unset(jsonb) is 'True when none of these columns says anything.';

create or replace function luma.adopt_own_event(event public.canonical_events, link luma.event_links, news jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  state jsonb := luma.event_state(event);
  changes jsonb := '{}';
  -- Luma tells these never. Of all else, what this news leaves out is neither agreed on nor sent before it was read.
  known text[] := '{shown,location_type,max_capacity,category,is_ticketed,ticket_price,ticket_currency}' || array(
    select jsonb_object_keys(t.columns) from luma.fields_told(news) t
  );
  to_send text[] := '{}';
  f record;
  mine jsonb;
begin
  for f in select t.* from luma.fields_told(news) t where not luma.is_same_here(event, t.field, t.value, t.columns) loop
    select coalesce(jsonb_object_agg(s.key, s.value), '{}') into mine from jsonb_each(state) s where f.columns ? s.key;
    if luma.is_unset(mine) or f.field = 'visibility' then
      -- Nobody has said otherwise here: who finds the event on Luma was never asked.
      changes := changes || f.columns;
    else
      to_send := to_send || array(select jsonb_object_keys(mine));
      if nullif(f.value #>> '{}', '') is not null then
        perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
      end if;
    end if;
  end loop;
  -- Luma does not tell these.
  to_send := to_send || array(
    select s.key from jsonb_each_text(state) s
    where s.key = 'max_capacity' and s.value is not null
      or s.key in ('category', 'is_ticketed', 'ticket_price', 'ticket_currency') and (event.is_ticketed or event.category = 'ticketed')
  );
  changes := changes || luma.location_type_of(event, changes) || luma.details_told(event, link, news);
  event := luma.write_event(event, changes || jsonb_build_object('luma_event_id', news ->> 'luma_event_id'));
  update luma.event_links l
  set luma_base = (select jsonb_object_agg(t.field, t.value) from luma.fields_told(news) t),
      row_base = (select jsonb_object_agg(s.key, s.value) from jsonb_each(luma.event_state(event)) s where s.key = any (known)) - to_send,
      synced_at = now()
  where l.event_id = event.id;
  if to_send <> '{}' and event.submission_status = 'approved' then
    -- Nobody is mailed because of it.
    perform luma.enqueue('event', event.id, 4, event.id);
  end if;
end
$$;
comment on function luma.adopt_own_event(public.canonical_events, luma.event_links, jsonb) is
  'Links a row of the app''s with the Luma event it shows: what it says goes to Luma (luma.conflicts has what was there), what it leaves open comes from Luma.';

create or replace function luma.adopt_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
returns void language plpgsql set search_path = '' as $$
begin
  if event.source_type in ('ical', 'luma') then
    perform set_config('luma.applying', 'on', true);
    update public.canonical_events e set source_type = 'luma', luma_event_id = news ->> 'luma_event_id'
    where e.id = event.id returning e.* into event;
    perform set_config('luma.applying', '', true);
    perform luma.merge_event(event, link, news, source);
    -- The feed's copy was Luma's own: nothing of it is a change made here.
    update luma.event_links l set row_base = luma.event_state(e) from public.canonical_events e
    where l.event_id = event.id and e.id = event.id;
  else
    perform luma.adopt_own_event(event, link, news);
    -- Lists tell no descriptions.
    perform luma.request_look(link.event_id, tags => not news ? 'tags');
    -- Its creation may have been waiting, more urgently.
    update luma.sync_outbox o set priority = 4 where o.entity = 'event' and o.entity_id = link.event_id;
  end if;
  if source = 'webhook' then
    -- Its guests, before its RSVPs are sent. A pull comes to them by itself.
    perform luma.ask_pull(link.calendar, link.luma_event_id, is_dry => false);
  end if;
end
$$;
comment on function luma.adopt_event(public.canonical_events, luma.event_links, jsonb, text) is
  'Links a row with the Luma event that it shows. Of a feed''s row, which becomes a luma row, Luma says all; else the app leads.';

drop function if exists luma.insert_event(text, jsonb);
create or replace function luma.insert_event(calendar text, news jsonb, source text)
returns text language plpgsql set search_path = '' as $$
declare
  luma_id text := news ->> 'luma_event_id';
  event public.canonical_events := luma.adoptable_row(news);
  told jsonb;
  base jsonb;
  link luma.event_links;
begin
  select jsonb_object_agg(t.field, t.value) into base from luma.fields_told(news) t;
  select coalesce(jsonb_object_agg(c.key, c.value), '{}') into told
  from luma.fields_told(news) t cross join lateral jsonb_each(t.columns) c where c.value <> 'null';
  insert into luma.event_links as l (event_id, calendar, slug, luma_event_id, url, luma_base, heard_at, pulled_at, is_adopting)
  values (
    coalesce(event.id, gen_random_uuid()), insert_event.calendar, 'luma-' || md5(luma_id), luma_id, news ->> 'url',
    case when event.id is null then base else '{}' end,
    case when source = 'webhook' then clock_timestamp() end,
    -- Of what is older than the sync no webhook came.
    case when source <> 'webhook' and (news #>> '{rest,created_at}')::timestamptz > (select s.live_since from luma.settings s)
      then clock_timestamp() end,
    event.id is not null
  )
  -- Of a row that was linked before, or was to be created; whoever is inserting it just now has waited for nobody.
  on conflict (event_id) do update
  set calendar = excluded.calendar, slug = excluded.slug, luma_event_id = excluded.luma_event_id, url = excluded.url,
      luma_base = excluded.luma_base, heard_at = excluded.heard_at, pulled_at = excluded.pulled_at, is_adopting = true
  where l.luma_event_id is null
  returning * into link;
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
    perform luma.adopt_event(event, link, news, source);
  end if;
  if source = 'webhook' then
    -- It tells no hosts, and calendar.event.added little else.
    perform luma.request_look(link.event_id, tags => not news ? 'tags');
  end if;
  return case when event.id = link.event_id and link.is_adopting then 'adopted' else 'inserted' end;
end
$$;
comment on function luma.insert_event(text, jsonb, text) is
  'A Luma event that is new here becomes a row, source_type luma, approved; or the row that shows it already is adopted. What a webhook left out is read from Luma.';

drop function if exists luma.apply_event(text, jsonb, boolean);
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
    perform luma.request_look(event.id, tags => 'culture' = any (differing));
    return 'to be read';
  end if;
  return luma.merge_event(event, link, news, source);
end
$$;
comment on function luma.apply_event(text, jsonb, text) is
  'Makes the app''s row follow what Luma told of an event (from_luma.ts, EventNews), and answers what became of it. source: webhook, which may be late; read, when the caller holds the event''s lease or knows that nothing of ours was on its way, and has read it whole; list, the same from a list. Raises LM001 when the row is locked.';

create or replace function luma.apply_news(calendar text, news jsonb, sent_at timestamptz)
returns text language plpgsql set search_path = '' as $$
declare
  luma_id text := news #>> '{event,luma_event_id}';
  known_id uuid := (select l.event_id from luma.event_links l where l.luma_event_id = luma_id);
  outcome text;
begin
  if not news ? 'guest' then
    return luma.apply_event(calendar, news -> 'event', source => 'webhook');
  end if;
  if known_id is null then
    -- A guest can be told of before the event is.
    outcome := luma.apply_event(calendar, news -> 'event', source => 'webhook');
    select l.event_id into known_id from luma.event_links l where l.luma_event_id = luma_id;
    if known_id is null then
      return outcome;
    end if;
  end if;
  return luma.apply_guest(known_id, news -> 'guest', sent_at, is_read => false);
end
$$;

create or replace function luma.note_read(read_event_id uuid, at timestamptz)
returns void language sql set search_path = ''
begin atomic
  insert into luma.reads as r (event_id, read_at) select l.event_id, at from luma.event_links l
  where l.event_id = read_event_id and l.luma_event_id is not null
  on conflict (event_id) do update set read_at = greatest(r.read_at, excluded.read_at);
end;
comment on function luma.note_read(uuid, timestamptz) is 'The event was read whole; asked for at that time.';

create or replace function public.luma_event_read(lease uuid, news_json text)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  told text;
begin
  if o.lease is null then
    return null;
  end if;
  begin
    perform luma.apply_event(o.calendar, news_json::jsonb, source => 'read');
    perform luma.note_read(o.entity_id, o.leased_at);
    return jsonb_build_object('job', luma.event_job(o));
  exception
    when sqlstate 'LM001' or lock_not_available then
      perform luma.put_back(o, clock_timestamp() + interval '1 second', false, null);
    when others then
      get stacked diagnostics told = message_text;
      perform luma.settle_failure(o, jsonb_build_object('kind', 'internal', 'message', told));
  end;
  return null;
end
$$;

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
      is_adopting = false, pulled_at = null,
      slug = left(l.slug, -12) || left(replace(gen_random_uuid()::text, '-', ''), 12)
  where l.event_id = forgotten_event_id;
  delete from luma.reads r where r.event_id = forgotten_event_id;
  -- Its guests went with it.
  delete from luma.guests g where g.event_id = forgotten_event_id;
  delete from luma.guest_links k where k.event_id = forgotten_event_id;
  -- What was given up because the event had gone.
  update luma.sync_outbox o set done_version = o.version, dead_at = null, last_error = null, attempts = 0
  where o.event_id = forgotten_event_id and o.entity <> 'event' and o.dead_at is not null;
  perform luma.count_external_guests(forgotten_event_id);
end
$$;

select luma.restrict_access();
