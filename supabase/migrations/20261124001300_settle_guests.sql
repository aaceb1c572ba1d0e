-- Settling RSVPs: a batch is settled guest by guest, because one of them may be refused and the others not.
--
-- The app may hold any of these rows and want another, so nothing here waits for one: an outbox row that is
-- locked is answered, for the drain to ask again in a moment, and the app's own rows are left to luma.sweep().

create or replace function luma.settle_failure(o luma.sync_outbox, failure jsonb)
returns text language plpgsql set search_path = '' as $$
declare
  error text := failure ->> 'message';
  outcome text := luma.sort_failure(failure ->> 'kind', (failure ->> 'status')::integer, o.attempts);
begin
  perform luma.log_attempt(o, outcome, error, failure -> 'calls');
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
comment on function luma.settle_failure(luma.sync_outbox, jsonb) is
  'Makes of a failed job what luma.sort_failure() says, and answers that. failure: {kind, status, message, retry_after (seconds), calls}.';

create or replace function public.luma_fail(lease uuid, failure_json text)
returns text language plpgsql security definer set search_path = '' as $$
declare
  o luma.sync_outbox := luma.lock_leased(lease);
  failure jsonb := failure_json;
begin
  if o.lease is null then
    return null;
  end if;
  if not coalesce((failure ->> 'create_called')::boolean, true) then
    update luma.event_links l set create_lease = null, create_state = null
    where l.event_id = o.entity_id and l.create_lease = o.lease and l.luma_event_id is null;
  end if;
  perform luma.doubt(o);
  update luma.event_links l
  set maybe_told = coalesce(l.maybe_told, '{}') || (failure -> 'told'), maybe_state = o.lease_state
  where l.event_id = o.entity_id and failure -> 'told' <> '{}';
  return luma.settle_failure(o, failure);
end
$$;
comment on function public.luma_fail(uuid, text) is
  'luma-drain: a job failed. failure_json: {kind, status, message, retry_after (seconds), create_called, told (what update calls may have told, as in luma_base), calls}. Answers what was made of it (luma.sort_failure), null when the lease is no longer held.';

