-- A guest whose last call is in doubt. When Luma tells something that was never sent, the job sends the app's status all the
-- same, and what a host or the guest had said was nowhere. And when the RSVP is deleted before anybody has heard of the call,
-- its own echo brought the RSVP back.

create or replace function luma.merge_rsvps(guest luma.guests, before luma.guests, sent_at timestamptz, just_linked boolean)
returns text language plpgsql set search_path = '' as $$
declare
  told text := case guest.luma_base when 'session' then 'approved' else guest.luma_base end;
  said text;
  written_at timestamptz;
  outcome text := 'unchanged';
  rsvp public.event_rsvps;
  changes jsonb;
  luma_won boolean := false;
begin
  select (array_agg(luma.guest_status(r.status) order by luma.status_rank(luma.guest_status(r.status)) desc))[1],
    max(coalesce(r.updated_at, r.created_at))
  into said, written_at from luma.linked_rsvps(guest) r;
  if told = said then
    guest.row_base := said;
    guest.in_doubt := false;
  elsif luma.status_rank(told) is null then
    -- Invited says nothing about who has an RSVP already.
    null;
  elsif guest.in_doubt then
    -- Its own job looks it up, and sends the app's. That overwrites what Luma says, which may be what a call of ours has told,
    -- or what was changed there since: nobody can know.
    if told is distinct from before.luma_base then
      perform luma.note_guest_conflict(guest, told);
    end if;
  elsif told = before.luma_base and not just_linked then
    -- Changed here alone: it is on its way.
    null;
  elsif guest.row_base is distinct from said
    -- Changed on both sides: the later change stays (the integration plan's rule for RSVPs).
    and written_at > (
      case when told is distinct from before.luma_base then sent_at
      else coalesce((guest.news ->> 'registered_at')::timestamptz, sent_at) end
    )
  then
    perform luma.note_conflict('rsvp', r.id, guest.event_id, 'status', to_jsonb(r.status), to_jsonb(told), 'app')
    from luma.linked_rsvps(guest) r;
    perform luma.enqueue('rsvp', r.id, 1, guest.event_id) from luma.linked_rsvps(guest) r;
  else
    if guest.row_base is distinct from said then
      perform luma.note_conflict('rsvp', r.id, guest.event_id, 'status', to_jsonb(r.status), to_jsonb(told), 'luma')
      from luma.linked_rsvps(guest) r;
    end if;
    luma_won := true;
    guest.row_base := told;
    guest.in_doubt := false;
  end if;

  -- Of two users with one address the one whose row was written last comes back; nobody stays in above the guest.
  for rsvp in select * from luma.linked_rsvps(guest) r order by coalesce(r.updated_at, r.created_at) desc loop
    changes := luma.ticket_columns(rsvp, guest.news, before.news);
    if luma_won and (
      luma.status_rank(luma.guest_status(rsvp.status)) > luma.status_rank(told)
      or not exists (select from luma.linked_rsvps(guest) r where luma.guest_status(r.status) = told)
    ) then
      changes := changes || jsonb_build_object('status', luma.rsvp_status_of(told));
    end if;
    if changes <> '{}' then
      perform luma.write_rsvp(rsvp, changes, guest);
      outcome := 'updated';
    end if;
  end loop;
  update luma.guests g
  set row_base = guest.row_base, in_doubt = guest.in_doubt, synced_at = case when outcome = 'updated' then now() else g.synced_at end
  where g.id = guest.id;
  return outcome;
end
$$;

create or replace function luma.place_guest(guest luma.guests, before luma.guests, sent_at timestamptz)
returns text language plpgsql set search_path = '' as $$
declare
  outcome text;
  found_rsvp record;
begin
  perform luma.lock_rsvp(l.rsvp_id) from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email;
  if exists (select from luma.linked_rsvps(guest)) then
    return luma.merge_rsvps(guest, before, sent_at, just_linked => false);
  elsif exists (select from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email)
    and (
      guest.luma_base = 'declined' or guest.luma_base is not distinct from before.luma_base
      or guest.in_doubt and guest.luma_base = any (guest.maybe_sent)
    )
  then
    -- The row was deleted here, and its guest leaves Luma, or has left. This may be the echo of an earlier call, or a
    -- registration since then, which ours will overwrite: nobody can know.
    if guest.in_doubt and guest.luma_base not in ('declined', coalesce(before.luma_base, '')) then
      perform luma.note_guest_conflict(guest, guest.luma_base);
    end if;
    return 'unchanged';
  elsif guest.luma_base = 'declined' and before.luma_base = 'declined' then
    -- Said before: the echo of a row's deletion that has been told by now, say.
    return 'unchanged';
  elsif luma.rsvp_status_of(guest.luma_base) is null then
    return 'status unknown';
  end if;
  found_rsvp := luma.find_rsvp(guest);
  if found_rsvp.user_id is null then
    return 'external';
  end if;
  if found_rsvp.rsvp_id is not null then
    perform luma.lock_rsvp(found_rsvp.rsvp_id);
    outcome := 'linked';
  else
    found_rsvp.rsvp_id := luma.insert_rsvp(guest, found_rsvp.user_id);
    outcome := 'inserted';
  end if;
  -- Those of rows that are gone have nothing to send any more.
  delete from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email;
  insert into luma.guest_links (rsvp_id, event_id, user_id, email)
  values (found_rsvp.rsvp_id, guest.event_id, found_rsvp.user_id, guest.email)
  on conflict (rsvp_id) do update set event_id = excluded.event_id, user_id = excluded.user_id, email = excluded.email;
  if outcome = 'inserted' then
    update luma.guests g
    set row_base = luma.guest_status(luma.rsvp_status_of(guest.luma_base)), in_doubt = false, synced_at = now()
    where g.id = guest.id;
  else
    perform luma.merge_rsvps(guest, before, sent_at, just_linked => true);
  end if;
  return outcome;
end
$$;

select luma.restrict_access();
