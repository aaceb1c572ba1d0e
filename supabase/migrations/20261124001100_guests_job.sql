-- RSVPs are sent together: those of one event that want the same.

create or replace function luma.batch_size(kind text)
returns integer language sql immutable set search_path = ''
-- An addition is one call for all; changes are one call each, all made at once.
return case kind when 'add' then 100 else 5 end;
comment on function luma.batch_size(text) is 'Most guests that one job adds, or changes.';

create or replace function luma.find_companions(lead luma.sync_outbox, kind text, wanted text, email text, most integer)
returns jsonb language sql stable set search_path = '' as $$
  with due as materialized (
    select d.entity_id, d.version, d.due_at from luma.due_jobs d
    where d.entity = 'rsvp' and d.event_id = (lead).event_id and d.calendar = (lead).calendar and d.lease is null
      -- Nobody is mailed about a backfill.
      and (d.priority = 4) = ((lead).priority = 4)
      -- What killed drains before goes alone, so that it takes no other with it again.
      and d.crashes < 2 and (lead).crashes < 2
    -- A few more than wanted, because not all of them want the same: this runs while other drains wait.
    order by d.due_at limit 4 * (most + 1)
  ), alike as (
    select distinct on (n.email) due.due_at, jsonb_build_object('rsvp_id', due.entity_id, 'version', due.version) || to_jsonb(n) as guest
    from due cross join lateral luma.guest_need(due.entity_id) n
    where n.event_id = (lead).event_id and n.kind = find_companions.kind and (n.kind = 'change' or n.wanted = find_companions.wanted)
      and not n.busy and n.email <> find_companions.email
    order by n.email, due.due_at
  )
  select coalesce(jsonb_agg(a.guest), '[]')
  from (select * from alike order by due_at limit most) a
$$;
comment on function luma.find_companions(luma.sync_outbox, text, text, text, integer) is
  'At most so many due RSVPs that can go with a leased one: what luma.guest_need() says of them, rsvp_id and version.';

create or replace function luma.lease_companions(lead luma.sync_outbox, companions jsonb)
returns setof luma.sync_outbox language sql set search_path = ''
begin atomic
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
end;
comment on function luma.lease_companions(luma.sync_outbox, jsonb) is 'Leases, with the lead''s run, those companions that nobody has touched meanwhile.';

create or replace function luma.remember_guests(batch jsonb)
returns void language sql set search_path = ''
begin atomic
  -- Before the call: after a crash it has to be known who may be on Luma.
  insert into luma.guests (event_id, email, lease)
  select g.event_id, g.email, g.lease from jsonb_to_recordset(batch) g (event_id uuid, email text, lease uuid)
  on conflict (event_id, email) do update set lease = excluded.lease;
  insert into luma.guest_links (rsvp_id, event_id, user_id, email)
  select g.rsvp_id, g.event_id, g.user_id, g.email
  from jsonb_to_recordset(batch) g (rsvp_id uuid, event_id uuid, user_id text, email text)
  on conflict (rsvp_id) do update set event_id = excluded.event_id, user_id = excluded.user_id, email = excluded.email;
end;
comment on function luma.remember_guests(jsonb) is 'Writes down which guests a batch is about, and under which leases.';

create or replace function luma.postpone(o luma.sync_outbox, due_at timestamptz)
returns void language sql set search_path = ''
begin atomic
  -- Unlike after an attempt the crashes still count, or what kills its drains would be sent with others again.
  update luma.sync_outbox s
  set lease = null, leased_by = null, leased_at = null, lease_version = null, lease_state = null, due_at = postpone.due_at
  where s.entity = (o).entity and s.entity_id = (o).entity_id;
end;
comment on function luma.postpone(luma.sync_outbox, timestamptz) is 'Gives back a job that was leased and not tried.';

create or replace function luma.hold_batch(lead luma.sync_outbox, companions jsonb, until timestamptz)
returns void language plpgsql set search_path = '' as $$
begin
  perform luma.postpone(lead, until);
  update luma.sync_outbox o set due_at = until
  where o.entity = 'rsvp' and o.entity_id in (
    select s.entity_id from jsonb_to_recordset(companions) c (rsvp_id uuid)
    join luma.sync_outbox s on s.entity = 'rsvp' and s.entity_id = c.rsvp_id
    where s.lease is null for update of s skip locked
  );
end
$$;
comment on function luma.hold_batch(luma.sync_outbox, jsonb, timestamptz) is 'Lets a leased RSVP and its companions wait for others.';

create or replace function luma.unlink_moved(rsvp_id uuid)
returns boolean language plpgsql set search_path = '' as $$
declare
  link luma.guest_links;
begin
  select * into link from luma.guest_links l where l.rsvp_id = unlink_moved.rsvp_id;
  -- The user's row that was made anew takes the guest over, so that its own end is not missed.
  insert into luma.guest_links (rsvp_id, event_id, user_id, email)
  select r.id, r.event_id, r.user_id, link.email from public.event_rsvps r
  where r.event_id = link.event_id and r.user_id = link.user_id
  on conflict do nothing;
  if exists (
    select from luma.guests g
    where g.event_id = link.event_id and g.email = link.email and (g.in_doubt or g.row_base <> 'declined')
  ) and not exists (
    select from luma.guest_links l
    join public.event_rsvps r on r.id = l.rsvp_id and r.event_id = l.event_id and r.user_id = l.user_id
    where l.event_id = link.event_id and l.email = link.email
  ) then
    -- Who wanted the guest to stay has gone meanwhile: a guest that nobody is would never be declined.
    return true;
  end if;
  delete from luma.guest_links l where l.rsvp_id = unlink_moved.rsvp_id;
  return exists (select from public.event_rsvps r where r.id = unlink_moved.rsvp_id);
