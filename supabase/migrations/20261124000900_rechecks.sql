-- From "this event opened" and "this user has an address now" to the RSVPs that have something to send.

create or replace function luma.rsvps_of_event(event_id uuid)
returns setof uuid language sql stable set search_path = '' as $$
  select r.id from public.event_rsvps r where r.event_id = rsvps_of_event.event_id
  union
  select l.rsvp_id from luma.guest_links l where l.event_id = rsvps_of_event.event_id
$$;
comment on function luma.rsvps_of_event(uuid) is 'Ids of the RSVPs of an event, with those that were deleted while Luma has their guest.';

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
  where luma.takes_guests(e.event_id) and n.kind is not null
    and not exists (
      select from luma.sync_outbox o
      where o.entity = 'rsvp' and o.entity_id = i.id and o.version > o.done_version
        -- What was given up is tried again only when its user's address changed.
        and (o.dead_at is null or of_user is null)
    )
$$;
comment on function luma.diverged_rsvps(uuid, text) is
  'RSVPs that differ from Luma though nothing of them waits in the outbox: of one event, of one user, or of all events that take guests.';

create or replace function luma.enqueue_diverged_rsvps(of_event uuid, of_user text, priority integer, out enqueued integer, out complete boolean)
language plpgsql set search_path = '' as $$
declare
  diverged record;
begin
  enqueued := 0;
  complete := true;
  for diverged in
    select d.*, coalesce(r.updated_at, r.created_at) < s.live_since as is_backfill
    from luma.diverged_rsvps(of_event, of_user) d
    cross join luma.settings s
    left join public.event_rsvps r on r.id = d.rsvp_id
  loop
    if luma.try_enqueue('rsvp', diverged.rsvp_id, case when diverged.is_backfill then 4 else priority end, diverged.event_id) then
      enqueued := enqueued + 1;
    else
      complete := false;
    end if;
  end loop;
end
$$;
comment on function luma.enqueue_diverged_rsvps(uuid, text, integer) is
  'Enqueues what luma.diverged_rsvps() finds; RSVPs from before the mode was live as a backfill. complete is false when a writer holds one of them, who may yet roll back.';

create or replace function luma.recheck_rsvps()
returns void language plpgsql set search_path = '' as $$
declare
  recheck luma.rechecks;
  -- Far below the 8 s that a call through the Data API may take: the rest is for the next claim.
  enough timestamptz := clock_timestamp() + interval '1 second';
begin
  for recheck in
    select * from luma.rechecks r where r.due_at <= clock_timestamp() and not r.promote order by r.id limit 100 for update skip locked
  loop
    if (luma.enqueue_diverged_rsvps(recheck.event_id, recheck.user_id, recheck.priority)).complete then
      delete from luma.rechecks r where r.id = recheck.id;
    else
      update luma.rechecks r set due_at = clock_timestamp() + interval '1 second' where r.id = recheck.id;
    end if;
    exit when clock_timestamp() > enough;
  end loop;
end
$$;
comment on function luma.recheck_rsvps() is
  'Enqueues what luma.rechecks asks for. Called under luma.lock_permits(), like every verdict "nothing to do": a verdict that was passed before an event opened is followed by its recheck.';

create or replace function luma.record_push(o luma.sync_outbox, result jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  pushed_event_id text := result ->> 'luma_event_id';
  -- Hiding says nothing about the other fields.
  agreed jsonb := case when (o.lease_state ->> 'shown')::boolean then o.lease_state else '{"shown": false}' end;
  -- What Luma does not have yet leaves the base, so that it counts as changed until it is agreed on.
  pending text[] := array(select jsonb_array_elements_text(result -> 'pending'));
  before jsonb := (select l.row_base from luma.event_links l where l.event_id = o.entity_id);
  told jsonb := coalesce(result -> 'sent', '{}') || case
    -- As a tag; "Other" is none.
    when 'culture' = any (luma.changed_fields(agreed, before)) then jsonb_build_object('culture', nullif(agreed ->> 'culture', 'default'))
    else '{}'
  end;
begin
  update luma.event_links l
  set luma_event_id = pushed_event_id, row_base = (coalesce(l.row_base, '{}') || agreed) - pending,
      luma_base = coalesce(l.luma_base, '{}') || told,
      unseen = array(select unnest(l.unseen) union select jsonb_object_keys(told)), told_at = now(),
      maybe_told = null, maybe_state = null,
      warning = result ->> 'warning', synced_at = now()
  where l.event_id = o.entity_id;
  update public.canonical_events e
  set luma_event_id = pushed_event_id,
      external_rsvp_url = coalesce(nullif(trim(e.external_rsvp_url), ''), 'https://luma.com/' || l.slug),
      luma_sync_status = case when e.luma_sync_status in ('pulled', 'synced') then 'synced' else 'pushed' end,
      luma_synced_at = now()
  from luma.event_links l
  where e.id = o.entity_id and l.event_id = e.id;
  if (result ->> 'look')::boolean then
    perform luma.request_look(o.entity_id, tags => true);
  end if;
  -- It takes guests from now on, or again, or for longer: RSVPs may have waited for that.
  if (agreed ->> 'shown')::boolean
    and luma.changed_fields(agreed, before) && '{shown,starts_at,ends_at}'
  then
    insert into luma.rechecks (event_id, priority)
    values (o.entity_id, case when o.priority = 4 then 4 else 1 end);
  end if;
end
$$;
comment on function luma.record_push(luma.sync_outbox, jsonb) is
  'After success: the base has what was sent, and the app''s row shows the Luma event. A host''s own external_rsvp_url stays.';

create or replace function luma.record_removal(o luma.sync_outbox)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.forget_event(o.entity_id);
  update public.canonical_events e
  set luma_event_id = null, luma_sync_status = 'pushed', luma_synced_at = now(),
      external_rsvp_url = case when not luma.is_luma_address(e.external_rsvp_url) then e.external_rsvp_url end
  where e.id = o.entity_id;
end
$$;
comment on function luma.record_removal(luma.sync_outbox) is 'After a real cancel, which deletes the Luma event: nothing is on Luma any more.';
