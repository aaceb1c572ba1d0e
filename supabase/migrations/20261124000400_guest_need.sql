-- What Luma should hold of an RSVP, and what is to be done about it. The one place that decides this.

create or replace function luma.guest_status(rsvp_status text)
returns text language sql immutable set search_path = ''
return case
  when rsvp_status in ('going', 'approved') then 'approved'
  -- 'interested' is the app's word for waiting for the host's approval.
  when rsvp_status in ('interested', 'pending') then 'pending_approval'
  when rsvp_status = 'waitlist' then 'waitlist'
  else 'declined'
end;
comment on function luma.guest_status(text) is
  'Luma''s word for a status of event_rsvps: approved, pending_approval, waitlist, or declined for everybody who does not want or may not come.';

create or replace function luma.status_rank(guest_status text)
returns integer language sql immutable set search_path = ''
return array_position('{declined,waitlist,pending_approval,approved}', guest_status);
comment on function luma.status_rank(text) is 'Where a guest status stands between declined (1) and approved (4).';

create or replace function luma.guest_need(
  rsvp_id uuid,
  out event_id uuid, out user_id text, out email text, out name text,
  out wanted text, out agreed text, out in_doubt boolean, out luma_guest_id text, out busy boolean,
  out moved boolean, out kind text
)
language plpgsql stable set search_path = '' as $$
declare
  rsvp public.event_rsvps;
  member public.users;
  link luma.guest_links;
  guest luma.guests;
begin
  select * into rsvp from public.event_rsvps r where r.id = guest_need.rsvp_id;
  select * into link from luma.guest_links l where l.rsvp_id = guest_need.rsvp_id;
  select * into member from public.users u where u.id = rsvp.user_id;
  -- The row is gone, or is another person's or event's now: the guest that it was has to leave first. Another user
  -- with the same address, after accounts were merged say, is the same guest.
  moved := link.rsvp_id is not null and (rsvp.event_id, rsvp.user_id) is distinct from (link.event_id, link.user_id)
    and (rsvp.event_id, luma.usable_email(member.email)) is distinct from (link.event_id, link.email);
  if moved then
    event_id := link.event_id;
    user_id := link.user_id;
    wanted := 'declined';
  elsif rsvp.id is null then
    return;
  else
    event_id := rsvp.event_id;
    user_id := rsvp.user_id;
    name := member.name;
    -- An RSVP whose user is gone is as good as deleted.
    wanted := case when member.id is null then 'declined' else luma.guest_status(rsvp.status) end;
  end if;

  select * into guest from luma.guests g where g.event_id = link.event_id and g.email = link.email;
  email := link.email;
  if not moved and guest.row_base is null and guest.luma_base is null and not coalesce(guest.in_doubt, false) then
    -- Luma has never heard of this guest, so the address can still be corrected.
    email := luma.usable_email(member.email);
    select * into guest from luma.guests g where g.event_id = guest_need.event_id and g.email = guest_need.email;
  end if;
  in_doubt := coalesce(guest.in_doubt, false);
  -- Who registered on Luma is there, though nothing was agreed on with this row yet.
  agreed := case
    when in_doubt then null
    else coalesce(guest.row_base, case when luma.status_rank(guest.luma_base) is not null then guest.luma_base end)
  end;
  luma_guest_id := guest.luma_guest_id;
  -- Also when the lease has run out but is not freed yet: only then it is known whether the guest is in doubt.
  busy := exists (
    select from luma.sync_outbox o where o.lease = guest.lease and o.entity_id <> guest_need.rsvp_id
  ) or (
    -- Luma has said otherwise: what is to be sent is known when it has been read.
    coalesce(guest.look, false) and exists (
      select from luma.sync_outbox o
      where o.entity = 'guest' and o.entity_id = guest.id and o.version > o.done_version and o.dead_at is null
    )
  );

  -- Who shares the address, or was this user's row before it was made again: the guest stays as long as one
  -- of them wants to come.
  select w.status into wanted
  from (
    select guest_need.wanted as status
    union all
    select luma.guest_status(r.status) from public.event_rsvps r
    where r.event_id = guest_need.event_id and r.user_id = guest_need.user_id and r.id <> guest_need.rsvp_id
    union all
    select luma.guest_status(r.status)
    from luma.guest_links k
    join public.event_rsvps r on r.id = k.rsvp_id and r.event_id = k.event_id and r.user_id = k.user_id
    where k.event_id = guest_need.event_id and k.email = guest_need.email and k.rsvp_id <> guest_need.rsvp_id
  ) w
  order by luma.status_rank(w.status) desc limit 1;

  kind := case
    when email is null then null
    when agreed = wanted then null
    when agreed is not null then 'change'
    when wanted <> 'declined' then 'add'
    -- Declined only if Luma has the guest.
    when in_doubt then 'change'
  end;
end
$$;
comment on function luma.guest_need(uuid) is
  'What Luma should hold of an RSVP (also of one that was deleted) while its event takes guests: wanted; agreed is what both sides last agreed on. kind: add (Luma may not have the guest), change, or null when nothing is to be done. busy: another RSVP of the same guest is being sent. moved: the row is gone or is somebody else''s now.';
