-- While webhooks are missing, what a host or guest has changed on Luma is not known here, and sending would overwrite it
-- without a trace. So from when that was noticed until one comes again, Luma is read before anything is sent.

create or replace function luma.is_unheard(o luma.sync_outbox, link luma.event_links)
returns boolean language sql stable set search_path = '' as $$
  select luma.is_deaf((link).calendar) and (link).row_base is not null
    -- Not a second time under one lease.
    and not exists (select from luma.reads r where r.event_id = (link).event_id and r.read_at >= (o).leased_at)
$$;
comment on function luma.is_unheard(luma.sync_outbox, luma.event_links) is 'True when a leased event has to be read before it is sent.';

create or replace function luma.is_list_unheard(o luma.sync_outbox)
returns boolean language sql stable set search_path = '' as $$
  select luma.mode() = 'live' and luma.is_deaf((o).calendar) and luma.takes_guests((o).event_id)
    -- Should nobody pull, RSVPs do not wait for ever.
    and (o).changed_at > now() - interval '2 minutes'
    and not exists (select from luma.reads r where r.event_id = (o).event_id and r.guests_read_at >= (o).changed_at)
$$;
comment on function luma.is_list_unheard(luma.sync_outbox) is 'True when the guest list of its event has to be read before a leased RSVP is sent.';

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

create or replace function luma.claim_job(run_id uuid, calendar text, oldest boolean, free integer)
returns jsonb language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
  job jsonb;
begin
  -- A claim looks through so many jobs that turn out to have nothing to send, and leaves more to the next one.
  for n in 1..50 loop
    o := luma.pick_job(run_id, calendar, oldest);
    exit when o.lease is null;
    if o.entity = 'event' then
      job := luma.event_job(o);
      if job is null then
        perform luma.finish(o, 'nothing_to_do', '[]');
      end if;
    elsif o.entity = 'rsvp' and luma.is_list_unheard(o) then
      perform luma.ask_pull(o.calendar, l.luma_event_id)
      from luma.event_links l where l.event_id = o.event_id;
      perform luma.postpone(o, clock_timestamp() + interval '1 second');
    elsif o.entity = 'rsvp' then
      job := luma.guests_job(o, free);
    else
      job := luma.looks_job(o);
    end if;
    exit when job is not null;
  end loop;
  return job;
end
$$;

select luma.restrict_access();
