-- What a pull has read. A page says what Luma held when it was asked for: it is as good as a reading under a lease if
-- nothing of ours was on its way then or since, and no webhook has come since. Else the drain reads the event or guest.
--
-- What is known already is told apart first, without a lock and without a write.

create or replace function luma.was_sent_since(entity text, entity_id uuid, at timestamptz)
returns boolean language sql stable set search_path = ''
return exists (
  select from luma.sync_outbox o
  where o.entity = was_sent_since.entity and o.entity_id = was_sent_since.entity_id and o.lease is not null
) or exists (
  select from luma.attempts a
  where a.entity = was_sent_since.entity and a.entity_id = was_sent_since.entity_id and a.settled_at >= at
    and a.outcome not in ('nothing_to_do', 'dry_run')
);
comment on function luma.was_sent_since(text, uuid, timestamptz) is
  'True when something of an entity is being sent, or was sent since then: what was read then may lack it.';

create or replace function luma.is_known(link luma.event_links, news jsonb)
returns boolean language sql stable set search_path = '' as $$
  select not coalesce((news ->> 'gone')::boolean, false)
    and news ->> 'url' is not distinct from coalesce((link).url, 'https://luma.com/' || (link).slug)
    and not exists (
      select from luma.fields_told(news) t
      where (link).luma_base -> t.field is distinct from t.value or t.field = any ((link).unseen)
    )
    and exists (
      select from public.canonical_events e
      where e.id = (link).event_id and luma.details_told(e, link, news) = '{}'
    )
$$;
comment on function luma.is_known(luma.event_links, jsonb) is 'True when Luma tells nothing new of an event.';

create or replace function luma.apply_listed_event(calendar text, news jsonb, asked_at timestamptz, source text)
returns text language plpgsql set search_path = '' as $$
declare
  luma_id text := news ->> 'luma_event_id';
  link luma.event_links;
