-- What Luma tells of an event, by webhook, by a reading or by a list, becomes the app's row: inserted, adopted, merged,
-- cancelled.

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
  -- Luma tells of a new event twice at the same moment: whoever comes second finds the first one's link a moment later.
  if not pg_try_advisory_xact_lock(hashtext('luma'), hashtext(luma_id))
    or exists (select from luma.event_links l where l.luma_event_id = luma_id)
  then
    perform luma.busy(luma_id);
  end if;
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
