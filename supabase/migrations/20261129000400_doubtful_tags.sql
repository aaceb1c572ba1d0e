-- A run puts the tag of a new culture on and dies, and before anybody looks again the culture changes once more: the tag
-- stayed on Luma beside that of the last culture.

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
    -- Of a row that is gone there is no status, and no answer must be null.
    'cancel_on_luma', (select s.cancel_on_luma from luma.settings s) and coalesce(event.submission_status = 'cancelled', false),
    'state', state,
    'changed', case when link.row_base is not null then to_jsonb(luma.changed_fields(state, link.row_base)) end,
    'culture', (select jsonb_build_object('name', c.name, 'asset_file', c.asset_file)
                from public.event_cultures c where c.slug = event.culture),
    'previous_culture', (select c.name from public.event_cultures c
                         -- What Luma was last known to hold, when it is in doubt what the row said then.
                         where c.slug = coalesce(link.row_base ->> 'culture', link.luma_base ->> 'culture') and c.slug <> 'default'),
    -- Those that runs of which nobody heard more may have put on.
    'maybe_cultures', case when link.row_base is null or link.row_base ? 'culture' then '[]' else coalesce((
      select jsonb_agg(distinct c.name)
      from jsonb_array_elements(link.maybe_sent) sent
      join public.event_cultures c on c.slug = sent.value ->> 'culture'
      where c.slug <> 'default'
    ), '[]') end,
    'luma_cover', link.luma_base ->> 'cover_url'
  );
end
$$;

select luma.restrict_access();
