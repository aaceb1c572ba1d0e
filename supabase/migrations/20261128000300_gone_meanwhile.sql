-- A host cancels an event while a guest of it is being added: Luma answers 404 after the webhook was applied, and the RSVP
-- stayed a dead letter that nothing cleared. And what a guest's base was before it was told is kept here (luma.guests.former).

create or replace function luma.settle_guest(o luma.sync_outbox, result jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  outcome text := result ->> 'outcome';
  is_gone boolean;
  moved boolean := coalesce((o.lease_state ->> 'moved')::boolean, false);
begin
  if outcome = 'dry_run' then
    perform luma.finish(o, outcome, result -> 'calls');
  elsif outcome = 'done' then
    update luma.guests g
    set row_base = result ->> 'status', luma_base = result ->> 'status', unseen = true, in_doubt = false, lease = null,
        former = case when g.luma_base = result ->> 'status' then g.former else g.luma_base end, ours = true,
        synced_at = now(), luma_guest_id = result ->> 'luma_guest_id'
    where g.lease = o.lease;
    perform luma.finish_rsvp(o, moved, 'done', result -> 'calls');
  elsif outcome = 'read' then
    perform luma.settle_look(o, result);
  elsif outcome = 'failed' then
    is_gone := not exists (select from luma.guests g where g.lease = o.lease);
    if coalesce((result ->> 'maybe_applied')::boolean, true) then
      perform luma.doubt(o);
    end if;
    update luma.guests g set lease = null where g.lease = o.lease;
    if is_gone then
      -- Its event was cancelled on Luma while the call was under way, and no failure of the RSVP's: whether anything is
      -- left to do, and where, the next claim sees.
      perform luma.log_attempt(o, 'retry', result #>> '{failure,message}', result -> 'calls');
      perform luma.put_back(o, clock_timestamp() + luma.retry_delay(o.attempts), true, result #>> '{failure,message}');
    else
      perform luma.settle_failure(o, result -> 'failure' || jsonb_build_object('calls', result -> 'calls'));
    end if;
  else
    -- released: no call that changes anything was made.
    update luma.guests g set lease = null where g.lease = o.lease;
    perform luma.put_back(o, now(), false, o.last_error);
  end if;
end
$$;

select luma.restrict_access();
