-- Whether an update of an event changes anything that is synced is seen in the trigger's function, not in its condition.
-- A condition is read from the catalog anew by every statement, and one about 21 columns took 22 µs of CPU for that, of 45
-- that the update of a row takes: also for counts, which the app writes most. plpgsql keeps what it has read: 2 to 3 µs.
-- The price: of 10,000 rows in one statement, each takes 2 µs more when nothing that is synced has changed.

create or replace function luma.enqueue_event()
returns trigger language plpgsql
-- The app's roles have no rights in schema luma; the trigger acts for them.
security definer set search_path = '' as $$
declare
  event public.canonical_events;
begin
  -- A statement of its own: should the app drop one of these columns, insertions and deletions still go on.
  if tg_op = 'UPDATE' then
    if not (
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
    ) then
      return null;
    end if;
  end if;
  -- Here and not where it is declared: an error there would be outside this block's handler.
  event := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  if octet_length(set_config('luma.seen_event', concat(current_setting('luma.seen_event', true), event.id, case
    when tg_op = 'DELETE' or event.submission_status is distinct from 'approved' then 1
    when event.luma_event_id is null then 2
    else 3
  end, ' '), true)) > 4000 then
    perform luma.enqueue_seen('event');
  end if;
  -- It may have been closed until now, without Luma hearing of it: what was judged meanwhile is compared again.
  if tg_op = 'UPDATE' and event.submission_status = 'approved'
    and (old.submission_status, old.starts_at, old.ends_at) is distinct from (new.submission_status, new.starts_at, new.ends_at)
  then
    insert into luma.rechecks (event_id) values (event.id);
  end if;
  return null;
exception when others then
  perform luma.note_missed_change('event', coalesce(new.id, old.id), sqlerrm);
  return null;
end
$$;
comment on function luma.enqueue_event() is
  'Trigger: writes down what is to be enqueued, of updates those that change what is synced. Errors are recorded in luma.missed_changes, never raised.';

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

create or replace trigger zz_luma_event_updated
after update on public.canonical_events
for each row execute function luma.enqueue_event();

reset lock_timeout;

select luma.restrict_access();
