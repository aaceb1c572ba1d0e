-- Reading again what webhooks have left unclear: an event under its own lease, so that nothing of ours is on its way
-- meanwhile; guests as jobs of their own, those of one event together.

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
  look := coalesce(link.look, false) and link.luma_event_id is not null and event.id is not null and luma.mode() = 'live';
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
  'What the drain needs to know of a leased event, or null when there is nothing to send and nothing to read.';

create or replace function public.luma_event_read(lease uuid, news_json text)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  told text;
begin
  if o.lease is null then
    return null;
  end if;
  begin
    perform luma.apply_event(o.calendar, news_json::jsonb, is_read => true);
    return jsonb_build_object('job', luma.event_job(o));
  exception
    when sqlstate 'LM001' or lock_not_available then
      perform luma.put_back(o, clock_timestamp() + interval '1 second', false, null);
    when others then
      get stacked diagnostics told = message_text;
      perform luma.settle_failure(o, jsonb_build_object('kind', 'internal', 'message', told));
  end;
  return null;
end
$$;
comment on function public.luma_event_read(uuid, text) is
  'luma-drain: applies what was just read of a leased event (news_json: from_luma.ts, EventNews). Answers {job}: what is to be sent now, null for nothing; or null when the lease is no longer held or what was read could not be applied.';

create or replace function luma.looks_job(lead luma.sync_outbox)
returns jsonb language plpgsql set search_path = '' as $$
declare
  link luma.event_links;
  leases uuid[];
  batch jsonb;
begin
  select * into link from luma.event_links l where l.event_id = lead.event_id;
  if luma.mode() <> 'live' or link.luma_event_id is null then
    perform luma.finish(lead, case luma.mode() when 'live' then 'nothing_to_do' else 'dry_run' end, '[]');
    return null;
  end if;
  with free as (
    select s.entity_id from luma.due_jobs s
    where s.entity = 'guest' and s.event_id = lead.event_id and s.calendar = lead.calendar and s.lease is null
      and s.crashes < 2 and lead.crashes < 2
    order by s.due_at limit 99 for update skip locked
  ), leased as (
    update luma.sync_outbox o
    set lease = gen_random_uuid(), leased_by = lead.leased_by, leased_at = clock_timestamp(), lease_version = o.version,
        due_at = lead.due_at
    from free where o.entity = 'guest' and o.entity_id = free.entity_id
    returning o.lease
  )
  select coalesce(array_agg(l.lease), '{}') || lead.lease into leases from leased l;
  -- Read since, or of an event that is gone.
  perform luma.finish(o, 'nothing_to_do', '[]')
  from luma.sync_outbox o left join luma.guests g on g.id = o.entity_id
  where o.lease = any (leases) and not coalesce(g.look, false);
  -- One that is being sent just now is looked at afterwards.
  perform luma.postpone(o, clock_timestamp() + interval '1 second')
  from luma.sync_outbox o join luma.guests g on g.id = o.entity_id
  where o.lease = any (leases) and exists (select from luma.sync_outbox s where s.lease = g.lease);
  update luma.guests g set lease = o.lease
  from luma.sync_outbox o where o.lease = any (leases) and g.id = o.entity_id;
  select jsonb_agg(jsonb_build_object('lease', g.lease, 'email', g.email, 'luma_guest_id', g.luma_guest_id)) into batch
  from luma.guests g where g.lease = any (leases);
  if batch is null then
    return null;
  end if;
  return jsonb_build_object(
    'entity', 'looks', 'id', lead.event_id, 'calendar', lead.calendar, 'luma_event_id', link.luma_event_id,
    -- A few are read one by one, of many the guest list.
    'permits', least(jsonb_array_length(batch), 4), 'guests', batch
  );
end
$$;
comment on function luma.looks_job(luma.sync_outbox) is 'Guests of an event that have to be read from Luma, under leases of the same run; null when there are none after all.';

create or replace function public.luma_drain_end(run_id uuid, calendars text[], calls integer, reason text, force boolean)
returns text language plpgsql security definer set search_path = '' as $$
declare
  alone boolean := luma.try_lock_bell(exclusive => true);
  work boolean := luma.has_claimable(calendars);
begin
  if not force and (work or not alone) then
    return case when work then 'work' else 'writers' end;
  end if;
  -- What is due in a moment: cheaper to wait for than to be rung for.
  if not force and luma.mode() = 'live' and (
    exists (
      select from luma.sync_outbox o
      where o.version > o.done_version and o.dead_at is null and o.lease is null
        -- Without a calendar yet: enqueued since this transaction began, so later than its now().
        and (o.calendar is null or (o.calendar = any (calendars) and luma.calendar_ready(o.calendar)))
        and o.due_at between now() and now() + interval '3 seconds'
    )
    -- Not for as long as the app keeps a row: the longer a delivery waits for it, the less often it is tried.
    or exists (select from luma.webhook_inbox i where i.due_at between now() and now() + interval '1 second')
  ) then
    return 'soon';
  end if;
  update luma.drain_runs r
  set ended_at = clock_timestamp(), calls = luma_drain_end.calls, end_reason = reason
  where r.id = run_id;
  if work or not alone then
    -- Out of time with work left: the next run takes over.
    perform luma.ring();
  end if;
  return 'ended';
end
$$;

select luma.restrict_access();
