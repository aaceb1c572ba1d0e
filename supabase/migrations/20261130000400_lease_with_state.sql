-- The lease of an event and what is to be sent under it are written together: one version of the outbox's row less for
-- each job, which under a transaction that keeps its snapshot is what every later look-up of the row has to pass.
--
-- So a job is picked, which locks its row, then described, then leased; one that has nothing to send is never leased.

create or replace function luma.pick_job(run_id uuid, calendar text, oldest boolean)
returns luma.sync_outbox language plpgsql set search_path = '' as $$
declare
  -- One index range for each priority: neither leased rows nor ones in a retry delay are walked over.
  priorities smallint[] := case when oldest then array(
    select p.priority
    from unnest('{1,2,3,4}'::smallint[]) p (priority)
    cross join lateral (
      select d.due_at from luma.due_jobs d
      where d.calendar = pick_job.calendar and d.priority = p.priority
        and d.due_at >= luma.due_floor(pick_job.calendar, p.priority)
      order by d.due_at limit 1
    ) first
    order by first.due_at
  ) else '{1,2,3,4}' end;
  o luma.sync_outbox;
begin
  select j.* into o
  from unnest(priorities) with ordinality p (priority, place)
  cross join lateral (
    select * from luma.due_jobs d
    where d.calendar = pick_job.calendar and d.priority = p.priority and d.lease is null
      and d.due_at >= luma.due_floor(pick_job.calendar, p.priority)
    order by d.due_at limit 1
    for update skip locked
  ) j
  limit 1;
  if not found then
    return null;
  end if;
  perform luma.raise_floor(calendar, o.priority, o.due_at);
  o.lease := gen_random_uuid();
  o.leased_by := run_id;
  o.leased_at := clock_timestamp();
  o.lease_version := o.version;
  o.due_at := o.leased_at + make_interval(secs => (select t.lease_seconds from luma.settings t));
  return o;
end
$$;
comment on function luma.pick_job(uuid, text, boolean) is
  'Locks the most urgent due job of a calendar, or the one that has been due the longest, and says how it is to be leased. Null when there is none.';

create or replace function luma.take_lease(o luma.sync_outbox)
returns void language plpgsql set search_path = '' as $$
begin
  update luma.sync_outbox s
  set lease = o.lease, leased_by = o.leased_by, leased_at = o.leased_at, lease_version = o.lease_version,
      lease_state = o.lease_state, calendar = o.calendar, due_at = o.due_at
  where s.entity = o.entity and s.entity_id = o.entity_id;
end
$$;
comment on function luma.take_lease(luma.sync_outbox) is 'Writes down the lease of a job that luma.pick_job() has locked.';

create or replace function luma.state_to_send(job jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  -- Before it was read nothing is sent, so there will be nothing to doubt.
  select case when not (job ->> 'look')::boolean then job -> 'state' end
$$;
comment on function luma.state_to_send(jsonb) is 'What Luma may hold from now on because of this job of an event: its state, or null.';

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
comment on function luma.event_job(luma.sync_outbox) is
  'What the drain needs to know of an event that it has a lease for, or is to get one, or null when there is nothing to send and nothing to read.';

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
        continue;
      end if;
      o.lease_state := luma.state_to_send(job);
      o.calendar := job ->> 'calendar';
    end if;
    perform luma.take_lease(o);
    if o.entity = 'rsvp' and luma.is_list_unheard(o) then
      perform luma.ask_pull(o.calendar, l.luma_event_id)
      from luma.event_links l where l.event_id = o.event_id;
      perform luma.postpone(o, clock_timestamp() + interval '1 second');
    elsif o.entity = 'rsvp' then
      job := luma.guests_job(o, free);
    elsif o.entity = 'guest' then
      job := luma.looks_job(o);
    end if;
    exit when job is not null;
  end loop;
  return job;
end
$$;

create or replace function public.luma_event_read(lease uuid, news_json text)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  job jsonb;
  told text;
begin
  if o.lease is null then
    return null;
  end if;
  begin
    perform luma.apply_event(o.calendar, news_json::jsonb, source => 'read');
    perform luma.note_read(o.entity_id, o.leased_at);
    job := luma.event_job(o);
    update luma.sync_outbox s set lease_state = luma.state_to_send(job), calendar = coalesce(job ->> 'calendar', s.calendar)
    where s.lease = o.lease;
    return jsonb_build_object('job', job);
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

select luma.restrict_access();
