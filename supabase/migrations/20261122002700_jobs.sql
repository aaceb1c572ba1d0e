-- The scheduled jobs. Scheduling a name again updates it.

create or replace function luma.tick()
returns void language plpgsql set search_path = '' as $$
begin
  if luma.has_claimable() then
    perform luma.kick();
  end if;
end
$$;
comment on function luma.tick() is 'Rings for the drain when something is due: retries, expired leases, lost rings. Run by pg_cron.';

-- 'N seconds' schedules exist from pg_cron 1.5; before that a minute is the shortest. A tick posts nothing unless
-- something is due, so it costs no function calls; with a lease of 15 s a crash is made good within 30 s.
select cron.schedule(
  'luma-drain',
  case
    when (select string_to_array(split_part(x.extversion, '-', 1), '.')::integer[] from pg_catalog.pg_extension x where x.extname = 'pg_cron') >= '{1,5}'
    then '5 seconds' else '* * * * *'
  end,
  'select luma.tick()'
);
select cron.schedule('luma-sweep', '*/5 * * * *', 'select luma.sweep()');
select cron.schedule('luma-clean-up', '17 3 * * *', 'select luma.clean_up()');
