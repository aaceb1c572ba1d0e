-- What heals the way from Luma to the app, and what admins see of it.

create or replace function luma.sweep_news()
returns void language plpgsql set search_path = '' as $$
declare
  miscounted uuid;
begin
  if luma.mode() <> 'live' then
    return;
  end if;
  -- Looks that were asked for and are not waiting any more: the mode was not live, or they were given up before.
  perform luma.try_enqueue('event', l.event_id, 4, l.event_id)
  from luma.event_links l
  where l.look and not exists (
    select from luma.sync_outbox o where o.entity = 'event' and o.entity_id = l.event_id and o.version > o.done_version
  );
  perform luma.try_enqueue('guest', g.id, 4, g.event_id)
  from luma.guests g
  where g.look and not exists (
    select from luma.sync_outbox o where o.entity = 'guest' and o.entity_id = g.id and o.version > o.done_version
  );
  -- Who somebody is can become clear by a change of somebody else.
  insert into luma.rechecks (user_id, promote)
  select distinct m.user_id, true
  from luma.guests g
  join public.canonical_events e on e.id = g.event_id
  cross join lateral luma.match_user(g.email, g.news ->> 'phone') m
  where g.luma_base <> 'declined' and not luma.is_over(e) and luma.is_external(g) and m.user_id is not null
    -- Not whoever is another guest of the event already.
    and (luma.find_rsvp(g)).user_id is not null
    and not exists (select from luma.rechecks r where r.user_id = m.user_id and r.promote);
  for miscounted in
    -- Of what is over the count stays, though the guests are forgotten after a while.
    select l.event_id from luma.event_links l join public.canonical_events e on e.id = l.event_id and not luma.is_over(e)
    where l.luma_event_id is not null and l.external_count <> (
      select count(*) from luma.guests g where g.event_id = l.event_id and luma.is_counted(g)
    )
  loop
    perform luma.recount(miscounted);
  end loop;
end
$$;
comment on function luma.sweep_news() is 'Part of luma.sweep(): reads that were missed, external guests who can be matched now, counts.';

create or replace function luma.recount(of_event_id uuid)
returns void language plpgsql set search_path = '' set lock_timeout = '20ms' as $$
begin
  perform luma.count_external_guests(of_event_id);
exception when lock_not_available then
  -- The app is writing it; the next sweep comes in five minutes.
  null;
end
$$;
comment on function luma.recount(uuid) is 'Counts the external guests of an event anew, unless the app is writing the event.';

create or replace function luma.retry_deliveries(id text)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer;
begin
  update luma.webhook_inbox w set state = 'stored', attempts = 0, due_at = clock_timestamp()
  where case when id is null then w.state = 'failed' else w.webhook_id = id end;
  get diagnostics revived = row_count;
  if revived > 0 then
    perform luma.kick();
  end if;
  return revived;
end
$$;
comment on function luma.retry_deliveries(text) is 'Applies a delivery again, whatever became of it before; null: those that were given up. Answers how many.';

create or replace function luma.retry(webhook_id text)
returns integer language plpgsql set search_path = '' as $$
declare
  revived integer;
begin
  -- An id in quotes comes here, whatever it is the id of.
  if webhook_id is null or webhook_id ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
    return luma.retry(webhook_id::uuid);
  end if;
  revived := luma.retry_deliveries(webhook_id);
  if revived = 0 then
    raise exception 'luma.retry: there is no webhook delivery %', quote_literal(webhook_id)
      using errcode = 'no_data_found', hint = 'See luma.dead_letters and luma.deliveries; an event or RSVP is retried by its id, a uuid.';
  end if;
  return revived;
end
$$;
comment on function luma.retry(text) is
  'Tries again, now: a webhook delivery by its id, also one that was applied before; or an event or RSVP by its id. Answers how many.';

create or replace view luma.deliveries as
select i.webhook_id, i.calendar, i.type, i.state, i.outcome, i.error, i.attempts, i.due_at, i.received_at, i.applied_at,
  i.applied_at - i.received_at as took, i.times_received, l.event_id, e.title
from luma.webhook_inbox i
left join luma.event_links l on l.luma_event_id = i.news #>> '{event,luma_event_id}'
left join public.canonical_events e on e.id = l.event_id;
comment on view luma.deliveries is 'Webhook deliveries, and what became of each. The payloads are in luma.webhook_inbox.';

select luma.restrict_access();
