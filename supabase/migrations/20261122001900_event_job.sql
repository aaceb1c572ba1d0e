create or replace function luma.needs_push(e public.canonical_events, l luma.event_links)
returns boolean language sql stable set search_path = '' as $$
  select case
    when (l).luma_event_id is null and (l).create_lease is null then luma.why_not_created(e) is null
    -- A create may or may not have taken effect: somebody has to look.
    when (l).luma_event_id is null then true
    when e.submission_status = 'approved' then (l).row_base is distinct from luma.event_state(e)
    -- While it is hidden Luma need not follow: the edits are still missing from the base when it is shown again.
    else coalesce((l).row_base ->> 'shown' <> 'false', true)
  end
$$;
comment on function luma.needs_push(public.canonical_events, luma.event_links) is
  'True when Luma does not hold what it should of this row. Either may be null: a deleted row, an event without a link.';

create or replace function luma.new_link(o luma.sync_outbox, event public.canonical_events)
returns luma.event_links language sql set search_path = ''
begin atomic
  insert into luma.event_links as l (event_id, calendar, slug)
  values ((event).id, (o).calendar, luma.slug_for((event).id, (event).title))
  -- Linked before but never created, so the calendar is still open.
  on conflict (event_id) do update set calendar = excluded.calendar
  returning l;
end;
comment on function luma.new_link(luma.sync_outbox, public.canonical_events) is
  'The link of an event that is about to be created, with its slug.';

create or replace function luma.allow_create(link luma.event_links, lease uuid, state jsonb)
returns void language sql set search_path = ''
begin atomic
  -- From here on a create call may reach Luma at any moment, so it is written down before the call. What
  -- an earlier lease may have created with another state is no longer known: then the state is null.
  update luma.event_links l
  set create_lease = coalesce(l.create_lease, allow_create.lease),
      create_state = case when l.create_lease is null or l.create_state = state then state end
  where l.event_id = (link).event_id and l.luma_event_id is null;
end;
comment on function luma.allow_create(luma.event_links, uuid, jsonb) is 'Notes that the holder of this lease may create the Luma event.';

create or replace function luma.event_job(o luma.sync_outbox)
returns jsonb language plpgsql set search_path = '' as $$
declare
  event public.canonical_events;
  link luma.event_links;
  state jsonb;
begin
  select * into event from public.canonical_events e where e.id = o.entity_id;
  select * into link from luma.event_links l where l.event_id = o.entity_id;
  if not luma.needs_push(event, link) then
    return null;
  end if;
  if link.luma_event_id is null and link.create_lease is null then
    link := luma.new_link(o, event);
  end if;
  state := case when event.id is null then '{"shown": false}' else luma.event_state(event) end;
  update luma.sync_outbox s set lease_state = state, calendar = link.calendar where s.lease = o.lease;
  if luma.mode() = 'live' and link.luma_event_id is null and event.id is not null then
    perform luma.allow_create(link, o.lease, state);
  end if;
  return jsonb_build_object(
    'entity', o.entity, 'id', o.entity_id, 'lease', o.lease, 'version', o.version,
    'calendar', link.calendar,
    'slug', link.slug,
    'luma_event_id', link.luma_event_id,
    'maybe_created', link.create_lease is not null,
    'create_matches', link.create_state is not distinct from state,
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
comment on function luma.event_job(luma.sync_outbox) is
  'What the drain needs to know of a leased event, or null when Luma has nothing to hold of it.';
