-- Settling: what became of a leased job. Only the holder of the current lease can settle it; whoever comes
-- later (its lease expired, somebody else has the job) changes nothing.
--
-- Lock order: the app locks its event's row, then, in our trigger, the outbox row. Everything here that
-- touches both takes them in the same order, or one of the two would be killed as a deadlock.

create or replace function luma.lock_leased(lease uuid)
returns luma.sync_outbox language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
begin
  select * into o from luma.sync_outbox s where s.lease = lock_leased.lease;
  if o.entity = 'event' then
    perform from public.canonical_events e where e.id = o.entity_id for no key update;
  end if;
  select * into o from luma.sync_outbox s where s.lease = lock_leased.lease for update;
  return o;
end
$$;
comment on function luma.lock_leased(uuid) is 'Locks the event and the outbox row of a lease, in this order. Null when nobody holds the lease any more.';

create or replace function luma.doubt(o luma.sync_outbox)
returns void language sql set search_path = ''
begin atomic
  -- What was being sent may have arrived. If the row goes back to what was agreed on before, that has to count
  -- as a change, so it leaves the base; visibility with it, because a push may close an event for a while.
  update luma.event_links l
  set row_base = l.row_base - (luma.changed_fields((o).lease_state, l.row_base) || 'visibility'::text)
  where l.event_id = (o).entity_id and l.row_base is not null and (o).lease_state is not null;
end;
comment on function luma.doubt(luma.sync_outbox) is 'After an attempt that did not end well: nothing that it may have sent is agreed on any more.';

create or replace function luma.finish(o luma.sync_outbox, outcome text, calls jsonb)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.log_attempt(o, outcome, null, calls);
  update luma.sync_outbox s
  set done_version = case when outcome = 'dry_run' then s.done_version else o.lease_version end,
      dry_version = greatest(s.dry_version, o.lease_version),
      lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null,
      -- A change that came in during the call leaves the row due; an edit waits for those that follow it.
      due_at = case when s.priority = 1 then now()
        else now() + make_interval(secs => (select t.edit_spacing_ms from luma.settings t) / 1000.0) end,
      changed_at = case when s.version > o.lease_version then o.leased_at else s.changed_at end,
      attempts = 0, crashes = 0, last_error = null
  where s.entity = o.entity and s.entity_id = o.entity_id;
end
$$;
comment on function luma.finish(luma.sync_outbox, text, jsonb) is
  'Marks the leased version as done (or as logged, in dry_run). The row stays due when a newer version exists.';

create or replace function luma.put_back(o luma.sync_outbox, due_at timestamptz, failed boolean, error text)
returns void language sql set search_path = ''
begin atomic
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, crashes = 0,
      due_at = put_back.due_at, attempts = s.attempts + failed::integer, last_error = put_back.error
  where s.entity = (o).entity and s.entity_id = (o).entity_id;
end;
comment on function luma.put_back(luma.sync_outbox, timestamptz, boolean, text) is 'Gives a leased job back, to be claimed again from due_at on.';

create or replace function luma.show_status(shown_event_id uuid, status text)
returns void language sql set search_path = '' as $$
  -- Skips a row that the app has locked: its holder may be waiting for an outbox row that we hold.
  update public.canonical_events e set luma_sync_status = status
  where e.luma_sync_status is distinct from status and e.id in (
    select c.id from public.canonical_events c where c.id = shown_event_id for no key update skip locked
  )
$$;
comment on function luma.show_status(uuid, text) is 'Sets luma_sync_status unless the row is locked; luma.sweep() makes up for that.';

create or replace function luma.bury(o luma.sync_outbox, error text)
returns void language plpgsql set search_path = '' as $$
begin
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null,
      dead_at = now(), last_error = error
  where s.entity = o.entity and s.entity_id = o.entity_id;
  if o.entity = 'event' then
    perform luma.show_status(o.entity_id, 'push_failed');
  end if;
end
$$;
comment on function luma.bury(luma.sync_outbox, text) is 'Makes a job a dead letter: it stays until luma.retry() or a new change of its entity.';

create or replace function luma.retry_delay(attempts integer)
returns interval language sql volatile set search_path = '' as $$
  -- Full jitter: jobs that failed together do not come back together. 2^30 is far beyond any cap.
  select make_interval(secs => (greatest(0.2, random()
    * least(s.retry_cap_seconds, s.retry_base_seconds * 2 ^ least(attempts, 30))))::double precision)
  from luma.settings s
$$;
comment on function luma.retry_delay(integer) is 'How long to wait after so many failed attempts in a row.';

create or replace function luma.sort_failure(kind text, status integer, attempts integer)
returns text language sql immutable set search_path = ''
return case
  when kind in ('invalid_row', 'refused') then 'dead'
  -- An error of our own code: worth a few more tries, but not an endless loop.
  when kind = 'internal' then case when attempts >= 8 then 'dead' else 'retry' end
  when kind in ('timeout', 'network', 'invalid_response') then 'retry'
  when status = 429 then 'rate_limited'
  when status in (401, 403) then 'stopped'
  when status in (408, 425) or status >= 500 then 'retry'
  else 'dead'
end;
comment on function luma.sort_failure(text, integer, integer) is
  'What a failure means: retry, rate_limited (calendar pauses), stopped (calendar stops until luma.resume()) or dead. refused: Luma refused this one event though the key is good.';
