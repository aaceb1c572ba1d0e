-- Columns that the app added to its tables over time. An old database may lack some of them; adding a
-- column with a constant default writes no row and holds its lock for a moment only.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

alter table public.calendars
  add column if not exists type text default 'ical';

alter table public.canonical_events
  add column if not exists category text default 'community'
    check (category in ('community', 'sponsored', 'ticketed')),
  add column if not exists culture text default 'default'
    references public.event_cultures (slug),
  add column if not exists source_type text default 'ical'
    check (source_type in ('ical', 'luma', 'community', 'activity_manager', 'admin')),
  add column if not exists host_id text references public.users (id) on delete set null,
  add column if not exists host_type text default 'citizen'
    check (host_type in ('citizen', 'founder_member', 'admin', 'sponsor', 'vibe_curator')),
  add column if not exists max_capacity integer,
  add column if not exists current_rsvp_count integer default 0,
  add column if not exists submission_status text default 'approved'
    check (submission_status in ('draft', 'pending', 'approved', 'rejected', 'cancelled')),
  add column if not exists location_name text,
  add column if not exists meeting_point text,
  add column if not exists location_type text default 'custom'
    check (location_type in ('zo_property', 'custom', 'online')),
  add column if not exists zo_property_id text,
  add column if not exists is_ticketed boolean default false,
  add column if not exists ticket_price numeric,
  add column if not exists ticket_currency text default 'INR',
  add column if not exists external_rsvp_url text,
  add column if not exists luma_event_id text,
  add column if not exists cover_image_url text;

reset lock_timeout;
