-- Guests on Luma who are nobody's RSVP. They take part in current_rsvp_count, which the app writes in two ways: its
-- trigger counts 'going' and 'approved' rows, the app itself then only 'going'. Neither knows of these guests, so
-- whoever writes the column writes it without them, and the trigger below adds them.

create or replace function luma.is_external(guest luma.guests)
returns boolean language sql stable set search_path = ''
return (guest).luma_base is not null and not exists (
  select from luma.guest_links l where l.event_id = (guest).event_id and l.email = (guest).email
);
comment on function luma.is_external(luma.guests) is 'True for a guest whom Luma has and who is nobody''s RSVP.';

create or replace view luma.external_guests as
select g.id, g.event_id, e.title, g.luma_guest_id, g.email, g.news ->> 'name' as name, g.news ->> 'phone' as phone,
  g.luma_base as status, (g.news ->> 'registered_at')::timestamptz as registered_at,
  (g.news ->> 'checked_in_at')::timestamptz as checked_in_at,
  coalesce(m.why, format('user %s is another guest of this event already', m.user_id)) as why,
  'The same name: ' || alike.ids as hint
from luma.guests g
left join public.canonical_events e on e.id = g.event_id
cross join lateral luma.match_user(g.email, g.news ->> 'phone') m
-- One pass over the users, not one for each guest.
left join (
  select lower(u.name) as name, string_agg(u.id, ', ' order by u.id) as ids
  from public.users u
  where lower(u.name) in (select lower(n.news ->> 'name') from luma.guests n where luma.is_external(n))
  group by lower(u.name) having count(*) <= 3
) alike on alike.name = lower(g.news ->> 'name')
where luma.is_external(g);
comment on view luma.external_guests is
  'Guests on Luma who are nobody''s RSVP, and why not. They count in current_rsvp_count, and become RSVPs when a user with their e-mail address or phone number appears. hint: users with the same name, for an admin to ask; a name alone never matches.';

create or replace function luma.add_external_guests()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  -- Whoever writes the column has the row's lock, and luma.add_to_count() takes it first: so this reads
  -- the number that goes with the row.
  new.current_rsvp_count := new.current_rsvp_count
    + coalesce((select l.external_count from luma.event_links l where l.event_id = new.id), 0);
  return new;
exception when others then
  raise warning 'luma: the external guests of event % were not counted: %', new.id, sqlerrm;
  return new;
end
$$;
comment on function luma.add_external_guests() is 'Trigger: adds the external guests to a count that was written without them. Never raises.';

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

create or replace trigger zz_luma_external_guests
before update of current_rsvp_count on public.canonical_events
for each row when (new.luma_event_id is not null)
execute function luma.add_external_guests();

reset lock_timeout;

create or replace function luma.is_counted(guest luma.guests)
returns boolean language sql stable set search_path = ''
return coalesce((guest).luma_base in ('approved', 'session'), false) and luma.is_external(guest);
comment on function luma.is_counted(luma.guests) is 'True for an external guest who is going.';

create or replace function luma.add_to_count(of_event_id uuid, difference integer)
returns void language plpgsql set search_path = '' as $$
declare
  before integer;
begin
  -- The app's row first, as everywhere.
  perform from public.canonical_events e where e.id = of_event_id for no key update;
  select l.external_count into before from luma.event_links l where l.event_id = of_event_id for update;
  update luma.event_links l set external_count = before + difference where l.event_id = of_event_id;
  -- Without them, as the app writes it: the trigger adds those that there are now.
  update public.canonical_events e set current_rsvp_count = greatest(coalesce(e.current_rsvp_count, 0) - before, 0)
  where e.id = of_event_id;
end
$$;
comment on function luma.add_to_count(uuid, integer) is 'There are so many external guests more, or fewer: current_rsvp_count says so too.';

create or replace function luma.count_external_guests(counted_event_id uuid)
returns void language plpgsql set search_path = '' as $$
declare
  difference integer;
begin
  perform from public.canonical_events e where e.id = counted_event_id for no key update;
  select count(*) - (select l.external_count from luma.event_links l where l.event_id = counted_event_id) into difference
  from luma.guests g where g.event_id = counted_event_id and luma.is_counted(g);
  if difference <> 0 then
    perform luma.add_to_count(counted_event_id, difference);
  end if;
end
$$;
comment on function luma.count_external_guests(uuid) is
  'Counts the external guests of an event anew, and corrects current_rsvp_count by what that changes.';
