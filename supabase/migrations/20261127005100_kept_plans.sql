-- What every commit and every claim ask again and again, in plpgsql, which keeps its plans for as long as the connection lives. A SQL
-- function that is not inlined is planned anew at every call, and one that sets search_path never is inlined. The
-- bodies say what they said before.

create or replace function luma.mode()
returns text language plpgsql stable set search_path = '' as $$
begin
  return (select s.mode from luma.settings s);
end
$$;

create or replace function luma.try_lock_bell(exclusive boolean)
returns boolean language plpgsql volatile set search_path = '' as $$
begin
  return case when exclusive
    then pg_try_advisory_xact_lock(hashtext('luma'), hashtext('bell'))
    else pg_try_advisory_xact_lock_shared(hashtext('luma'), hashtext('bell'))
  end;
end
$$;

create or replace function luma.drain_expected()
returns boolean language plpgsql volatile set search_path = '' as $$
begin
  return exists (select from luma.drain_runs r where r.ended_at is null and r.alive_until > clock_timestamp())
    -- After five seconds a ring without an answer counts as lost.
    or exists (select from luma.bell b where b.rung_at > clock_timestamp() - interval '5 seconds');
end
$$;

create or replace function luma.backfill_stopped()
returns boolean language plpgsql stable set search_path = '' as $$
begin
  return exists (select from luma.backfill_state b where b.stopped_at is not null);
end
$$;

create or replace function luma.event_state(e public.canonical_events)
returns jsonb language plpgsql stable set search_path = '' set timezone = 'UTC' as $$
begin
  return jsonb_build_object(
    'shown', e.submission_status is not distinct from 'approved',
    'title', e.title,
    'description', e.description,
    'starts_at', e.starts_at,
    'ends_at', e.ends_at,
    'tz', e.tz,
    'lat', e.lat,
    'lng', e.lng,
    'location_raw', e.location_raw,
    'location_name', e.location_name,
    'location_type', e.location_type,
    'meeting_point', e.meeting_point,
    'meeting_url', e.meeting_url,
    'cover_image_url', e.cover_image_url,
    'visibility', e.visibility,
    'max_capacity', e.max_capacity,
    'culture', e.culture,
    'category', e.category,
    'is_ticketed', e.is_ticketed,
    'ticket_price', e.ticket_price,
    'ticket_currency', e.ticket_currency
  );
end
$$;

create or replace function luma.changed_fields(state jsonb, base jsonb)
returns text[] language plpgsql immutable set search_path = '' as $$
begin
  return array(
    select s.key from jsonb_each(state) s
    where s.value is distinct from base -> s.key order by s.key
  );
end
$$;

create or replace function luma.needs_push(e public.canonical_events, l luma.event_links)
returns boolean language plpgsql stable set search_path = '' as $$
begin
  return case
    when l.luma_event_id is null and l.create_lease is null then luma.why_not_created(e) is null
    -- A create may or may not have taken effect: somebody has to look.
    when l.luma_event_id is null then true
    when e.submission_status = 'approved' then l.row_base is distinct from luma.event_state(e)
    -- While it is hidden Luma need not follow: the edits are still missing from the base when it is shown again.
    else coalesce(l.row_base ->> 'shown' <> 'false', true)
  end;
end
$$;

create or replace function luma.heard_from(calendar text)
returns timestamptz language plpgsql stable set search_path = '' as $$
begin
  return (select max(i.received_at) from luma.webhook_inbox i where i.calendar = heard_from.calendar);
end
$$;

create or replace function luma.is_deaf(calendar text)
returns boolean language plpgsql stable set search_path = '' as $$
begin
  return coalesce(
    (select s.missed_at from luma.calendar_state s where s.luma_key = is_deaf.calendar)
      > coalesce(luma.heard_from(calendar), '-infinity'),
    false
  );
end
$$;

create or replace function luma.is_unheard(o luma.sync_outbox, link luma.event_links)
returns boolean language plpgsql stable set search_path = '' as $$
begin
  return luma.is_deaf(link.calendar) and link.row_base is not null
    -- Not a second time under one lease.
    and not exists (select from luma.reads r where r.event_id = link.event_id and r.read_at >= o.leased_at);
end
$$;

create or replace function luma.takes_guests(event_id uuid)
returns boolean language plpgsql stable set search_path = '' as $$
begin
  return exists (
    select from luma.event_links l
    join public.canonical_events e on e.id = l.event_id
    where l.event_id = takes_guests.event_id and l.luma_event_id is not null
      -- Shown on Luma, not only here: an event that is approved again is still hidden there for a moment.
      and (l.row_base ->> 'shown')::boolean
      and e.submission_status = 'approved' and not luma.is_over(e) and not l.is_adopting
  );
end
$$;

create or replace function luma.is_over(e public.canonical_events)
returns boolean language plpgsql stable set search_path = '' as $$
begin
  -- Without an end Luma shows two hours (mapping.ts), so it runs that long here too.
  return coalesce(e.ends_at, e.starts_at + interval '2 hours') <= now();
end
$$;

create or replace function luma.usable_email(email text)
returns text language plpgsql immutable set search_path = '' as $$
-- The shape only; that a letter arrives there nobody can tell. 254: the longest address (RFC 5321, 4.5.3.1.3).
declare
  trimmed text := lower(btrim(email, E' \t\r\n\f\u00a0'));
begin
  return case when length(trimmed) <= 254
    and trimmed ~ '^[^[:space:][:cntrl:]@<>(),;:"\\\[\]]{1,64}@([^[:space:][:cntrl:]@<>(),;:"\\\[\].]+\.)+[^[:space:][:cntrl:]@<>(),;:"\\\[\].]{2,}$'
    and trimmed !~ '(^\.|\.\.|\.@)' then trimmed end;
end
$$;

create or replace function luma.guest_status(rsvp_status text)
returns text language plpgsql immutable set search_path = '' as $$
begin
  return case
    when rsvp_status in ('going', 'approved') then 'approved'
    -- 'interested' is the app's word for waiting for the host's approval.
    when rsvp_status in ('interested', 'pending') then 'pending_approval'
    when rsvp_status = 'waitlist' then 'waitlist'
    else 'declined'
  end;
end
$$;

create or replace function luma.status_rank(guest_status text)
returns integer language plpgsql immutable set search_path = '' as $$
begin
  return array_position('{declined,waitlist,pending_approval,approved}'::text[], guest_status);
end
$$;

create or replace function luma.log_attempt(o luma.sync_outbox, outcome text, error text, calls jsonb)
returns void language plpgsql set search_path = '' as $$
begin
  insert into luma.attempts (entity, entity_id, version, calendar, run_id, changed_at, leased_at, outcome, error, calls)
  values (
    o.entity, o.entity_id, coalesce(o.lease_version, o.version), o.calendar, o.leased_by,
    o.changed_at, o.leased_at, log_attempt.outcome, log_attempt.error, coalesce(log_attempt.calls, '[]')
  );
end
$$;

select luma.restrict_access();
