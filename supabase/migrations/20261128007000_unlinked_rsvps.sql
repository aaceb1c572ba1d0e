-- An RSVP that says no from the start sends nothing, so nothing enqueues it. If Luma has its user as a guest who has
-- declined, of a row that was deleted say, nobody found out that the two are one person: the user was listed as a guest
-- from outside as well.

create or replace function luma.diverged_rsvps(of_event uuid default null, of_user text default null)
returns table (rsvp_id uuid, event_id uuid) language sql stable set search_path = '' as $$
  select i.id, e.event_id
  from (
    select l.event_id from luma.event_links l
    where of_user is null and (of_event is null or l.event_id = of_event)
    union
    select r.event_id from public.event_rsvps r where r.user_id = of_user
  ) e
  cross join lateral (
    select id from luma.rsvps_of_event(e.event_id) id
    where of_user is null or id in (select r.id from public.event_rsvps r where r.user_id = of_user)
  ) i
  cross join lateral luma.guest_need(i.id) n
  where luma.takes_guests(e.event_id)
    -- Luma has the guest, as it should be, and only which RSVP that is has to be written down: luma.guests_job() does.
    and (n.kind is not null or n.agreed is not null and not exists (select from luma.guest_links k where k.rsvp_id = i.id))
    and not exists (
      select from luma.sync_outbox o
      where o.entity = 'rsvp' and o.entity_id = i.id and o.version > o.done_version
        -- What was given up is tried again only when its user's address changed.
        and (o.dead_at is null or of_user is null)
    )
$$;
comment on function luma.diverged_rsvps(uuid, text) is
  'RSVPs that differ from Luma, or whose guest nobody knows yet to be theirs, though nothing of them waits in the outbox: of one event, of one user, or of all events that take guests.';

select luma.restrict_access();
