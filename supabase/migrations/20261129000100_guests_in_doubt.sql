-- A guest whose last call died before its answer.
--
-- A host's word that this call has overwritten was in no conflict: the guest was read, showed what the call had told, and
-- that passed for Luma's. Of two such words both are kept, because webhooks come in any order.
--
-- And a webhook from before the call that happened to say what the app says by now ended the doubt: what the call had told
-- was taken for a change made on Luma, and overwrote the app's.
--
-- Nor was a status sent that had stayed against a host's and was taken back before it was sent: it looked unchanged.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

do $$
begin
  if (select a.atttypid from pg_attribute a where a.attrelid = 'luma.guests'::regclass and a.attname = 'unheard') = 'text'::regtype then
    alter table luma.guests alter column unheard type text[] using array_remove(array[unheard], null);
  end if;
end
$$;
alter table luma.guests alter column unheard set default '{}', alter column unheard set not null;
comment on column luma.guests.unheard is
  'Statuses that late webhooks have told and nothing else has. Whether ours has overwritten them, the next reading shows.';

create or replace function luma.merge_rsvps(guest luma.guests, before luma.guests, sent_at timestamptz, just_linked boolean, is_read boolean)
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
  if told = said and guest.in_doubt and not is_read
    and (told is not distinct from before.luma_base or told is distinct from guest.maybe_sent[cardinality(guest.maybe_sent)])
  then
    -- Not the echo of the last call that may have had its effect: what that has told may come yet. Its own job looks it up.
    null;
  elsif told = said then
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
    -- From here on Luma differs from what both had agreed on: should the app go back to that, it has to be sent.
    guest.row_base := told;
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
comment on function luma.merge_rsvps(luma.guests, luma.guests, timestamptz, boolean, boolean) is
  'Merges what Luma told of a guest (before: as it was known until then) into the RSVPs that the guest is.';

create or replace function luma.place_guest(guest luma.guests, before luma.guests, sent_at timestamptz, is_read boolean)
returns text language plpgsql set search_path = '' as $$
declare
  outcome text;
  found_rsvp record;
begin
  perform luma.lock_rsvp(l.rsvp_id) from luma.guest_links l where l.event_id = guest.event_id and l.email = guest.email;
  if exists (select from luma.linked_rsvps(guest)) then
    return luma.merge_rsvps(guest, before, sent_at, just_linked => false, is_read => is_read);
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
    perform luma.merge_rsvps(guest, before, sent_at, just_linked => true, is_read => is_read);
  end if;
  return outcome;
end
$$;
comment on function luma.place_guest(luma.guests, luma.guests, timestamptz, boolean) is
  'Finds or makes the RSVP of a guest, and merges. Answers updated, unchanged, inserted, linked or external.';

create or replace function luma.apply_guest(of_event_id uuid, news jsonb, sent_at timestamptz, is_read boolean)
returns text language plpgsql set search_path = '' set lock_timeout = '20ms' as $$
declare
  told text := apply_guest.news ->> 'status';
  details jsonb := apply_guest.news - '{luma_event_id,luma_guest_id,email,status}'::text[];
  address text := luma.guest_address(apply_guest.news);
  guest luma.guests;
  before luma.guests;
  was_counted boolean;
  is_ours boolean;
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
      set heard_at = clock_timestamp(), look = true,
          -- Unless it is what Luma said before ours: then it comes late, or says nothing.
          unheard = case when told in (guest.luma_base, coalesce(guest.former, '')) or told = any (g.unheard) then g.unheard
            else array_append(g.unheard, told) end,
          look_told_at = greatest(case when g.look then g.look_told_at end, sent_at),
          luma_guest_id = coalesce(g.luma_guest_id, apply_guest.news ->> 'luma_guest_id')
      where g.id = guest.id;
      perform luma.enqueue('guest', guest.id, 4, of_event_id);
      return 'to be read';
    end if;
  end if;
  -- A call that was never answered may have told what is there now: then that is ours, too.
  is_ours := coalesce(guest.ours and guest.luma_base = told, false)
    or guest.in_doubt and told = any (guest.maybe_sent);
  if is_read and is_ours then
    perform luma.note_guest_conflict(guest, lost) from unnest(guest.unheard) lost where lost <> told;
  end if;
  was_counted := luma.is_counted(before);
  if guest.email <> address then
    guest := luma.rename_guest(guest, address);
  end if;
  update luma.guests g
  set luma_guest_id = coalesce(apply_guest.news ->> 'luma_guest_id', g.luma_guest_id), luma_base = told, news = details, unseen = false,
      heard_at = case when is_read then g.heard_at else clock_timestamp() end, look = g.look and not is_read,
      former = case when g.luma_base = told then g.former else g.luma_base end, ours = is_ours,
      unheard = case when is_read then '{}' else g.unheard end
  where g.id = guest.id returning g.* into guest;
  outcome := luma.place_guest(guest, before, sent_at, is_read);
  perform luma.count_guest(guest, was_counted);
  return outcome;
end
$$;

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
  perform luma.place_guest(guest, guest, clock_timestamp(), is_read => false);
  perform luma.count_guest(guest, was_counted);
  return true;
exception
  when sqlstate 'LM001' or lock_not_available then
    return false;
  when others then
    -- luma.sweep() tries again in five minutes.
    raise warning 'luma: guest % of event % could not become an RSVP: %', guest.id, guest.event_id, luma.redacted(sqlerrm);
    return true;
end
$$;

drop function if exists luma.merge_rsvps(luma.guests, luma.guests, timestamptz, boolean);
drop function if exists luma.place_guest(luma.guests, luma.guests, timestamptz);

reset lock_timeout;

select luma.restrict_access();