end
$$;
comment on function luma.unlink_moved(uuid) is
  'Forgets which guest an RSVP was whose row is gone or somebody else''s. True when there is more to send of it: the guest still has to leave, or the row has another guest now.';

create or replace function luma.finish_rsvp(o luma.sync_outbox, moved boolean, outcome text, calls jsonb)
returns void language plpgsql set search_path = '' as $$
begin
  if moved and luma.unlink_moved(o.entity_id) then
    perform luma.log_attempt(o, outcome, null, calls);
    perform luma.put_back(o, now(), false, null);
  else
    perform luma.finish(o, outcome, calls);
  end if;
end
$$;
comment on function luma.finish_rsvp(luma.sync_outbox, boolean, text, jsonb) is
  'Like luma.finish(); an RSVP whose row is gone or somebody else''s stays due as long as there is more to send of it.';

create or replace function luma.guests_job(o luma.sync_outbox, free integer)
returns jsonb language plpgsql set search_path = '' as $$
declare
  settings luma.settings;
  link luma.event_links;
  need record;
  companions jsonb;
  batch jsonb;
begin
  if not luma.takes_guests(o.event_id) then
    -- It closed since these were routed.
    perform luma.postpone(o, now());
    update luma.sync_outbox s set calendar = null where (s.entity, s.entity_id) in (
      select d.entity, d.entity_id from luma.due_jobs d
      where d.entity = 'rsvp' and d.event_id = o.event_id and d.lease is null limit 2000 for update skip locked
    );
    return null;
  end if;
  select * into need from luma.guest_need(o.entity_id);
  if need.event_id <> o.event_id then
    -- The row went over to another event. Its guest leaves the first one, if that can be told there, and joins the
    -- second.
    if need.moved and not luma.takes_guests(need.event_id) then
      delete from luma.guest_links l where l.rsvp_id = o.entity_id;
    else
      update luma.sync_outbox s set event_id = need.event_id, calendar = null where s.lease = o.lease;
    end if;
    perform luma.postpone(o, now());
    return null;
  end if;
  if (need.busy or need.kind is null and need.agreed is not null) and not need.moved then
    -- Who shares a guest has to be known before the other one leaves.
    insert into luma.guest_links (rsvp_id, event_id, user_id, email)
    values (o.entity_id, need.event_id, need.user_id, need.email)
    on conflict (rsvp_id) do update set event_id = excluded.event_id, user_id = excluded.user_id, email = excluded.email;
  end if;
  if need.busy then
    -- An RSVP that waits for a look at its guest lets it go before others.
    update luma.sync_outbox s set priority = o.priority
    where s.priority > o.priority and (s.entity, s.entity_id) in (
      select c.entity, c.entity_id from luma.sync_outbox c
      join luma.guests g on g.id = c.entity_id and g.look and g.event_id = need.event_id and g.email = need.email
      where c.entity = 'guest' for update of c skip locked
    );
    -- First of all: what is being sent may be older than this change, so not even "nothing to do" can be told.
    perform luma.postpone(o, clock_timestamp() + interval '1 second');
    return null;
  elsif need.kind is null then
    perform luma.finish_rsvp(o, need.moved, 'nothing_to_do', '[]');
    return null;
  end if;

  select * into settings from luma.settings;
  select * into link from luma.event_links l where l.event_id = o.event_id;
  companions := luma.find_companions(
    o, need.kind, need.wanted, need.email,
    -- A change needs a permit for each guest.
    least(luma.batch_size(need.kind), case when need.kind = 'change' then free end) - 1
  );
  if need.kind = 'add' then
    if link.guests_due_at > now() and jsonb_array_length(companions) + 1 < luma.batch_size('add') then
      perform luma.hold_batch(o, companions, link.guests_due_at);
      return null;
    end if;
    update luma.event_links l
    set guests_due_at = clock_timestamp() + make_interval(secs => settings.edit_spacing_ms / 1000.0)
    where l.event_id = o.event_id;
  end if;
  select jsonb_build_array(jsonb_build_object('rsvp_id', o.entity_id, 'lease', o.lease) || to_jsonb(need))
    || coalesce(jsonb_agg(c.guest || jsonb_build_object('lease', leased.lease) order by c.place), '[]')
  into batch
  from luma.lease_companions(o, companions) leased
  join jsonb_array_elements(companions) with ordinality c (guest, place) on (c.guest ->> 'rsvp_id')::uuid = leased.entity_id;
  update luma.sync_outbox s set lease_state = g
  from jsonb_array_elements(batch) g where s.lease = (g ->> 'lease')::uuid;
  if luma.mode() = 'live' then
    perform luma.remember_guests(batch);
  end if;
  return jsonb_build_object(
    'entity', 'guests', 'id', o.event_id, 'calendar', o.calendar, 'luma_event_id', link.luma_event_id,
    'send_email', settings.send_email and o.priority < 4,
    'permits', case when need.kind = 'change' then jsonb_array_length(batch) else 1 end,
    'guests', batch
  );
end
$$;
comment on function luma.guests_job(luma.sync_outbox, integer) is
  'What the drain needs to know of a leased RSVP and of those that go with it, for at most so many calls, or null when there is nothing to send now. permits: how many calls it is good for.';
