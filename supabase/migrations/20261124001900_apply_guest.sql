-- What Luma tells of a guest becomes an RSVP, or an external guest. As with events nothing here waits for the app.

create or replace function luma.rsvp_status_of(guest_status text)
returns text language sql immutable set search_path = ''
return case
  when guest_status in ('approved', 'session') then 'going'
  when guest_status = 'pending_approval' then 'pending'
  when guest_status = 'invited' then 'interested'
  when guest_status = 'declined' then 'rejected'
  when guest_status = 'waitlist' then 'waitlist'
end;
comment on function luma.rsvp_status_of(text) is 'The app''s word for a guest''s status on Luma, or null for one that nobody knows.';

create or replace function luma.linked_rsvps(guest luma.guests)
returns setof public.event_rsvps language sql stable set search_path = '' as $$
  select r.* from luma.guest_links l
  join public.event_rsvps r on r.id = l.rsvp_id and r.event_id = l.event_id and r.user_id = l.user_id
  where l.event_id = (guest).event_id and l.email = (guest).email
$$;
comment on function luma.linked_rsvps(luma.guests) is 'The rows that this guest is: usually one, two when two users have one address.';

create or replace function luma.lock_rsvp(locked_rsvp_id uuid)
returns void language plpgsql set search_path = '' as $$
begin
  perform from public.event_rsvps r where r.id = locked_rsvp_id for no key update skip locked;
  if not found and exists (select from public.event_rsvps r where r.id = locked_rsvp_id) then
    perform luma.busy(format('RSVP %s', locked_rsvp_id));
  end if;
  perform luma.lock_unleased('rsvp', locked_rsvp_id);
  -- A verdict that a claim has passed on what was here before must not be carried out.
  update luma.sync_outbox o
  set version = o.version + 1, done_version = o.done_version + (o.done_version = o.version)::integer,
      dry_version = o.dry_version + (o.dry_version = o.version)::integer
  where o.entity = 'rsvp' and o.entity_id = locked_rsvp_id;
end
$$;
comment on function luma.lock_rsvp(uuid) is 'Locks an RSVP and keeps drains away from it; raises LM001 when the app or a drain has it.';

