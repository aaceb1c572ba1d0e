-- An outbox with a million rows costs a claim no more than one with a thousand.
--
-- Settling asks for one lease, and walked over all leased rows for it: the index of when leases end served that, too,
-- and looked the smaller of the two. Its condition is now one that a query for a lease does not imply. Routing asks
-- for what has no calendar yet, by kind, and walked over the other kinds.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

-- The same rows: a check of the table says that a lease and its time come and go together.
create index if not exists sync_outbox_leased on luma.sync_outbox (due_at) where leased_at is not null;
drop index if exists luma.sync_outbox_leases;
create index if not exists sync_outbox_unrouted on luma.sync_outbox (entity, priority, due_at)
  where calendar is null and version > done_version and dead_at is null;

reset lock_timeout;

create or replace view luma.due_jobs as
select *
from luma.sync_outbox o
where o.version > o.done_version
  and o.dead_at is null
  and o.due_at <= now()
  and (select luma.mode()) <> 'off'
  and (o.version > o.dry_version or (select luma.mode()) <> 'dry_run')
  -- What may have killed its drains goes one at a time, or those beside it would be given up with it.
  and (o.crashes < 2 or not exists (
    select from luma.sync_outbox s where s.leased_at is not null and s.due_at > now() and s.crashes >= 2
  ))
  -- A live change of it is more urgent, and goes out.
  and (o.priority < 4 or o.backfill_version is null or o.done_version >= o.backfill_version or not (select luma.backfill_stopped()));

create or replace function luma.expire_leases()
returns void language plpgsql set search_path = '' as $$
declare
  o luma.sync_outbox;
  most_crashes integer := (select s.max_crashes from luma.settings s);
begin
  -- Past due and still leased: the drain that held it died or was cut short.
  for o in
    select * from luma.sync_outbox s where s.leased_at is not null and s.due_at <= now()
    order by s.due_at limit 500 for update skip locked
  loop
    perform luma.log_attempt(o, 'lease_expired', null, null);
    perform luma.doubt(o);
    if o.crashes + 1 >= most_crashes then
      perform luma.bury(o, format(
        '%s drains in a row died while working on this; see luma.attempts and the function''s log.', o.crashes + 1
      ));
    else
      update luma.sync_outbox s
      set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, crashes = o.crashes + 1
      where s.entity = o.entity and s.entity_id = o.entity_id;
    end if;
  end loop;
end
$$;

create or replace function luma.route_rsvps()
returns void language plpgsql set search_path = '' as $$
begin
  -- One kind after the other, so that neither is looked for among the rows of another.
  for kind in 1..2 loop
    with unrouted as (
      select s.entity, s.entity_id, s.event_id from luma.due_jobs s
      where s.calendar is null and s.entity = (array['rsvp', 'guest'])[kind]
      order by s.priority, s.due_at limit 2000 for update skip locked
    ), open_events as (
      select u.entity, u.event_id, min(l.calendar) as calendar
      from (select distinct x.entity, x.event_id from unrouted x) u
      join luma.event_links l on l.event_id = u.event_id
      -- A guest is looked up as long as Luma has the event.
      where case u.entity when 'guest' then l.luma_event_id is not null else luma.takes_guests(u.event_id) end
      group by u.entity, u.event_id
    )
    update luma.sync_outbox o
    set calendar = e.calendar,
        done_version = case when e.event_id is null then o.version else o.done_version end,
        last_error = case when e.event_id is not null then o.last_error end
    from unrouted u left join open_events e on e.entity = u.entity and e.event_id = u.event_id
    where o.entity = u.entity and o.entity_id = u.entity_id;
  end loop;
end
$$;

select luma.restrict_access();
