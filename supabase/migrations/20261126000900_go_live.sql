-- Going live reads Luma first, and hands the app's iCal worker its calendars back when it is over.

create or replace function luma.set_mode(mode text)
returns text language plpgsql set search_path = '' as $$
declare
  before text := luma.mode();
begin
  if set_mode.mode is null or set_mode.mode not in ('off', 'dry_run', 'live') then
    raise exception 'luma.set_mode: the mode is off, dry_run or live, not %', coalesce(quote_literal(set_mode.mode), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if set_mode.mode = before then
    -- A change of the mode is noted by its trigger.
    perform luma.log_admin('set_mode', jsonb_build_object('mode', jsonb_build_array(before, before)));
  end if;
  if set_mode.mode = 'live' and before <> 'live' then
    -- What was written while nothing was sent is a backfill: nobody expects a mail about it any more. Only what is to
    -- be hidden on Luma does not wait for its turn.
    update luma.sync_outbox o set priority = 4
    where (o.entity, o.entity_id) in (
      select s.entity, s.entity_id from luma.sync_outbox s
      where s.version > s.done_version and (s.entity = 'rsvp' or s.entity = 'event' and exists (
        select from public.canonical_events e where e.id = s.entity_id and e.submission_status = 'approved'
      )) for update skip locked
    );
  end if;
  update luma.settings s
  set mode = set_mode.mode, updated_at = now(),
      live_since = case when set_mode.mode = 'live' and s.mode <> 'live' then now() else s.live_since end
  where s.id;
  if set_mode.mode <> 'live' then
    perform luma.give_back_calendars();
  end if;
  if set_mode.mode <> before then
    -- What was begun by the rules of another mode begins anew.
    delete from luma.pull_runs r where r.ended_at is null;
    delete from luma.drift d where d.id is not null;
  end if;
  if set_mode.mode <> 'off' then
    if set_mode.mode <> before and (select s.scheduled_pulls from luma.settings s) then
      perform luma.ask_pulls(null, null, is_dry => false);
      perform luma.ring_pull();
    end if;
    perform luma.start_backfill();
    -- For what has waited since before; what backfill enqueued rings by itself.
    perform luma.tick();
  end if;
  return set_mode.mode;
end
$$;
comment on function luma.set_mode(text) is
  'off: nothing is sent, changes wait in the outbox. dry_run: luma.attempts tells what would be sent, luma.drift what would be written. live: everything is read and sent, what waited first, and about RSVPs that waited nobody is mailed.';

select luma.restrict_access();
