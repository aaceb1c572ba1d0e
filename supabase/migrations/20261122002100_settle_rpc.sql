-- JSON arguments are text: the Data API that runs without Docker (@supabase/lite) would hand a jsonb argument
-- over as a JSON string in a JSON string.

create or replace function public.luma_created(lease uuid, slug text, luma_event_id text)
returns boolean language plpgsql security definer set search_path = '' as $$
begin
  -- Not fenced by the lease on purpose: the event exists, whoever created it, and this is the only trace.
  -- The slug fences it: another event can never come under it.
  update luma.event_links l set luma_event_id = luma_created.luma_event_id
  where l.slug = luma_created.slug and l.luma_event_id is null;
  return exists (select from luma.sync_outbox o where o.lease = luma_created.lease);
end
$$;
comment on function public.luma_created(uuid, text, text) is
  'luma-drain: remembers a Luma event as soon as it is known, before the calls that follow. False when the lease is no longer held: stop.';

create or replace function public.luma_slug_taken(lease uuid)
returns text language sql security definer set search_path = '' as $$
  update luma.event_links l set slug = 'e-' || replace(l.event_id::text, '-', ''), create_lease = null, create_state = null
  from luma.sync_outbox o
  where o.lease = luma_slug_taken.lease and l.event_id = o.entity_id and l.luma_event_id is null
  returning l.slug
$$;
comment on function public.luma_slug_taken(uuid) is
  'luma-drain: somebody else''s event has our slug; gives the link one made of the whole id. Null when the lease is no longer held.';

create or replace function luma.record_push(o luma.sync_outbox, result jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  pushed_event_id text := result ->> 'luma_event_id';
  -- Hiding says nothing about the other fields.
  agreed jsonb := case when (o.lease_state ->> 'shown')::boolean then o.lease_state else '{"shown": false}' end;
  -- What Luma does not have yet leaves the base, so that it counts as changed until it is agreed on.
  pending text[] := array(select jsonb_array_elements_text(result -> 'pending'));
begin
  update luma.event_links l
  set luma_event_id = pushed_event_id, row_base = (coalesce(l.row_base, '{}') || agreed) - pending,
      luma_base = coalesce(l.luma_base, '{}') || coalesce(result -> 'sent', '{}'),
      warning = result ->> 'warning', synced_at = now()
  where l.event_id = o.entity_id;
  update public.canonical_events e
  set luma_event_id = pushed_event_id,
      external_rsvp_url = coalesce(nullif(trim(e.external_rsvp_url), ''), 'https://luma.com/' || l.slug),
      luma_sync_status = case when e.luma_sync_status in ('pulled', 'synced') then 'synced' else 'pushed' end,
      luma_synced_at = now()
  from luma.event_links l
  where e.id = o.entity_id and l.event_id = e.id;
end
$$;
comment on function luma.record_push(luma.sync_outbox, jsonb) is
  'After success: the base has what was sent, and the app''s row shows the Luma event. A host''s own external_rsvp_url stays.';

create or replace function luma.record_removal(o luma.sync_outbox)
returns void language plpgsql set search_path = '' as $$
begin
  -- Approved again, the event is a new one on Luma: a fresh slug keeps late news of the old one away from it.
  update luma.event_links l
  set luma_event_id = null, create_lease = null, create_state = null, row_base = null, luma_base = null, warning = null,
      slug = left(l.slug, -12) || left(replace(gen_random_uuid()::text, '-', ''), 12)
  where l.event_id = o.entity_id;
  update public.canonical_events e
  set luma_event_id = null, luma_sync_status = 'pushed', luma_synced_at = now(),
      external_rsvp_url = case when not luma.is_luma_address(e.external_rsvp_url) then e.external_rsvp_url end
  where e.id = o.entity_id;
end
$$;
comment on function luma.record_removal(luma.sync_outbox) is 'After a real cancel, which deletes the Luma event: nothing is on Luma any more.';

create or replace function public.luma_acknowledge(lease uuid, result_json text)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  result jsonb := result_json;
  outcome text := result ->> 'outcome';
begin
  if o.lease is null then
    return false;
  end if;
  if outcome = 'removed' then
    perform luma.record_removal(o);
    outcome := 'done';
  elsif outcome = 'done' then
    perform luma.record_push(o, result);
  elsif outcome = 'nothing_to_do' then
    -- The slug was looked up and nothing found: no create is in doubt any more.
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.luma_event_id is null;
  end if;
  perform luma.finish(o, outcome, result -> 'calls');
  return true;
end
$$;
comment on function public.luma_acknowledge(uuid, text) is
  'luma-drain: a job is done. result_json: {outcome: done | removed | nothing_to_do | dry_run, luma_event_id, sent, pending, warning, calls}. False when the lease is no longer held.';

create or replace function public.luma_fail(lease uuid, failure_json text)
returns text language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  failure jsonb := failure_json;
  error text := failure ->> 'message';
  outcome text;
begin
  if o.lease is null then
    return null;
  end if;
  outcome := luma.sort_failure(failure ->> 'kind', (failure ->> 'status')::integer, o.attempts);
  perform luma.log_attempt(o, outcome, error, failure -> 'calls');
  if not coalesce((failure ->> 'create_called')::boolean, true) then
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.create_lease = o.lease and l.luma_event_id is null;
  end if;
  perform luma.doubt(o);
  if outcome = 'dead' then
    perform luma.bury(o, error);
  elsif outcome = 'retry' then
    perform luma.put_back(o, clock_timestamp() + luma.retry_delay(o.attempts), true, error);
  else
    -- The calendar's trouble, not the job's: it does not count as an attempt.
    if outcome = 'rate_limited' then
      perform luma.pause_calendar(
        o.calendar, now() + make_interval(secs => coalesce((failure ->> 'retry_after')::double precision, 60)), 'luma'
      );
    else
      perform luma.note_problem(o.calendar, error, stop => true);
    end if;
    perform luma.put_back(o, now(), false, error);
  end if;
  return outcome;
end
$$;
comment on function public.luma_fail(uuid, text) is
  'luma-drain: a job failed. failure_json: {kind, status, message, retry_after (seconds), create_called, calls}. Answers what was made of it (luma.sort_failure), null when the lease is no longer held.';

create or replace function public.luma_release(leases uuid[])
returns void language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox;
begin
  for o in select * from luma.sync_outbox s where s.lease = any (leases) for update loop
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.create_lease = o.lease and l.luma_event_id is null;
    perform luma.doubt(o);
    perform luma.put_back(o, now(), false, o.last_error);
  end loop;
end
$$;
comment on function public.luma_release(uuid[]) is 'luma-drain: gives back jobs that it has no time, or no permit, to finish.';

create or replace function public.luma_renew(run_id uuid)
returns setof uuid language sql security definer
-- Far below deadlock_timeout: the app may hold one of these rows and want another. The next beat renews.
set search_path = '' set lock_timeout = '50ms' as $$
  update luma.drain_runs r set alive_until = clock_timestamp() + interval '15 seconds'
  where r.id = run_id and r.ended_at is null;
  update luma.sync_outbox o
  set due_at = clock_timestamp() + make_interval(secs => (select s.lease_seconds from luma.settings s))
  where o.leased_by = run_id and o.lease is not null
  returning o.lease
$$;
comment on function public.luma_renew(uuid) is 'luma-drain: prolongs its run and its leases. Answers the leases that it still holds.';

select luma.restrict_access();
