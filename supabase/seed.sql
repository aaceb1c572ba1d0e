-- Rows to play with on a local database: `deno task dev`, `supabase start` and `supabase db reset` apply this
-- after the migrations. Everybody in it is made up. It changes no row that is there, so it can be repeated,
-- and nothing is sent to Luma: the mode is off until `select luma.set_mode('live')`.

insert into public.event_cultures (slug, name, emoji, color, asset_file, sort_order) values
  ('science_technology', 'Science & Technology', '🔬', '#3B82F6', 'Science&Technology.png', 1),
  ('business', 'Business', '💼', '#64748B', 'Business.png', 2),
  ('design', 'Design', '🎨', '#EC4899', 'Design.png', 3),
  ('food', 'Food', '🍲', '#F97316', 'Food.png', 4),
  ('game', 'Gaming', '🎮', '#8B5CF6', 'Game.png', 5),
  ('health_fitness', 'Health & Fitness', '🧘', '#22C55E', 'Health&Fitness.png', 6),
  ('home_lifestyle', 'Home & Lifestyle', '🏡', '#A3A042', 'Home&Lifestyle.png', 7),
  ('law', 'Law', '⚖️', '#78716C', 'Law.png', 8),
  ('literature_stories', 'Literature & Stories', '📚', '#B45309', 'Literature&Stories.png', 9),
  ('music_entertainment', 'Music & Entertainment', '🎵', '#EF4444', 'Music&Entertainment.png', 10),
  ('nature_wildlife', 'Nature & Wildlife', '🌿', '#16A34A', 'Nature&Wildlife.png', 11),
  ('photography', 'Photography', '📷', '#0EA5E9', 'Photography.png', 12),
  ('spiritual', 'Spiritual', '🕉️', '#F59E0B', 'Spiritual.png', 13),
  ('travel_adventure', 'Travel & Adventure', '🧭', '#14B8A6', 'Travel&Adventure.png', 14),
  ('television_cinema', 'Television & Cinema', '🎬', '#6366F1', 'Television&Cinema.png', 15),
  ('stories_journal', 'Stories & Journal', '✍️', '#D97706', 'Stories&Journal.png', 16),
  ('sport', 'Sports', '🏏', '#DC2626', 'Sport.png', 17),
  ('follow_your_heart', 'Follow Your Heart', '❤️', '#F43F5E', 'FollowYourHeart.png', 18),
  ('default', 'Other', '✨', '#9CA3AF', 'Default (2).jpg', 19)
on conflict (slug) do nothing;

-- Only the calendars without an API key: the migrations make the two that events are pushed to.
-- The id is given because old databases have it as text without a default.
insert into public.calendars (id, name, url, type, is_active)
values
  (gen_random_uuid(), 'Zo House Bangalore (Discover)',
   'https://api2.luma.com/ics/get?entity=discover&id=discplace-BDj7GNbGlsF7Cka', 'ical', true),
  (gen_random_uuid(), 'ETHGlobal Events',
   'https://api2.luma.com/ics/get?entity=calendar&id=cal-4BIGfE8WhTFQj9H', 'ical', true)
on conflict (url) do nothing;

-- Phones as the app keeps them: national, now and then with spaces or a country code.
insert into public.users (id, name, email, phone, role, zo_roles) values
  ('seed-asha', 'Asha (host)', 'asha.host@example.com', '9000000001', 'Citizen', '{}'),
  ('seed-bela', 'Bela (admin)', 'bela.admin@example.com', '9000000002', 'Member', '{admin}'),
  ('seed-chris', 'Chris (founder)', 'Chris.Founder@example.com', '90000 00003', 'Founder', '{}'),
  ('seed-dhruv', 'Dhruv (no e-mail)', null, '9000000004', 'Citizen', '{}'),
  ('seed-esha', 'Esha (guest)', 'esha.guest@example.com', '+91 90000 00005', 'Citizen', '{}')
on conflict (id) do nothing;

