-- Which events take guests: those that Luma shows now. RSVPs of all others wait, and are compared again when
-- their event opens.

create or replace function luma.is_over(e public.canonical_events)
returns boolean language sql stable set search_path = '' as $$
  -- Without an end Luma shows two hours (mapping.ts), so it runs that long here too.
  select coalesce(e.ends_at, e.starts_at + interval '2 hours') <= now()
$$;
comment on function luma.is_over(public.canonical_events) is 'True when the event has ended: nothing of it is sent any more.';

create or replace function luma.takes_guests(event_id uuid)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from luma.event_links l
    join public.canonical_events e on e.id = l.event_id
    where l.event_id = takes_guests.event_id and l.luma_event_id is not null
      -- Shown on Luma, not only here: an event that is approved again is still hidden there for a moment.
      and (l.row_base ->> 'shown')::boolean
      and e.submission_status = 'approved' and not luma.is_over(e)
  )
$$;
comment on function luma.takes_guests(uuid) is 'True while RSVPs of this event are sent: it is on Luma, approved, and not over.';

-- Something happened that may give RSVPs something to send, though their rows did not change. Append-only, so
-- that the app's writes of users never wait for a lock of ours, nor the other way round.
create table if not exists luma.rechecks (
  id bigint generated always as identity primary key,
  event_id uuid,
  user_id text,
  priority smallint not null default 1 check (priority between 1 and 4),
  due_at timestamptz not null default clock_timestamp(),
  wake boolean not null default false,
  check (num_nonnulls(event_id, user_id) = 1)
);
alter table luma.rechecks add column if not exists promote boolean not null default false;
alter table luma.rechecks enable row level security;

comment on table luma.rechecks is
  'Events that opened and users whose e-mail address changed: the next claim compares their RSVPs with Luma.';
comment on column luma.rechecks.priority is 'Of what it enqueues: 4 when a backfill opened the event, so that nobody is mailed.';
comment on column luma.rechecks.promote is
  'The user may be a guest on Luma who is nobody''s RSVP: that comes first, in a transaction of its own (luma_apply_deliveries).';
comment on column luma.rechecks.wake is 'As in luma.sync_outbox.';

create or replace function luma.wakes_drain()
returns boolean language plpgsql set search_path = '' as $$
begin
  if current_setting('luma.woken', true) = 'yes' then
    return false;
  end if;
  perform set_config('luma.woken', 'yes', true);
  return true;
end
$$;
comment on function luma.wakes_drain() is
  'True for the first row that a transaction enqueues: only that one wakes the drain, so that a bulk update does not queue a deferred trigger for each row. The setting is local: it ends with the transaction.';

drop trigger if exists wake_drain on luma.rechecks;
create constraint trigger wake_drain
after insert on luma.rechecks
deferrable initially deferred
for each row when (new.wake)
execute function luma.kick_at_commit();
