-- A Luma event that a row of the app shows already is adopted: the row keeps its id and its RSVPs.

create or replace function luma.adoptable_row(news jsonb)
returns public.canonical_events language plpgsql set search_path = '' as $$
declare
  luma_id text := news ->> 'luma_event_id';
  known_id uuid;
  event public.canonical_events;
begin
  select e.id into known_id
  from (select substring(news ->> 'slug' from '(?:^|-)([0-9a-f]{12})$') as digits) own
  cross join lateral (
    select e.id as event_id, true as is_certain from public.canonical_events e
    where e.luma_event_id = luma_id and not exists (select from luma.event_links l where l.event_id = e.id)
    union all
    -- A slug that we chose (luma.slug_for()) ends in 12 digits of the row's id: the link was lost with a restored backup.
    select e.id, true from public.canonical_events e
    where e.id between (own.digits || repeat('0', 20))::uuid and (own.digits || repeat('f', 20))::uuid
      and not exists (select from luma.event_links l where l.event_id = e.id)
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

create or replace function luma.adopt_own_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
returns void language plpgsql set search_path = '' as $$
declare
  state jsonb := luma.event_state(event);
  -- What Luma never tells. It is sent if it says something; else nothing there is emptied because of it.
  untold text[] := '{shown,location_type,max_capacity,category,is_ticketed,ticket_price,ticket_currency}';
  to_send text[] := array(
    select s.key from jsonb_each_text(state) s
    where s.key = 'max_capacity' and s.value is not null
      or s.key in ('category', 'is_ticketed', 'ticket_price', 'ticket_currency') and (event.is_ticketed or event.category = 'ticketed')
  );
begin
  event := luma.write_event(event, jsonb_build_object('luma_event_id', news ->> 'luma_event_id'));
  link.row_base := (select jsonb_object_agg(s.key, s.value) from jsonb_each(state) s where s.key = any (untold)) - to_send;
  -- While it is being adopted luma.merge_event() takes every field that it has not heard of by the rules of adoption.
  perform luma.merge_event(event, link, news, source);
  if to_send <> '{}' and event.submission_status = 'approved' then
    -- Nobody is mailed because of it.
    perform luma.enqueue('event', event.id, 4, event.id);
  end if;
end
$$;
comment on function luma.adopt_own_event(public.canonical_events, luma.event_links, jsonb, text) is
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
    perform luma.adopt_own_event(event, link, news, source);
    -- Lists tell no descriptions.
    perform luma.request_look(link.event_id, tags => not news ? 'tags');
    -- Its creation may have been waiting, more urgently.
    update luma.sync_outbox o set priority = 4 where o.entity = 'event' and o.entity_id = link.event_id;
  end if;
  if source = 'webhook' then
    -- Its guests, before its RSVPs are sent. A pull comes to them by itself.
    perform luma.ask_pull(link.calendar, link.luma_event_id);
  end if;
end
$$;
comment on function luma.adopt_event(public.canonical_events, luma.event_links, jsonb, text) is
  'Links a row with the Luma event that it shows. Of a feed''s row, which becomes a luma row, Luma says all; else the app leads.';

select luma.restrict_access();
