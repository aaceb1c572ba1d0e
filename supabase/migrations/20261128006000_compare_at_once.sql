-- An update of an event costs the app less. Postgres reads a trigger's condition anew for every statement, from the text
-- of its tree, and one comparison for each of 21 columns is a long text. Two rows compared at once are a shorter one: an
-- update that changes nothing that is synced, as come twice with every RSVP, took 103 µs of CPU instead of 120 beside
-- other work (one writer, medians of seven rounds that took turns). In a statement of many rows each costs 0.7 µs more.
--
-- *<> compares what is stored, so 10 and 10.00 differ: a price that is written anew like that is enqueued, and the drain
-- finds nothing to do. What is stored alike is alike, so no change is missed. The casts keep Postgres from taking the
-- rows apart into columns again.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

create or replace trigger zz_luma_event_updated
after update on public.canonical_events
for each row when (
  (new.submission_status = 'approved' or old.submission_status = 'approved' or new.luma_event_id is not null)
  and row(
    new.submission_status, new.title, new.description, new.starts_at, new.ends_at, new.tz,
    new.lat, new.lng, new.location_raw, new.location_name, new.location_type, new.meeting_point,
    new.meeting_url, new.cover_image_url, new.visibility, new.max_capacity, new.culture,
    new.category, new.is_ticketed, new.ticket_price, new.ticket_currency
  )::record operator(pg_catalog.*<>) row(
    old.submission_status, old.title, old.description, old.starts_at, old.ends_at, old.tz,
    old.lat, old.lng, old.location_raw, old.location_name, old.location_type, old.meeting_point,
    old.meeting_url, old.cover_image_url, old.visibility, old.max_capacity, old.culture,
    old.category, old.is_ticketed, old.ticket_price, old.ticket_currency
  )::record
)
execute function luma.enqueue_event();

reset lock_timeout;

select luma.restrict_access();