begin
  select * into link from luma.event_links l where l.luma_event_id = luma_id;
  if (news ->> 'gone')::boolean and link.calendar is distinct from apply_listed_event.calendar then
    -- Under the key of another calendar than its own an event seems to be gone.
    return 'another calendar''s';
  end if;
  if link.event_id is null then
    if (news #>> '{fields,end_at,value}')::timestamptz <= now() then
      return 'over';
    end if;
    return luma.apply_event(calendar, news, source);
  end if;
  if luma.is_known(link, news) then
    return 'unchanged';
  end if;
  -- The locks first: what is being written or sent just now is settled before it is looked at.
  perform from public.canonical_events e where e.id = link.event_id for no key update skip locked;
  perform luma.lock_unleased('event', link.event_id);
  select * into link from luma.event_links l where l.event_id = link.event_id;
  if greatest(link.told_at, link.heard_at) >= asked_at or luma.was_sent_since('event', link.event_id, asked_at) then
    perform luma.request_look(link.event_id, tags => false);
    return 'to be read';
  end if;
  return luma.apply_event(calendar, news, source);
end
$$;
comment on function luma.apply_listed_event(text, jsonb, timestamptz, text) is
  'Applies what a pull has read of an event, as of asked_at. source: list, or read for all of it. Answers as luma.apply_event() does, or over for one that nobody needs any more. Raises LM001.';

create or replace function luma.changed_by(guest luma.guests, news jsonb, event public.canonical_events)
returns timestamptz language sql stable set search_path = '' as $$
  -- A list does not say when a status was changed. It was after Luma was last seen to say otherwise; whoever leads
  -- has the benefit of the doubt about what was written here since then.
  select case when (event).source_type = 'luma' then clock_timestamp() else greatest(
    (guest).heard_at, (guest).synced_at, (news ->> 'registered_at')::timestamptz,
    (select r.guests_read_at from luma.reads r where r.event_id = (event).id)
  ) end
$$;
comment on function luma.changed_by(luma.guests, jsonb, public.canonical_events) is
  'The time that a pulled change of a guest''s status is compared with: later writes of the app stay.';

create or replace function luma.is_known_guest(of_event_id uuid, news jsonb)
returns boolean language sql stable set search_path = ''
return exists (
  select from luma.guests g
  where g.event_id = of_event_id and g.luma_guest_id = is_known_guest.news ->> 'luma_guest_id' and g.email = luma.guest_address(is_known_guest.news)
    and g.luma_base = is_known_guest.news ->> 'status' and g.news = is_known_guest.news - '{luma_event_id,luma_guest_id,email,status}'::text[]
    and not g.unseen and not g.in_doubt
);
comment on function luma.is_known_guest(uuid, jsonb) is 'True when Luma tells nothing new of a guest.';

create or replace function luma.was_guest_sent_since(guest luma.guests, at timestamptz)
returns boolean language sql stable set search_path = '' as $$
  select greatest((guest).heard_at, (guest).synced_at) >= at
    or exists (select from luma.sync_outbox o where o.lease = (guest).lease)
    or exists (
      select from luma.guest_links l
      where l.event_id = (guest).event_id and l.email = (guest).email and luma.was_sent_since('rsvp', l.rsvp_id, at)
    )
$$;
comment on function luma.was_guest_sent_since(luma.guests, timestamptz) is
  'True when something of a guest is being sent, was sent, or was heard of since then.';

create or replace function luma.look_at_guest(guest luma.guests, told_at timestamptz)
returns void language plpgsql set search_path = '' as $$
begin
  update luma.guests g set look = true, look_told_at = greatest(case when g.look then g.look_told_at end, told_at) where g.id = guest.id;
  perform luma.enqueue('guest', guest.id, 4, guest.event_id);
end
$$;
comment on function luma.look_at_guest(luma.guests, timestamptz) is 'Has the drain read one guest; told_at as luma.changed_by().';

create or replace function luma.apply_listed_guest(of_event_id uuid, news jsonb, asked_at timestamptz)
returns text language plpgsql set search_path = '' as $$
declare
  event public.canonical_events;
  guest luma.guests;
  outcome text;
begin
  if luma.is_known_guest(of_event_id, apply_listed_guest.news) then
    return 'unchanged';
  end if;
  select * into event from public.canonical_events e where e.id = of_event_id for no key update skip locked;
  if not found then
    if exists (select from public.canonical_events e where e.id = of_event_id) then
      perform luma.busy(format('event %s', of_event_id));
    end if;
    return 'deleted here';
  end if;
  guest := luma.remember_guest(of_event_id, apply_listed_guest.news);
  if luma.was_guest_sent_since(guest, asked_at) then
    perform luma.look_at_guest(guest, luma.changed_by(guest, apply_listed_guest.news, event));
    return 'to be read';
  end if;
  outcome := luma.apply_guest(of_event_id, apply_listed_guest.news, luma.changed_by(guest, apply_listed_guest.news, event), is_read => true);
  -- What Luma was told itself, and shows for the first time, is no news.
  update luma.guests g set pulled_at = clock_timestamp()
  where g.event_id = of_event_id and g.email = luma.guest_address(apply_listed_guest.news)
    and (guest.luma_base is distinct from g.luma_base or (guest.news is distinct from g.news and not guest.unseen))
    -- Of an invitation Luma sends no webhook.
    and g.luma_base <> 'invited'
    -- Nor is who was there before the list was read for the first time, and before the sync.
    and (
      guest.luma_base is not null
      or (apply_listed_guest.news ->> 'registered_at')::timestamptz > (select s.live_since from luma.settings s)
      or exists (select from luma.reads r where r.event_id = of_event_id and r.guests_read_at is not null)
    );
  return outcome;
end
$$;
comment on function luma.apply_listed_guest(uuid, jsonb, timestamptz) is
  'Applies what a pull has read of a guest, as of asked_at. Answers as luma.apply_guest() does. Raises LM001.';

create or replace function luma.look_for_vanished(of_event_id uuid, seen text[], listed_from timestamptz)
returns integer language plpgsql set search_path = '' as $$
declare
  guest luma.guests;
  vanished integer := 0;
begin
  for guest in
    select g.* from luma.guests g
    where g.event_id = of_event_id and g.luma_base <> 'declined'
      and not coalesce(g.luma_guest_id = any (seen), false) and g.email <> all (seen)
      and not luma.was_guest_sent_since(g, listed_from)
  loop
    perform luma.look_at_guest(guest, listed_from);
    vanished := vanished + 1;
  end loop;
  return vanished;
end
$$;
comment on function luma.look_for_vanished(uuid, text[], timestamptz) is
  'Has the drain read the guests that a whole list did not show. Answers how many.';

select luma.restrict_access();
