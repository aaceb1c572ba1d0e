-- Permits that lose less of the minute: their time begins when they are given, and is shorter.

create or replace function luma.elapsed_ms()
returns integer language sql volatile set search_path = ''
return floor(1000 * extract(epoch from clock_timestamp() - statement_timestamp()))::integer;
comment on function luma.elapsed_ms() is
  'Milliseconds since this request came in. Permits are given late in it, after a wait for other drains, and their time runs from then.';

create or replace function luma.permit_ms()
returns integer language sql immutable set search_path = ''
return 1500;
comment on function luma.permit_ms() is
  'A permit must be used within this many milliseconds after it was given. The later a call may be made, the longer its permit has to count, so this is short: after a burst the next one may follow 61.5 s later, which uses 97.5 % of the limit.';

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
    values (take_permits.calendar, granted, clock_timestamp() + make_interval(secs => 60 + luma.permit_ms() / 1000.0));
  end if;
  return greatest(granted, 0);
end
$$;
drop function if exists luma.permit_seconds();

create or replace function public.luma_take_permits(calendar text, wanted integer)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  granted integer := luma.take_permits(calendar, wanted);
begin
  return jsonb_build_object(
    'granted', granted,
    'after_ms', luma.elapsed_ms(),
    'wait_ms', case when granted = 0 then luma.permits_wait_ms(calendar) else 0 end
  );
end
$$;
comment on function public.luma_take_permits(text, integer) is
  'luma-drain: takes permits for calls. {granted, after_ms (how long after the request), wait_ms}: with none granted, ask again after wait_ms.';

create or replace function public.luma_return_permits(calendar text, unused integer)
returns void language plpgsql security definer set search_path = '' as $$
declare
  left_over integer := unused;
  given luma.rate_permits;
begin
  perform luma.lock_permits();
  -- From the oldest on: what counts in its stead counts for longer, so no minute ever holds more than it may.
  for given in
    select * from luma.rate_permits p
    where p.calendar = luma_return_permits.calendar and p.free_at > clock_timestamp() order by p.free_at, p.id
  loop
    exit when left_over <= 0;
    if given.permits <= left_over then
      delete from luma.rate_permits p where p.id = given.id;
    else
      update luma.rate_permits p set permits = given.permits - left_over where p.id = given.id;
    end if;
    left_over := left_over - given.permits;
  end loop;
end
$$;
comment on function public.luma_return_permits(text, integer) is
  'luma-drain: gives back permits whose time ran out before a call was made under them, and never will be.';

select luma.restrict_access();
