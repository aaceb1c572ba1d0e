-- Since the minor releases of November 2026 (15.20 and its sisters) Postgres refuses `add column … default …` to a table
-- whose row type is an argument of a function with a parsed body (`begin atomic`, `return`). That would hit this
-- project's migrations, and the app's own on canonical_events. A body that is text is not looked at.

create or replace function luma.allow_create(link luma.event_links, lease uuid, state jsonb)
returns void language sql set search_path = '' as $$
  -- From here on a create call may reach Luma at any moment, so it is written down before the call. What
  -- an earlier lease may have created with another state is no longer known: then the state is null.
  update luma.event_links l
  set create_lease = coalesce(l.create_lease, allow_create.lease),
      create_state = case when l.create_lease is null or l.create_state = state then state end
  where l.event_id = (link).event_id and l.luma_event_id is null;
$$;

create or replace function luma.differs_there(link luma.event_links, news jsonb, field text, value jsonb)
returns boolean language sql immutable set search_path = '' as $$
  select case
    when (link).luma_base -> field is not distinct from value then false
    when field <> all ((link).unseen) then true
    -- Seen for the first time since Luma was told: its own form of what it was told is no change.
    when luma.is_same(field, (link).luma_base -> field, value) then false
    when luma.is_early(link, field, value) then false
    -- An address is resolved. Who moves the event moves its coordinates too.
    when field = 'geo_address_json' then
      not coalesce((link).luma_base -> 'coordinate' = nullif(news #> '{fields,coordinate,value}', 'null'), false)
    else true
  end
$$;

create or replace function luma.doubt(o luma.sync_outbox)
returns void language sql set search_path = '' as $$
  -- What was being sent may have arrived. If the row goes back to what was agreed on before, that has to count
  -- as a change, so it leaves the base; visibility with it if the push may have closed the event for a while.
  update luma.event_links l
  set row_base = l.row_base - luma.changed_fields((o).lease_state, l.row_base) - case
    when luma.changed_fields((o).lease_state, l.row_base) && '{shown,is_ticketed,category,ticket_price,ticket_currency}'
    then '{visibility}'::text[] else '{}' end
  where (o).entity = 'event' and l.event_id = (o).entity_id and l.row_base is not null and (o).lease_state is not null;
  update luma.guests g
  set in_doubt = true, row_base = null, lease = null
  where (o).entity = 'rsvp' and g.lease = (o).lease;
$$;

create or replace function luma.is_counted(guest luma.guests)
returns boolean language sql stable set search_path = '' as $$
  select coalesce((guest).luma_base in ('approved', 'session'), false) and luma.is_external(guest)
$$;

create or replace function luma.is_early(link luma.event_links, field text, value jsonb)
returns boolean language sql immutable set search_path = '' as $$
  select field = 'culture' and value = 'null' and field = any ((link).unseen) and not (link).tags_heard
$$;

create or replace function luma.is_external(guest luma.guests)
returns boolean language sql stable set search_path = '' as $$
  select (guest).luma_base is not null and not exists (
    select from luma.guest_links l where l.event_id = (guest).event_id and l.email = (guest).email
  )
$$;

create or replace function luma.lease_companions(lead luma.sync_outbox, companions jsonb)
returns setof luma.sync_outbox language sql set search_path = '' as $$
  with free as (
    select s.entity_id
    from jsonb_to_recordset(companions) c (rsvp_id uuid, version bigint)
    -- The version that the verdict was passed on: with a newer one a change would count as sent that was not.
    join luma.sync_outbox s on s.entity = 'rsvp' and s.entity_id = c.rsvp_id and s.version = c.version
    where s.lease is null
    for update of s skip locked
  )
  update luma.sync_outbox o
  set lease = gen_random_uuid(), leased_by = (lead).leased_by, leased_at = clock_timestamp(), lease_version = o.version,
      due_at = (lead).due_at
  from free where o.entity = 'rsvp' and o.entity_id = free.entity_id
  returning o.*;
$$;

create or replace function luma.location_type_of(event public.canonical_events, changes jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select (
    select case
      when not changes ?| '{lat,lng,location_raw,location_name,meeting_url}' then '{}'
      when is_place and n.location_type = 'online' then '{"location_type": "custom"}'
      when not is_place and nullif(trim(n.meeting_url), '') is not null and n.location_type is distinct from 'online'
        then '{"location_type": "online"}'
      else '{}'
    end::jsonb
    from jsonb_populate_record(event, changes) n
    cross join lateral (
      select n.lat is not null or nullif(trim(concat(n.location_raw, n.location_name)), '') is not null as is_place
    ) p
  )
$$;

create or replace function luma.log_attempt(o luma.sync_outbox, outcome text, error text, calls jsonb)
returns void language sql set search_path = '' as $$
  insert into luma.attempts (entity, entity_id, version, calendar, run_id, changed_at, leased_at, outcome, error, calls)
  values (
    (o).entity, (o).entity_id, coalesce((o).lease_version, (o).version), (o).calendar, (o).leased_by,
    (o).changed_at, (o).leased_at, log_attempt.outcome, log_attempt.error, coalesce(log_attempt.calls, '[]')
  );
$$;

create or replace function luma.new_link(o luma.sync_outbox, event public.canonical_events)
returns luma.event_links language sql set search_path = '' as $$
  insert into luma.event_links as l (event_id, calendar, slug)
  values ((event).id, (o).calendar, luma.slug_for((event).id, (event).title))
  -- Linked before but never created, so the calendar is still open.
  on conflict (event_id) do update set calendar = excluded.calendar
  returning l;
$$;

create or replace function luma.postpone(o luma.sync_outbox, due_at timestamptz)
returns void language sql set search_path = '' as $$
  -- Unlike after an attempt the crashes still count, or what kills its drains would be sent with others again.
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, due_at = postpone.due_at
  where s.entity = (o).entity and s.entity_id = (o).entity_id;
$$;

create or replace function luma.put_back(o luma.sync_outbox, due_at timestamptz, failed boolean, error text)
returns void language sql set search_path = '' as $$
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, crashes = 0,
      due_at = put_back.due_at, attempts = s.attempts + failed::integer, last_error = put_back.error
  where s.entity = (o).entity and s.entity_id = (o).entity_id;
$$;

select luma.restrict_access();
