-- The triggers on the app's events. They cost nothing when no synced column changes (the app writes
-- current_rsvp_count and updated_at for every RSVP), and a failure of ours never fails the app's write.
--
-- Row-level with `when`, not statement-level with transition tables: those are filled and compared for every
-- write, so each count update would pay. The other way round it is only a bulk edit that pays a little more.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

create table if not exists luma.missed_changes (
  id bigint generated always as identity primary key,
  missed_at timestamptz not null default clock_timestamp(),
  entity text not null,
  entity_id uuid not null,
  error text not null
);
alter table luma.missed_changes enable row level security;
comment on table luma.missed_changes is 'Changes that a trigger could not enqueue. luma.sweep() enqueues them again and deletes them.';

create or replace function luma.note_missed_change(entity text, entity_id uuid, error text)
returns void language plpgsql set search_path = '' as $$
begin
  insert into luma.missed_changes (entity, entity_id, error)
  values (note_missed_change.entity, note_missed_change.entity_id, note_missed_change.error);
exception when others then
  -- Even this table is broken. The sweep also compares rows with what Luma has, so nothing is lost.
  raise warning 'luma: % % was not enqueued (%), nor could that be recorded (%)', entity, entity_id, error, sqlerrm;
end
$$;
comment on function luma.note_missed_change(text, uuid, text) is 'Records a change that a trigger could not enqueue; never raises.';

create or replace function luma.enqueue_event()
returns trigger language plpgsql
-- The app's roles have no rights in schema luma; the trigger acts for them.
security definer set search_path = '' as $$
declare
  event public.canonical_events;
begin
  -- Here and not where it is declared: an error there would be outside this block's handler.
  event := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  perform luma.enqueue('event', event.id, case
    when tg_op = 'DELETE' or event.submission_status is distinct from 'approved' then 1
    when event.luma_event_id is null then 2
    else 3
  end);
  return null;
exception when others then
  perform luma.note_missed_change('event', event.id, sqlerrm);
  return null;
end
$$;
comment on function luma.enqueue_event() is 'Trigger: enqueues an event. Errors are recorded in luma.missed_changes, never raised.';

-- The last of all after-triggers (they fire in the order of their names), so that it sees the app's own.
create or replace trigger zz_luma_event_inserted
after insert on public.canonical_events
for each row when (new.submission_status = 'approved')
execute function luma.enqueue_event();

create or replace trigger zz_luma_event_deleted
after delete on public.canonical_events
for each row when (old.submission_status = 'approved' or old.luma_event_id is not null)
execute function luma.enqueue_event();

create or replace trigger zz_luma_event_updated
after update on public.canonical_events
for each row when (
  (new.submission_status = 'approved' or old.submission_status = 'approved' or new.luma_event_id is not null)
  and (
    new.submission_status, new.title, new.description, new.starts_at, new.ends_at, new.tz,
    new.lat, new.lng, new.location_raw, new.location_name, new.location_type, new.meeting_point,
    new.meeting_url, new.cover_image_url, new.visibility, new.max_capacity, new.culture,
    new.category, new.is_ticketed, new.ticket_price, new.ticket_currency
  ) is distinct from (
    old.submission_status, old.title, old.description, old.starts_at, old.ends_at, old.tz,
    old.lat, old.lng, old.location_raw, old.location_name, old.location_type, old.meeting_point,
    old.meeting_url, old.cover_image_url, old.visibility, old.max_capacity, old.culture,
    old.category, old.is_ticketed, old.ticket_price, old.ticket_currency
  )
)
execute function luma.enqueue_event();

reset lock_timeout;