create or replace function luma.ticket_columns(rsvp public.event_rsvps, told jsonb, before jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  -- Only what changed there since it was last told, so that what the app has set since stays.
  select case
      when told -> 'checked_in_at' is distinct from before -> 'checked_in_at' and told ->> 'checked_in_at' is not null
        then jsonb_build_object('checked_in', true, 'checked_in_at', told -> 'checked_in_at')
      when told ->> 'checked_in_at' is null and (before ->> 'checked_in_at')::timestamptz = rsvp.checked_in_at
        then '{"checked_in": false, "checked_in_at": null}'
      else '{}'
    end
    || case
      when told ->> 'rsvp_type' <> coalesce(before ->> 'rsvp_type', 'standard')
        and coalesce(rsvp.rsvp_type, 'standard') in ('standard', before ->> 'rsvp_type')
        then jsonb_build_object('rsvp_type', told -> 'rsvp_type')
      else '{}'
    end
    || case
      -- What our own RSVPs get on Luma is its standard ticket, which says nothing.
      when told -> 'tickets' is distinct from before -> 'tickets' and (before is not null or told ->> 'rsvp_type' <> 'standard')
        then jsonb_build_object('metadata', coalesce(rsvp.metadata, '{}') || jsonb_build_object('luma_tickets', told -> 'tickets'))
      else '{}'
    end
$$;
comment on function luma.ticket_columns(public.event_rsvps, jsonb, jsonb) is
  'Changes of an RSVP''s columns by what Luma tells of the guest''s tickets now and told before.';

create or replace function luma.write_rsvp(rsvp public.event_rsvps, changes jsonb, guest luma.guests)
returns void language plpgsql set search_path = '' as $$
declare
  n public.event_rsvps := jsonb_populate_record(rsvp, changes);
begin
  perform set_config('luma.applying', 'on', true);
  update public.event_rsvps r
  set status = n.status, rsvp_type = n.rsvp_type, checked_in = n.checked_in, checked_in_at = n.checked_in_at,
      metadata = n.metadata, luma_guest_id = coalesce(guest.luma_guest_id, r.luma_guest_id), luma_synced_at = now()
  where r.id = n.id;
  perform set_config('luma.applying', '', true);
end
$$;
comment on function luma.write_rsvp(public.event_rsvps, jsonb, luma.guests) is 'Writes what Luma told to an RSVP, and nothing is sent because of it.';

create or replace function luma.insert_rsvp(guest luma.guests, rsvp_user_id text)
returns uuid language plpgsql set search_path = '' as $$
declare
  inserted uuid;
  told jsonb := guest.news;
begin
  perform set_config('luma.applying', 'on', true);
  insert into public.event_rsvps (
    event_id, user_id, status, rsvp_type, checked_in, checked_in_at, metadata, created_at, luma_guest_id, luma_synced_at
  ) values (
    guest.event_id, rsvp_user_id, luma.rsvp_status_of(guest.luma_base), coalesce(told ->> 'rsvp_type', 'standard'),
    told ->> 'checked_in_at' is not null, (told ->> 'checked_in_at')::timestamptz,
    jsonb_build_object('luma_tickets', coalesce(told -> 'tickets', '[]')),
    coalesce((told ->> 'registered_at')::timestamptz, now()), guest.luma_guest_id, now()
  )
  on conflict do nothing returning id into inserted;
  perform set_config('luma.applying', '', true);
  if inserted is null then
    perform luma.busy(format('the RSVP of user %s', rsvp_user_id));
  end if;
  return inserted;
end
$$;
comment on function luma.insert_rsvp(luma.guests, text) is 'The RSVP of a user who came by Luma.';

create or replace function luma.find_rsvp(guest luma.guests, out rsvp_id uuid, out user_id text)
language plpgsql set search_path = '' as $$
declare
  link luma.guest_links;
begin
  select * into link from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email limit 1;
  -- Its row was deleted here, and the guest has come back on Luma since; or who it is has to be found out.
  user_id := coalesce(
    (select u.id from public.users u where u.id = link.user_id),
    (luma.match_user(guest.email, guest.news ->> 'phone')).user_id
  );
  select r.id into rsvp_id from public.event_rsvps r where r.event_id = guest.event_id and r.user_id = find_rsvp.user_id;
  if exists (
    select from luma.guest_links l
    where l.rsvp_id = find_rsvp.rsvp_id and (l.event_id, l.email) <> (guest.event_id, guest.email)
  ) then
    -- That user is another guest already: whose second registration this is, nobody can tell.
    rsvp_id := null;
    user_id := null;
  end if;
end
$$;
comment on function luma.find_rsvp(luma.guests) is 'The user that a guest is, and that user''s RSVP if there is one. Both null for an external guest.';

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
  elsif luma.status_rank(told) is null or guest.in_doubt then
    -- Invited says nothing about who has an RSVP already; and what is in doubt its own job looks up.
    null;
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
comment on function luma.merge_rsvps(luma.guests, luma.guests, timestamptz, boolean) is
  'Merges what Luma told of a guest (before: as it was known until then) into the RSVPs that the guest is.';

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
    and (guest.luma_base = 'declined' or guest.luma_base is not distinct from before.luma_base)
  then
    -- The row was deleted here, and its guest leaves Luma, or has left.
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
comment on function luma.place_guest(luma.guests, luma.guests, timestamptz) is
  'Finds or makes the RSVP of a guest, and merges. Answers updated, unchanged, inserted, linked or external.';

create or replace function luma.remember_guest(of_event_id uuid, news jsonb)
returns luma.guests language plpgsql set search_path = '' as $$
declare
  address text := luma.guest_address(remember_guest.news);
  guest luma.guests;
  known_id uuid := (
    select g.id from luma.guests g
    where g.event_id = of_event_id and (g.luma_guest_id = remember_guest.news ->> 'luma_guest_id' or g.email = address)
    -- The id is more the guest than the address, which can be changed on Luma.
    order by g.luma_guest_id = remember_guest.news ->> 'luma_guest_id' desc nulls last limit 1
  );
begin
  if known_id is null then
    insert into luma.guests as g (event_id, email) values (of_event_id, address) on conflict do nothing returning g.* into guest;
  else
    select * into guest from luma.guests g where g.id = known_id for update skip locked;
  end if;
  if guest.id is null then
    perform luma.busy(format('a guest of event %s', of_event_id));
  end if;
  return guest;
end
$$;
comment on function luma.remember_guest(uuid, jsonb) is 'The line of a guest, locked, made if this is the first that is heard of it.';

create or replace function luma.guest_address(news jsonb)
returns text language sql immutable set search_path = ''
-- A guest without an address is known by the id alone.
return coalesce(luma.usable_email(news ->> 'email'), nullif(news ->> 'email', ''), news ->> 'luma_guest_id');
comment on function luma.guest_address(jsonb) is 'guests.email of a guest that Luma tells of.';

create or replace function luma.rename_guest(guest luma.guests, address text)
returns luma.guests language plpgsql set search_path = '' as $$
begin
  if exists (select from luma.guests g where g.event_id = guest.event_id and g.email = address) then
    -- Another guest has it by now; calls about this one go by its id.
    return guest;
  end if;
  update luma.guest_links l set email = address where l.event_id = guest.event_id and l.email = guest.email;
  update luma.guests g set email = address where g.id = guest.id returning g.* into guest;
  return guest;
end
$$;
comment on function luma.rename_guest(luma.guests, text) is 'Follows a guest who has changed the address on Luma.';

create or replace function luma.count_guest(guest luma.guests, was_counted boolean)
returns void language plpgsql set search_path = '' as $$
declare
  is_counted boolean := luma.is_counted(guest);
begin
  if is_counted <> was_counted then
    perform luma.add_to_count(guest.event_id, is_counted::integer - was_counted::integer);
  end if;
end
$$;
comment on function luma.count_guest(luma.guests, boolean) is 'Counts one guest who has become an external one, or is none any more.';

create or replace function luma.apply_guest(of_event_id uuid, news jsonb, sent_at timestamptz, is_read boolean)
returns text language plpgsql set search_path = '' set lock_timeout = '20ms' as $$
declare
  told text := apply_guest.news ->> 'status';
  details jsonb := apply_guest.news - '{luma_event_id,luma_guest_id,email,status}'::text[];
  address text := luma.guest_address(apply_guest.news);
  guest luma.guests;
  before luma.guests;
  was_counted boolean;
  outcome text;
begin
  -- Most webhooks repeat what is known: that costs the app's rows nothing.
  update luma.guests g set heard_at = clock_timestamp()
  where g.event_id = of_event_id and g.luma_guest_id = apply_guest.news ->> 'luma_guest_id' and g.email = address
    and g.luma_base = told and g.news = details and g.lease is null and not is_read
    and not g.unseen and not g.in_doubt and not luma.is_external(g);
  if found then
    return 'unchanged';
  end if;
  -- The app's row first: an RSVP that is written here has the app's own trigger write it.
  perform from public.canonical_events e where e.id = of_event_id for no key update skip locked;
  if not found then
    if exists (select from public.canonical_events e where e.id = of_event_id) then
      perform luma.busy(format('event %s', of_event_id));
    end if;
    return 'deleted here';
  end if;
  guest := luma.remember_guest(of_event_id, apply_guest.news);
  before := guest;
  if not is_read then
    if guest.lease is not null and exists (select from luma.sync_outbox o where o.lease = guest.lease) then
      -- A call about this guest is under way, and this may be what it does.
      perform luma.busy(format('guest %s', guest.id));
    end if;
    if guest.luma_base is not null
      and (guest.luma_base <> told or (guest.news is not null and guest.news <> details))
      and (luma.may_be_late(guest.heard_at) or (guest.unseen and guest.luma_base <> told and luma.may_be_late(guest.synced_at)))
    then
      -- Another webhook said otherwise, or Luma was told otherwise and has not shown it yet: which of the two is older?
      update luma.guests g
      set heard_at = clock_timestamp(), look = true, look_told_at = greatest(case when g.look then g.look_told_at end, sent_at),
          luma_guest_id = coalesce(g.luma_guest_id, apply_guest.news ->> 'luma_guest_id')
      where g.id = guest.id;
      perform luma.enqueue('guest', guest.id, 4, of_event_id);
      return 'to be read';
    end if;
  end if;
  was_counted := luma.is_counted(before);
  if guest.email <> address then
    guest := luma.rename_guest(guest, address);
  end if;
  update luma.guests g
  set luma_guest_id = coalesce(apply_guest.news ->> 'luma_guest_id', g.luma_guest_id), luma_base = told, news = details, unseen = false,
      heard_at = case when is_read then g.heard_at else clock_timestamp() end, look = g.look and not is_read
  where g.id = guest.id returning g.* into guest;
  outcome := luma.place_guest(guest, before, sent_at);
  perform luma.count_guest(guest, was_counted);
  return outcome;
end
$$;
comment on function luma.apply_guest(uuid, jsonb, timestamptz, boolean) is
  'Makes the app''s RSVPs follow what Luma told of a guest (from_luma.ts, GuestNews), and answers what became of it. sent_at: when Luma told it. is_read: the caller has just read it under the guest''s lease; else it is a webhook''s, which may be late. Raises LM001 when a row is locked.';

create or replace function luma.promote_guest(guest luma.guests)
returns boolean language plpgsql set search_path = '' as $$
declare
  was_counted boolean;
begin
  perform from public.canonical_events e where e.id = guest.event_id for no key update skip locked;
  if not found then
    return not exists (select from public.canonical_events e where e.id = guest.event_id);
  end if;
  was_counted := luma.is_counted(guest);
  perform luma.place_guest(guest, guest, clock_timestamp());
  perform luma.count_guest(guest, was_counted);
  return true;
exception when sqlstate 'LM001' or lock_not_available then
  return false;
end
$$;
comment on function luma.promote_guest(luma.guests) is 'Looks again who an external guest is. False when the event or the RSVP is being written just now.';

create or replace function luma.promote_guests(of_user text)
returns boolean language plpgsql set search_path = '' set lock_timeout = '20ms' as $$
declare
  member public.users;
  guest luma.guests;
  complete boolean := true;
begin
  select * into member from public.users u where u.id = of_user;
  for guest in
    select g.* from luma.guests g
    where (g.email = luma.usable_email(member.email) or luma.phone_tail(g.news ->> 'phone') = luma.phone_tail(member.phone))
      -- Nobody is told of a no from before they came.
      and g.luma_base <> 'declined' and luma.is_external(g)
  loop
    complete := luma.promote_guest(guest) and complete;
  end loop;
  return complete;
end
$$;
comment on function luma.promote_guests(text) is
  'Makes external guests RSVPs who are this user, who has just come or has another address or number. False when one of them is being written just now.';
