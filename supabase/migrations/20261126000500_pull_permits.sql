-- Permits for pulls: from the same limiter, and always leaving a part of it to live traffic.

alter table luma.rate_permits add column if not exists is_pull boolean not null default false;
comment on column luma.rate_permits.is_pull is 'For calls of a pull.';

create or replace function luma.take_pull_permit(calendar text, is_asked boolean, out granted boolean, out wait_ms integer)
language plpgsql set search_path = '' as $$
declare
  most numeric;
  share numeric;
  used integer;
begin
  perform luma.lock_permits();
  select least(s.calls_per_minute, c.rate_limit - 20), case when is_asked then 2 / 3.0 else s.pull_share end into most, share
  from luma.settings s left join luma.calendar_state c on c.luma_key = take_pull_permit.calendar;
  select coalesce(sum(p.permits), 0) into used from luma.rate_permits p
  where p.calendar = take_pull_permit.calendar and p.is_pull and p.free_at > clock_timestamp();
  -- Pulls are the least urgent: a third of the minute is kept for whatever comes.
  granted := used + 1 <= greatest(1, most * share) and luma.permits_free(calendar) > least(most, (select s.calls_per_minute_total from luma.settings s)) / 3;
  wait_ms := 0;
  if granted then
    granted := luma.take_permits(calendar, 1) = 1;
    update luma.rate_permits p set is_pull = true
    where p.id = (select max(n.id) from luma.rate_permits n where n.calendar = take_pull_permit.calendar);
  end if;
  if not granted then
    wait_ms := coalesce((
      select greatest(50, ceil(1000 * extract(epoch from min(p.free_at) - clock_timestamp())))::integer
      from luma.rate_permits p where p.calendar = take_pull_permit.calendar and p.free_at > clock_timestamp()
    ), 1000);
  end if;
end
$$;
comment on function luma.take_pull_permit(text, boolean) is
  'Takes a permit for one call of a pull: a share of the calendar''s limit, and never the last third. Not granted: ask again after wait_ms.';

select luma.restrict_access();