create or replace function luma.settle_look(o luma.sync_outbox, result jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  guest luma.guests;
begin
  select * into guest from luma.guests g where g.lease = o.lease;
  if guest.id is not null then
    perform luma.apply_guest(
      o.event_id,
      -- Luma has no such guest (any more): that is a no.
      coalesce(nullif(result -> 'news', 'null'), coalesce(guest.news, '{}') || jsonb_build_object(
        'email', guest.email, 'luma_guest_id', guest.luma_guest_id, 'status', 'declined'
      )),
      least((result ->> 'read_at')::timestamptz, guest.look_told_at), is_read => true
    );
    update luma.guests g set lease = null, look = false where g.id = guest.id;
  end if;
  perform luma.finish(o, 'done', result -> 'calls');
end
$$;
comment on function luma.settle_look(luma.sync_outbox, jsonb) is 'A guest was read: what Luma said is applied. Raises LM001 when the app is writing the guest''s RSVP.';

create or replace function luma.settle_guest(o luma.sync_outbox, result jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  outcome text := result ->> 'outcome';
  moved boolean := coalesce((o.lease_state ->> 'moved')::boolean, false);
begin
  if outcome = 'dry_run' then
    perform luma.finish(o, outcome, result -> 'calls');
  elsif outcome = 'done' then
    update luma.guests g
    set row_base = result ->> 'status', luma_base = result ->> 'status', unseen = true, in_doubt = false, lease = null,
        synced_at = now(), luma_guest_id = result ->> 'luma_guest_id'
    where g.lease = o.lease;
    perform luma.finish_rsvp(o, moved, 'done', result -> 'calls');
  elsif outcome = 'read' then
    perform luma.settle_look(o, result);
  elsif outcome = 'failed' then
    if coalesce((result ->> 'maybe_applied')::boolean, true) then
      perform luma.doubt(o);
    end if;
    update luma.guests g set lease = null where g.lease = o.lease;
    perform luma.settle_failure(o, result -> 'failure' || jsonb_build_object('calls', result -> 'calls'));
  else
    -- released: no call that changes anything was made.
    update luma.guests g set lease = null where g.lease = o.lease;
    perform luma.put_back(o, now(), false, o.last_error);
  end if;
end
$$;
comment on function luma.settle_guest(luma.sync_outbox, jsonb) is 'Settles one guest of a batch; see luma_settle_guests().';

create or replace function luma.show_synced(shown_event_id uuid)
returns void language plpgsql set search_path = '' as $$
declare
  count_before integer;
  external integer;
begin
  -- Only if nobody has the event: the app's count trigger updates it for every row that is written here.
  select e.current_rsvp_count,
    coalesce((select l.external_count from luma.event_links l where l.event_id = e.id and e.luma_event_id is not null), 0)
  into count_before, external
  from public.canonical_events e where e.id = shown_event_id for no key update skip locked;
  if not found then
    return;
  end if;
  perform set_config('luma.applying', 'on', true);
  update public.event_rsvps r
  set luma_guest_id = s.luma_guest_id, luma_synced_at = s.synced_at
  from (
    select x.id, coalesce(g.luma_guest_id, x.luma_guest_id) as luma_guest_id, g.synced_at
    from luma.guest_links l
    join luma.guests g on g.event_id = l.event_id and g.email = l.email
    join public.event_rsvps x on x.id = l.rsvp_id and x.event_id = l.event_id and x.user_id = l.user_id
    where l.event_id = shown_event_id and g.synced_at is not null
      and (x.luma_synced_at is distinct from g.synced_at or (g.luma_guest_id is not null and x.luma_guest_id is distinct from g.luma_guest_id))
    limit luma.batch_size('add')
    for no key update of x skip locked
  ) s
  where r.id = s.id;
  -- The app also counts by a rule of its own; what it wrote last stays. External guests are added by a trigger.
  update public.canonical_events e set current_rsvp_count = count_before - external
  where e.id = shown_event_id and e.current_rsvp_count is distinct from count_before;
  perform set_config('luma.applying', '', true);
end
$$;
comment on function luma.show_synced(uuid) is
  'Writes luma_guest_id and luma_synced_at to the RSVPs of an event whose guests were settled, where nobody has a lock on them.';

create or replace function public.luma_settle_guests(event_id uuid, results_json text)
returns setof uuid language plpgsql security definer set search_path = '' as $$
declare
  result jsonb;
  o luma.sync_outbox;
begin
  for result in select * from jsonb_array_elements(results_json::jsonb) loop
    select * into o from luma.sync_outbox s where s.lease = (result ->> 'lease')::uuid for update skip locked;
    if found then
      begin
        perform luma.settle_guest(o, result);
      exception when sqlstate 'LM001' or lock_not_available then
        return next o.lease;
      end;
    elsif exists (select from luma.sync_outbox s where s.lease = (result ->> 'lease')::uuid) then
      return next (result ->> 'lease')::uuid;
    end if;
  end loop;
  begin
    perform luma.show_synced(event_id);
  exception when others then
    -- A trigger of the app's, say: what was settled counts all the same.
    raise warning 'luma: luma_synced_at of the RSVPs of event % was not written: %', event_id, sqlerrm;
  end;
end
$$;
comment on function public.luma_settle_guests(uuid, text) is
  'luma-drain: what became of the guests of a batch. results_json: [{lease, outcome: done | read | dry_run | failed | released, status (what Luma holds, null: no such guest), luma_guest_id (null: unknown), news (of read: from_luma.ts, GuestNews; null: no such guest), read_at, failure (as luma_fail takes it), maybe_applied, calls}]. Answers the leases whose RSVP the app is writing just now: ask again in a moment. A lease that is no longer held settles nothing.';

-- The app's trigger stamps updated_at on every update, and the app may tell by it who changed what last.
create or replace function luma.keep_updated_at()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := old.updated_at;
  return new;
end
$$;
comment on function luma.keep_updated_at() is 'Trigger: takes the app''s time stamp back when only this project''s columns were written.';

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

create or replace trigger zz_luma_keep_updated_at
before update of luma_guest_id, luma_synced_at on public.event_rsvps
for each row when (
  (new.luma_synced_at, new.luma_guest_id) is distinct from (old.luma_synced_at, old.luma_guest_id)
  and (new.status, new.checked_in, new.rsvp_type, new.metadata) is not distinct from (old.status, old.checked_in, old.rsvp_type, old.metadata)
)
execute function luma.keep_updated_at();

reset lock_timeout;

select luma.restrict_access();
