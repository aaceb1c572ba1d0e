-- Who has declined and has no RSVP, because it was deleted say, was said to be "another guest of this event already".

create or replace function luma.why_external(guest luma.guests)
returns text language sql stable set search_path = '' as $$
  select case
    when m.why is not null then m.why
    when exists (
      select from public.event_rsvps r join luma.guest_links l on l.rsvp_id = r.id
      where r.event_id = (guest).event_id and r.user_id = m.user_id
    ) then format('user %s is another guest of this event already', m.user_id)
    when (guest).luma_base = 'declined' then format('user %s has declined on Luma', m.user_id)
    -- A trigger of the app's refuses the row, say, or the app is writing it.
    else format('it is user %s, whose RSVP could not be written yet', m.user_id)
  end
  from luma.match_user((guest).email, (guest).news ->> 'phone') m
$$;
comment on function luma.why_external(luma.guests) is 'Why a guest on Luma is nobody''s RSVP, for an admin to read.';

create or replace view luma.external_guests as
select g.id, g.event_id, e.title, g.luma_guest_id, g.email, g.news ->> 'name' as name, g.news ->> 'phone' as phone,
  g.luma_base as status, (g.news ->> 'registered_at')::timestamptz as registered_at,
  (g.news ->> 'checked_in_at')::timestamptz as checked_in_at,
  luma.why_external(g) as why,
  'The same name: ' || alike.ids as hint
from luma.guests g
left join public.canonical_events e on e.id = g.event_id
-- One pass over the users, not one for each guest.
left join (
  select lower(u.name) as name, string_agg(u.id, ', ' order by u.id) as ids
  from public.users u
  where lower(u.name) in (select lower(n.news ->> 'name') from luma.guests n where luma.is_external(n))
  group by lower(u.name) having count(*) <= 3
) alike on alike.name = lower(g.news ->> 'name')
where luma.is_external(g);

select luma.restrict_access();
