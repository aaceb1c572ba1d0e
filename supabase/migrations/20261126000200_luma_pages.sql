-- Addresses of pages on Luma, in all their forms, and the rows that show one.

create or replace function luma.page_keys(source text)
returns setof text language sql immutable set search_path = '' as $$
  -- luma.com, lu.ma and www are the same, and so is what stands around the slug. /event/evt-… is a page too, and
  -- /event/manage/evt-… the one that its host sees.
  select distinct lower(m[1])
  from regexp_matches(
    source,
    '(?:^|[^a-z0-9.-])(?:www\.)?(?:lu\.ma|luma\.com)/(?:event/(?:manage/)?)?([a-z0-9](?:[a-z0-9_.%-]*[a-z0-9])?)',
    'gi'
  ) m
$$;
comment on function luma.page_keys(text) is
  'The slugs (or evt-… ids), in lower case, of the pages on Luma whose addresses stand in a text.';

create or replace function luma.is_luma_address(address text)
returns boolean language sql immutable set search_path = ''
return coalesce(address ~* '^[[:space:]]*(https?://)?(www\.)?(lu\.ma|luma\.com)/[^[:space:]/?#]', false);

create or replace function luma.link_keys(link luma.event_links)
returns setof text language sql immutable set search_path = '' as $$
  select lower((link).slug)
  union select lower((link).luma_event_id) where (link).luma_event_id is not null
  union select luma.page_keys((link).url)
$$;
comment on function luma.link_keys(luma.event_links) is 'The names under which a Luma event has its page, as luma.page_keys() puts them.';

create or replace function luma.pages_shown(e public.canonical_events)
returns table (page text, is_certain boolean) language sql stable set search_path = '' as $$
  select k, true from luma.page_keys((e).external_rsvp_url) k
  union
  -- The app's iCal worker keeps a JSON array, or one in a JSON string.
  select k, true from luma.page_keys((e).source_refs::text) k
  union
  select k, (e).source_type = 'ical' from luma.page_keys((e).description) k
$$;
comment on function luma.pages_shown(public.canonical_events) is
  'The pages on Luma that a row names. A page that only the description names is certain for rows of feeds; others may name somebody else''s event.';

create or replace function luma.is_alike(e public.canonical_events, title text, starts_at timestamptz)
returns boolean language sql immutable set search_path = '' as $$
  select coalesce(
    luma.loosely(to_jsonb((e).title)) = luma.loosely(to_jsonb(title))
    or (e).starts_at between starts_at - interval '1 day' and starts_at + interval '1 day', false
  )
$$;
comment on function luma.is_alike(public.canonical_events, text, timestamptz) is
  'True when a row can be this event, by its title or its day.';

create or replace function luma.rows_of_page(keys text[], title text, starts_at timestamptz)
returns table (event_id uuid, is_certain boolean) language sql stable set search_path = '' as $$
  select e.id, bool_or(p.is_certain)
  from public.canonical_events e
  left join luma.event_links l on l.event_id = e.id
  cross join lateral luma.pages_shown(e) p
  where (e.external_rsvp_url ~* '(lu\.ma|luma\.com)/' or e.source_refs::text ~* '(lu\.ma|luma\.com)/' or e.description ~* '(lu\.ma|luma\.com)/')
    and l.luma_event_id is null and p.page = any (keys)
    and (p.is_certain or luma.is_alike(e, rows_of_page.title, rows_of_page.starts_at))
  group by e.id
$$;
comment on function luma.rows_of_page(text[], text, timestamptz) is
  'Rows that show this Luma event (its luma.link_keys()) and are not linked yet.';

create or replace view luma.duplicates as
select e.id as event_id, e.title, e.source_type, e.submission_status, l.event_id as same_as, k.title as same_as_title,
  l.luma_event_id, coalesce(l.url, 'https://luma.com/' || l.slug) as luma_url
from public.canonical_events e
cross join lateral (
  select p.page, p.is_certain from luma.pages_shown(e) p
  union select lower(e.luma_event_id), true where e.luma_event_id is not null
) p
join (
  select l.event_id, l.luma_event_id, l.url, l.slug, k.key
  from luma.event_links l cross join lateral luma.link_keys(l) k (key) where l.luma_event_id is not null
) l on l.key = p.page and l.event_id <> e.id
left join public.canonical_events k on k.id = l.event_id
where not exists (select from luma.event_links x where x.event_id = e.id and x.luma_event_id is not null)
  and (p.is_certain or luma.is_alike(e, k.title, k.starts_at))
group by e.id, l.event_id, k.title, l.luma_event_id, l.url, l.slug;
comment on view luma.duplicates is
  'Rows that show a Luma event which another row (same_as) is linked with. Nothing is merged by itself: an admin deletes or cancels one of the two.';

create or replace function luma.pulled_since(at timestamptz)
returns boolean language sql stable set search_path = '' as $$
  select not exists (
    select from public.calendars c
    where c.luma_key is not null and c.has_api_key and luma.calendar_ready(c.luma_key)
      and not exists (
        select from luma.pull_runs r
        where r.calendar = c.luma_key and r.luma_event_id is null and r.outcome in ('done', 'incomplete')
          and r.started_at > pulled_since.at and (not r.is_dry or luma.mode() = 'dry_run')
      )
  )
$$;
comment on function luma.pulled_since(timestamptz) is 'True when every calendar was pulled since then: whatever was on Luma by then is known here.';

create or replace function luma.why_not_created(e public.canonical_events)
returns text language sql stable set search_path = '' as $$
  select case
    when e.submission_status is distinct from 'approved'
      then format('not approved (submission_status %s)', coalesce(e.submission_status, 'null'))
    when e.source_type in ('ical', 'luma') then format('comes from Luma or a feed (source_type %s)', e.source_type)
    when luma.is_over(e) then 'over'
    when e.luma_event_id is not null and not exists (select from luma.event_links l where l.event_id = e.id)
      -- By something that was there before this project. A pull links it.
      then format('on Luma already as %s; if Luma has no such event any more, set luma_event_id to null', e.luma_event_id)
    when luma.is_luma_address(e.external_rsvp_url) then format('already on Luma at %s', e.external_rsvp_url)
    when exists (select from luma.page_keys(e.source_refs::text)) then 'already on Luma, as its source_refs say'
    when e.description ~* '(lu\.ma|luma\.com)/' then (
      select case
        when exists (select from luma.duplicates d where d.event_id = e.id)
          then 'on Luma already, under another row: see luma.duplicates'
        when not luma.pulled_since(e.created_at)
          then 'its description names a page on Luma: created after the next pull, unless it is that event'
      end
      where exists (select from luma.page_keys(e.description))
    )
  end
$$;

select luma.restrict_access();
