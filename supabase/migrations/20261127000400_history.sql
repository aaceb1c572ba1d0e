-- All that is still known of one event, in one list.

create or replace function luma.history(event_id uuid)
returns table (
  at timestamptz, what text, entity text, who text, outcome text, detail text, took interval, calls jsonb
)
language sql stable set search_path = '' as $$
  with link as (
    select l.luma_event_id, l.calendar, l.slug, l.create_lease, l.created_at from luma.event_links l where l.event_id = history.event_id
  ),
  entities as (
    select 'event' as entity, history.event_id as entity_id, null::text as who
    union
    select o.entity, o.entity_id, coalesce(r.user_id, g.user_id)
    from luma.sync_outbox o
    left join public.event_rsvps r on o.entity = 'rsvp' and r.id = o.entity_id
    left join luma.guest_links g on o.entity = 'rsvp' and g.rsvp_id = o.entity_id
    where o.event_id = history.event_id and o.entity <> 'event'
    union
    -- Their finished jobs may have been cleaned up, their history not yet.
    select 'rsvp', r.id, r.user_id from public.event_rsvps r where r.event_id = history.event_id
  ),
  attempts as (
    select a.*, e.who from entities e join luma.attempts a on a.entity = e.entity and a.entity_id = e.entity_id
  ),
  lines as (
    select min(a.id) as id, a.changed_at as at, 'committed' as what, a.entity, a.who, null as outcome, null as detail,
      null::interval as took, '[]'::jsonb as calls
    from attempts a where a.changed_at is not null
    group by a.entity, a.entity_id, a.changed_at, a.who
    union all
    -- Waits for its first attempt, or for the next one.
    select null, o.changed_at, 'committed', o.entity, e.who, 'waiting', o.last_error, null, '[]'
    from entities e join luma.sync_outbox o on o.entity = e.entity and o.entity_id = e.entity_id
    where o.version > o.done_version and o.changed_at not in (select a.changed_at from attempts a where a.entity_id = o.entity_id)
    union all
    select a.id, a.settled_at, 'attempt', a.entity, a.who, a.outcome, a.error, a.settled_at - coalesce(a.leased_at, a.settled_at), a.calls
    from attempts a
    union all
    select 0, l.created_at, 'slug chosen', 'event', null, l.calendar, 'https://luma.com/' || l.slug, null, '[]'
    from link l where l.create_lease is not null
    union all
    select 0, i.received_at, 'webhook', split_part(i.type, '.', 1), null, coalesce(i.outcome, i.state), concat_ws(': ', i.type, i.error),
      i.applied_at - i.received_at, '[]'
    from link l join luma.webhook_inbox i on i.news #>> '{event,luma_event_id}' = l.luma_event_id
    union all
    select 0, coalesce(r.ended_at, r.started_at, r.requested_at), 'pull', 'event', null, coalesce(r.outcome, 'under way'),
      array_to_string(r.problems, '; '), r.ended_at - r.started_at, '[]'
    from link l join luma.pull_runs r on r.luma_event_id = l.luma_event_id
    union all
    select c.id, c.noticed_at, 'conflict', c.entity, r.user_id, c.winner || ' stayed',
      format('%s: app %s, Luma %s', c.field, coalesce(c.app_value #>> '{}', 'nothing'), coalesce(c.luma_value #>> '{}', 'nothing')), null, '[]'
    from luma.conflicts c left join public.event_rsvps r on r.id = c.entity_id
    where c.event_id = history.event_id
  )
  select l.at, l.what, l.entity, l.who, l.outcome, nullif(l.detail, ''), l.took, l.calls
  from lines l
  -- What was committed and settled in one microsecond was committed first.
  order by l.at, l.what = 'attempt', l.id
$$;
comment on function luma.history(uuid) is
  'What happened with an event of the app''s and its RSVPs, oldest first, as far back as luma.settings keeps it: commits, attempts with every call to Luma and its answer, webhooks, pulls of it, conflicts. who: the user of an RSVP.';

-- Webhook deliveries by event.
create index if not exists webhook_inbox_event on luma.webhook_inbox ((news #>> '{event,luma_event_id}'));

select luma.restrict_access();
