-- A create whose answer nobody got, of a row that was edited since: what Luma was told is remembered, so that a host's edit
-- of the new event is told from ours. Before, such an event was sent all of its row, and what a host had written meanwhile
-- was overwritten without a trace.

create or replace function luma.allow_create(link luma.event_links, lease uuid, state jsonb)
returns void language sql set search_path = '' as $$
  -- From here on a create call may reach Luma at any moment, so it is written down before the call. What an earlier
  -- lease may have created stays: before the next create call Luma is asked for it (luma_create_again).
  update luma.event_links l
  set create_lease = coalesce(l.create_lease, allow_create.lease),
      create_state = case when l.create_lease is null then state else l.create_state end
  where l.event_id = (link).event_id and l.luma_event_id is null;
$$;

create or replace function public.luma_create_again(lease uuid)
returns boolean language sql security definer set search_path = '' as $$
  with again as (
    update luma.event_links l set create_lease = o.lease, create_state = o.lease_state
    from luma.sync_outbox o
    where o.lease = luma_create_again.lease and l.event_id = o.entity_id and l.luma_event_id is null
    returning 1
  )
  select exists (select from again)
$$;
comment on function public.luma_create_again(uuid) is
  'luma-drain: Luma was asked and has no event under our slug, so from here on it may get one as the row is now. False when the lease is no longer held, or the event is known by now: stop.';

create or replace function luma.event_job(o luma.sync_outbox)
returns jsonb language plpgsql set search_path = '' as $$
declare
  event public.canonical_events;
  link luma.event_links;
  state jsonb;
  look boolean;
begin
  select * into event from public.canonical_events e where e.id = o.entity_id;
  select * into link from luma.event_links l where l.event_id = o.entity_id;
  look := luma.mode() = 'live' and link.luma_event_id is not null and event.id is not null
    and (link.look or luma.is_unheard(o, link) and luma.needs_push(event, link));
  if not luma.needs_push(event, link) and not look then
    return null;
  end if;
  if link.luma_event_id is null and link.create_lease is null then
    link := luma.new_link(o, event);
  end if;
  state := case when event.id is null then '{"shown": false}' else luma.event_state(event) end;
  update luma.sync_outbox s
  -- Before it was read nothing is sent, so there will be nothing to doubt.
  set lease_state = case when not look then state end, calendar = link.calendar
  where s.lease = o.lease;
  if luma.mode() = 'live' and link.luma_event_id is null and event.id is not null then
    perform luma.allow_create(link, o.lease, state);
  end if;
  return jsonb_build_object(
    'entity', o.entity, 'id', o.entity_id, 'lease', o.lease, 'version', o.version,
    'calendar', link.calendar,
    'slug', link.slug,
    'luma_event_id', link.luma_event_id,
    'look', look,
    'look_tags', look and link.look_tags,
    'quiet', o.priority = 4,
    'maybe_created', link.create_lease is not null,
    'create_matches', link.create_state is not distinct from state,
    'created_from', case when link.create_lease is not null and link.row_base is null and link.create_state is distinct from state
      then link.create_state end,
    'cancel_on_luma', (select s.cancel_on_luma from luma.settings s) and event.submission_status = 'cancelled',
    'state', state,
    'changed', case when link.row_base is not null then to_jsonb(luma.changed_fields(state, link.row_base)) end,
    'culture', (select jsonb_build_object('name', c.name, 'asset_file', c.asset_file)
                from public.event_cultures c where c.slug = event.culture),
    'previous_culture', (select c.name from public.event_cultures c
                         where c.slug = link.row_base ->> 'culture' and c.slug <> 'default'),
    'luma_cover', link.luma_base ->> 'cover_url'
  );
end
$$;


create or replace function luma.record_push(o luma.sync_outbox, result jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  pushed_event_id text := result ->> 'luma_event_id';
  agreed jsonb := case
    when (result ->> 'from_create')::boolean then (select l.create_state from luma.event_links l where l.event_id = o.entity_id)
    when (o.lease_state ->> 'shown')::boolean then o.lease_state
    -- Hiding says nothing about the other fields.
    else '{"shown": false}'
  end;
  -- What Luma does not have yet leaves the base, so that it counts as changed until it is agreed on.
  pending text[] := array(select jsonb_array_elements_text(result -> 'pending'));
  before jsonb := (select l.row_base from luma.event_links l where l.event_id = o.entity_id);
  told jsonb := coalesce(result -> 'sent', '{}') || case
    -- As a tag; "Other" is none. A create call alone tells no tags.
    when 'culture' = any (luma.changed_fields(agreed, before)) and 'culture' <> all (pending) then jsonb_build_object('culture', nullif(agreed ->> 'culture', 'default'))
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

comment on column luma.event_links.create_state is
  'luma.event_state() of the create call that create_lease may have made: what Luma was told, if it took effect.';

select luma.restrict_access();
