-- A step of a pull that has applied what Luma told went on to ask for a permit, with the rows still locked, and waited
-- for a claim that was handing out permits. The claim may wait for one of these rows: a deadlock, which Postgres ends
-- after a second, with the app's writers of those rows waiting behind. Now such a step comes again.

create or replace function luma.try_lock_permits()
returns boolean language sql volatile set search_path = ''
return pg_try_advisory_xact_lock(hashtext('luma'), hashtext('permits'));
comment on function luma.try_lock_permits() is
  'luma.lock_permits() for who has rows locked: false when somebody else is handing out permits.';

create or replace function public.luma_pull_step(run_id uuid, lease uuid, result_json text)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  run luma.pull_runs;
  permit record;
begin
  select * into run from luma.pull_runs r
  where r.id = run_id and r.lease = luma_pull_step.lease and r.ended_at is null for update;
  if not found or luma.mode() = 'off' then
    return '{"do": "end"}';
  end if;
  run.alive_until := clock_timestamp() + interval '30 seconds';
  run := luma.took_result(run, result_json::jsonb);
  if run.ended_at is null and run.entries <> '[]' then
    run := luma.applied_entries(run);
    if run.entries <> '[]' then
      perform luma.save_run(run);
      return jsonb_build_object('do', 'wait', 'wait_ms', case when run.tries > 0 then 50 else 0 end);
    end if;
  end if;
  if run.ended_at is null and run.due_at <= clock_timestamp() then
    run := luma.went_on(run);
  end if;
  if run.ended_at is not null then
    perform luma.save_run(run);
    return '{"do": "end"}';
  end if;
  if not luma.calendar_ready(run.calendar) then
    -- luma.tick() goes on with it when the calendar may be called again.
    run.lease := null;
    run.alive_until := null;
    perform luma.save_run(run);
    return '{"do": "end"}';
  end if;
  if run.due_at > clock_timestamp() then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', ceil(1000 * extract(epoch from run.due_at - clock_timestamp())));
  end if;
  -- What has just been applied is locked until this call is over, and a claim may wait for a row of it with the permits
  -- in its hands: neither would go on.
  if not luma.try_lock_permits() then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', 20);
  end if;
  permit := luma.take_pull_permit(run.calendar, run.is_asked);
  if not permit.granted then
    perform luma.save_run(run);
    return jsonb_build_object('do', 'wait', 'wait_ms', permit.wait_ms);
  end if;
  run.listed_after := coalesce(run.listed_after, luma.start_of_list(run.calendar));
  -- Before the call, by the clock that all else is told by.
  run.asked_at := clock_timestamp();
  perform luma.save_run(run);
  return luma.describe_call(run) || jsonb_build_object('permit_after_ms', luma.elapsed_ms());
end
$$;

select luma.restrict_access();
