-- The app's own tables, so that an empty database ends up like the live one.
-- Creates only what is missing: on the live database, which has them, this changes nothing.

create table if not exists public.users (
  id text primary key,
  name text,
  email text,
  phone text,
  pfp text,
  role text,
  zo_membership text,
  founder_nfts_count integer,
  zo_roles text[],
  created_at timestamp default now(),
  updated_at timestamp default now()
);

create table if not exists public.event_cultures (
  slug text primary key,
  name text,
  emoji text,
  color text,
  asset_file text,
  description text,
  tags text[],
  is_active boolean default true,
  sort_order integer,
  created_at timestamptz default now()
);

create table if not exists public.calendars (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  url text not null unique,
  type text default 'ical' check (type in ('luma', 'ical', 'google', 'outlook')),
  is_active boolean default true,
  description text,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table if not exists public.canonical_events (
  id uuid primary key default gen_random_uuid(),
  canonical_uid text not null unique,
  title text not null,
  description text,
  location_raw text,
  lat double precision,
  lng double precision,
  geocode_status text default 'pending' check (
    geocode_status in ('pending', 'success', 'failed', 'cached')
  ),
  geocode_attempted_at timestamptz,
  starts_at timestamptz not null,
  ends_at timestamptz,
  tz text default 'UTC',
  source_refs jsonb not null default '[]',
  raw_payload jsonb,
  event_version integer default 1,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table if not exists public.event_rsvps (
  id uuid primary key default gen_random_uuid(),
  event_id uuid not null references public.canonical_events (id) on delete cascade,
  user_id text not null references public.users (id) on delete cascade,
  status text default 'interested' check (
    status in (
      'pending', 'going', 'interested', 'not_going', 'waitlist', 'cancelled', 'approved', 'rejected'
    )
  ),
  rsvp_type text default 'standard' check (
    rsvp_type in ('standard', 'vip', 'speaker', 'organizer', 'host')
  ),
  checked_in boolean default false,
  checked_in_at timestamptz,
  checked_in_by text,
  notes text,
  metadata jsonb default '{}',
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (event_id, user_id)
);
