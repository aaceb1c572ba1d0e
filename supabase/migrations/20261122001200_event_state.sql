-- What of an event's row Luma is told. The one list of synced columns: the triggers compare exactly these
-- (a test holds the two lists together), the base stores them, and an update sends those that differ.

create or replace function luma.event_state(e public.canonical_events)
returns jsonb language sql stable
-- The time zone of the session must not make equal times look different.
set search_path = '' set timezone = 'UTC'
-- A string body, so that the app may still drop or alter its columns.
as $$
  select jsonb_build_object(
    'shown', e.submission_status is not distinct from 'approved',
    'title', e.title,
    'description', e.description,
    'starts_at', e.starts_at,
    'ends_at', e.ends_at,
    'tz', e.tz,
    'lat', e.lat,
    'lng', e.lng,
    'location_raw', e.location_raw,
    'location_name', e.location_name,
    'location_type', e.location_type,
    'meeting_point', e.meeting_point,
    'meeting_url', e.meeting_url,
    'cover_image_url', e.cover_image_url,
    'visibility', e.visibility,
    'max_capacity', e.max_capacity,
    'culture', e.culture,
    'category', e.category,
    'is_ticketed', e.is_ticketed,
    'ticket_price', e.ticket_price,
    'ticket_currency', e.ticket_currency
  )
$$;
comment on function luma.event_state(public.canonical_events) is
  'The synced columns of a row as JSON; shown is true while the event is approved.';

create or replace function luma.changed_fields(state jsonb, base jsonb)
returns text[] language sql immutable set search_path = ''
return (
  select coalesce(array_agg(s.key order by s.key), '{}')
  from jsonb_each(state) s
  where s.value is distinct from base -> s.key
);
comment on function luma.changed_fields(jsonb, jsonb) is
  'Names of the fields of state that differ from base; all of them when base is null.';

create or replace function luma.is_luma_address(address text)
returns boolean language sql immutable set search_path = ''
return coalesce(address ~* '^(https?://)?(www\.)?(lu\.ma|luma\.com)/[^[:space:]/?#]', false);
comment on function luma.is_luma_address(text) is 'True for the address of a page on Luma, in any of its forms.';

create or replace function luma.why_not_created(e public.canonical_events)
returns text language sql stable set search_path = '' as $$
  select case
    when e.submission_status is distinct from 'approved'
      then format('not approved (submission_status %s)', coalesce(e.submission_status, 'null'))
    when e.source_type in ('ical', 'luma') then format('comes from Luma or a feed (source_type %s)', e.source_type)
    when coalesce(e.ends_at, e.starts_at) <= now() then 'over'
    when luma.is_luma_address(e.external_rsvp_url) then format('already on Luma at %s', e.external_rsvp_url)
  end
$$;
comment on function luma.why_not_created(public.canonical_events) is
  'Why no Luma event is created for this row, or null when one is. Says nothing about rows that have one.';
