-- A host's word about a guest that a call of ours has overwritten which died before its answer: the guest was read, showed
-- what that call had told, and the host's word was in no conflict. And of two such words both are kept, because webhooks
-- come in any order.

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
  outcome := luma.place_guest(guest, before, sent_at);
  perform luma.count_guest(guest, was_counted);
  return outcome;
end
$$;

reset lock_timeout;

select luma.restrict_access();