-- As the app inserts them: citizens' events wait for approval, those of admins and founders do not.
insert into public.canonical_events (
  canonical_uid, source_type, title, description, starts_at, ends_at, tz,
  lat, lng, geocode_status, location_type, location_name, location_raw, meeting_point, meeting_url,
  culture, category, is_ticketed, ticket_price, max_capacity, host_id, host_type, submission_status, cover_image_url
)
select
  event.uid, 'community', event.title, event.description,
  (date_trunc('day', now() at time zone event.tz) + event.starts) at time zone event.tz,
  (date_trunc('day', now() at time zone event.tz) + event.starts + event.lasts) at time zone event.tz,
  event.tz, event.lat, event.lng, case when event.lat is null then 'pending' else 'success' end,
  event.location_type, event.location_name, event.location_raw, event.meeting_point, event.meeting_url,
  event.culture, event.category, event.category = 'ticketed', event.price, event.capacity,
  event.host, event.host_type, event.status, event.cover
from (values
  ('community-seed-asha-1', 'Sunrise Sketch Walk', 'Bring a pencil. *Beginners welcome.*',
   interval '9 days 6 hours', interval '2 hours', 'Asia/Kolkata',
   12.9507, 77.5848, 'custom', 'Lalbagh Botanical Garden', 'Lalbagh, Bengaluru', 'West gate', null,
   'design', 'community', null::numeric, 20, 'seed-asha', 'citizen', 'pending', null),
  ('community-seed-bela-1', 'Koramangala Board Games', 'Games are there; friends are **not** required.',
   interval '11 days 18 hours', interval '4 hours', 'Asia/Kolkata',
   12.9352, 77.6245, 'zo_property', 'Zo House Bangalore', 'Koramangala, Bengaluru', 'Living room', null,
   'game', 'community', null, 40, 'seed-bela', 'admin', 'approved', null),
  ('community-seed-bela-2', 'Masala Masterclass', 'Cook five spice blends and take them home.',
   interval '16 days 11 hours', interval '3 hours', 'Asia/Kolkata',
   12.9716, 77.5946, 'custom', 'Test Kitchen', 'MG Road, Bengaluru', null, null,
   'food', 'ticketed', 499, 12, 'seed-bela', 'admin', 'approved', '/covers/masala.png'),
  ('community-seed-chris-1', 'Bay Area Builders Night', 'Show what you made this month, in five minutes.',
   interval '14 days 19 hours', interval '3 hours', 'America/Los_Angeles',
   37.7793, -122.4192, 'zo_property', 'Zo House San Francisco', 'San Francisco, CA', 'Top floor', null,
   'science_technology', 'community', null, null, 'seed-chris', 'founder_member', 'approved', null),
  ('community-seed-chris-2', 'Story Night Online', 'Tell a true story. Listening is fine too.',
   interval '7 days 20 hours', interval '90 minutes', 'Asia/Kolkata',
   null, null, 'online', null, 'Online', null, 'https://meet.example.com/story-night',
   'literature_stories', 'community', null, 100, 'seed-chris', 'founder_member', 'approved', null),
  ('community-seed-dhruv-1', 'Nandi Hills Ride', 'Not finished yet.',
   interval '20 days 5 hours', interval '5 hours', 'Asia/Kolkata',
   13.3702, 77.6835, 'custom', 'Nandi Hills', 'Nandi Hills, Karnataka', 'Car park', null,
   'travel_adventure', 'community', null, null, 'seed-dhruv', 'citizen', 'draft', null)
) as event (
  uid, title, description, starts, lasts, tz,
  lat, lng, location_type, location_name, location_raw, meeting_point, meeting_url,
  culture, category, price, capacity, host, host_type, status, cover
)
on conflict (canonical_uid) do nothing;

insert into public.event_rsvps (event_id, user_id, status, rsvp_type)
select e.id, e.host_id, 'going', 'host'
from public.canonical_events e
where e.canonical_uid like 'community-seed-%' and e.host_id is not null
on conflict (event_id, user_id) do nothing;
