create or replace function public.luma_renew(run_id uuid)
returns setof uuid language plpgsql security definer
set search_path = '' as $$
declare
  renewed uuid[] := '{}';
begin
  update luma.drain_runs r set alive_until = clock_timestamp() + interval '15 seconds'
  where r.id = run_id and r.ended_at is null;
  for look in 1..4 loop
    with held as (
      select s.lease from luma.sync_outbox s
      where s.leased_by = run_id and s.lease is not null and s.lease <> all (renewed)
      -- The app may hold one of these rows and want another that is renewed here: nobody waits.
      for update skip locked
    ), prolonged as (
      update luma.sync_outbox o
      set due_at = clock_timestamp() + make_interval(secs => (select t.lease_seconds from luma.settings t))
      from held where o.lease = held.lease
      returning o.lease
    )
    select renewed || coalesce(array_agg(p.lease), '{}') into renewed from prolonged p;
    exit when not exists (
      select from luma.sync_outbox o
      where o.leased_by = run_id and o.lease is not null and o.lease <> all (renewed)
    );
    -- What the app was just writing; what is locked for longer counts as lost, and is not called for.
    perform pg_sleep(0.02);
  end loop;
  return query select unnest(renewed);
end
$$;
comment on function public.luma_renew(uuid) is 'luma-drain: prolongs its run and its leases. Answers the leases that it still holds.';

select luma.restrict_access();
