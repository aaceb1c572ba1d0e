-- How long changes take from one side to the other, and the calls that they cost.

create or replace function luma.lags(since interval)
returns table (direction text, entity text, calendar text, settled_at timestamptz, ms numeric)
language sql stable set search_path = '' as $$
  select 'to Luma', a.entity, a.calendar, a.settled_at, (1000 * extract(epoch from a.settled_at - a.changed_at))::numeric
  from luma.attempts a cross join luma.settings s
  -- What was there before the mode was live has waited for that.
  where a.outcome = 'done' and a.settled_at > now() - lags.since
    and (a.changed_at >= coalesce(s.live_since, '-infinity') or a.settled_at < s.live_since)
  union all
  select 'from Luma', split_part(i.type, '.', 1), i.calendar, i.applied_at, (1000 * extract(epoch from i.applied_at - i.received_at))::numeric
  from luma.webhook_inbox i
  where i.state = 'applied' and i.applied_at > now() - lags.since
$$;
comment on function luma.lags(interval) is
  'One row for each change that arrived within this time: milliseconds from the commit to the acknowledged call, or from the webhook to the row.';

create or replace view luma.lag as
select l.direction, l.entity, count(*) as changes,
  round((percentile_cont(0.5) within group (order by l.ms))::numeric, 1) as p50_ms,
  round((percentile_cont(0.99) within group (order by l.ms))::numeric, 1) as p99_ms,
  round(max(l.ms), 1) as max_ms
from luma.lags(interval '1 hour') l
group by l.direction, l.entity;
comment on view luma.lag is 'How long the changes of the last hour took, by direction and kind. Backfills are left out.';

create or replace function luma.traffic(since interval default '3 hours', bucket interval default '1 minute')
returns table (bucket_at timestamptz, calendar text, calls bigint, failed bigint, rate_limited bigint, p50_ms numeric, p99_ms numeric)
language sql stable set search_path = '' as $$
  with made as (
    -- RSVPs that went in one call each have it.
    select distinct a.calendar, a.run_id, (c.call ->> 'at')::timestamptz as at, c.call - 'at' as call, 1 as calls, (c.call ->> 'status')::integer as status
    from luma.attempts a cross join lateral jsonb_array_elements(a.calls) c(call)
    where a.settled_at > now() - traffic.since and a.outcome <> 'dry_run'
    union all
    -- A pull keeps its calls as a number.
    select r.calendar, r.id, coalesce(r.ended_at, now()), null, r.calls, 200
    from luma.pull_runs r
    where coalesce(r.ended_at, now()) > now() - traffic.since and r.calls > 0
  ),
  counted as (
    select date_bin(traffic.bucket, m.at, '2000-01-01') as bucket_at, m.calendar, sum(m.calls)::bigint as calls,
      -- A 404 answers a look-up as well as anything.
      count(*) filter (where m.status is null or m.status >= 400 and m.status not in (404, 429)) as failed,
      count(*) filter (where m.status = 429) as rate_limited
    from made m
    group by 1, 2
  ),
  lagged as (
    select date_bin(traffic.bucket, l.settled_at, '2000-01-01') as bucket_at, l.calendar,
      percentile_cont(array[0.5, 0.99]) within group (order by l.ms) as ms
    from luma.lags(traffic.since) l
    where l.direction = 'to Luma'
    group by 1, 2
  )
  select coalesce(c.bucket_at, l.bucket_at), coalesce(c.calendar, l.calendar), coalesce(c.calls, 0), coalesce(c.failed, 0),
    coalesce(c.rate_limited, 0), round(l.ms[1]::numeric, 1), round(l.ms[2]::numeric, 1)
  from counted c
  full join lagged l on l.bucket_at = c.bucket_at and l.calendar is not distinct from c.calendar
  order by 1, 2
$$;
comment on function luma.traffic(interval, interval) is
  'Calls to Luma by calendar and time, how many failed or were rate-limited (429), and the lag of what was sent meanwhile. Buckets without calls are left out.';

select luma.restrict_access();
