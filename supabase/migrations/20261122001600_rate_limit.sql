-- The one rate limiter, shared by every function instance: permits for single calls to Luma, counted over
-- any 60 seconds for each calendar and over all. A permit that is never used still counts: its drain may
-- have died after the call.

create table if not exists luma.rate_permits (
  id bigint generated always as identity primary key,
  calendar text not null,
  permits integer not null check (permits > 0),
  free_at timestamptz not null
);
alter table luma.rate_permits enable row level security;
create index if not exists rate_permits_window on luma.rate_permits (free_at);
comment on table luma.rate_permits is 'Permits given out in the last minute or so.';
comment on column luma.rate_permits.free_at is
  'When the calls under these permits have left every 60-second window: 60 s after the latest moment they may be made.';

create or replace function luma.permit_seconds()
returns integer language sql immutable set search_path = ''
return 2;
comment on function luma.permit_seconds() is
  'A permit must be used within this many seconds. The later a call may be made, the longer its permit has to count, so this is short.';

create or replace function luma.permits_free(calendar text)
returns integer language sql volatile set search_path = '' as $$
  select greatest(0, least(
    least(s.calls_per_minute, c.rate_limit - 20) - coalesce(sum(p.permits) filter (where p.calendar = permits_free.calendar), 0),
    s.calls_per_minute_total - coalesce(sum(p.permits), 0)
  ))::integer
  from luma.settings s
  left join luma.calendar_state c on c.luma_key = permits_free.calendar
  left join luma.rate_permits p on p.free_at > clock_timestamp()
  group by s.calls_per_minute, s.calls_per_minute_total, c.rate_limit
$$;
comment on function luma.permits_free(text) is
  'Calls that may be made for a calendar now. Stays 20 below the limit that Luma tells. Only true under luma.lock_permits().';

create or replace function luma.lock_permits()
returns void language sql volatile set search_path = ''
return pg_advisory_xact_lock(hashtext('luma'), hashtext('permits'));
comment on function luma.lock_permits() is 'Makes looking and taking one step. Held for the few milliseconds of a claim, by drains only.';

create or replace function luma.take_permits(calendar text, wanted integer)
returns integer language plpgsql set search_path = '' as $$
declare
  granted integer;
begin
  perform luma.lock_permits();
  granted := least(wanted, luma.permits_free(calendar));
  if granted > 0 then
    delete from luma.rate_permits p where p.free_at <= clock_timestamp();
    insert into luma.rate_permits (calendar, permits, free_at)
    values (take_permits.calendar, granted, clock_timestamp() + make_interval(secs => 60 + luma.permit_seconds()));
  end if;
  return greatest(granted, 0);
end
$$;
comment on function luma.take_permits(text, integer) is 'Takes up to so many permits and says how many it got.';

create or replace function luma.permits_wait_ms(calendar text)
returns integer language sql volatile set search_path = '' as $$
  -- While the total has room it is the calendar's own permits that have to come back, else anybody's.
  select greatest(50, coalesce(ceil(1000 * extract(epoch from min(p.free_at) - clock_timestamp())), 0))::integer
  from luma.rate_permits p
  where p.free_at > clock_timestamp()
    and (p.calendar = permits_wait_ms.calendar or (
      select sum(q.permits) >= (select s.calls_per_minute_total from luma.settings s)
      from luma.rate_permits q where q.free_at > clock_timestamp()
    ))
$$;
comment on function luma.permits_wait_ms(text) is 'Milliseconds until a permit may be free again, 50 at the least.';

create or replace function public.luma_take_permits(calendar text, wanted integer)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  granted integer := luma.take_permits(calendar, wanted);
begin
  return jsonb_build_object(
    'granted', granted,
    'wait_ms', case when granted = 0 then luma.permits_wait_ms(calendar) else 0 end
  );
end
$$;
comment on function public.luma_take_permits(text, integer) is
  'luma-drain: takes permits for calls. {granted, wait_ms}: with none granted, ask again after wait_ms.';

select luma.restrict_access();
