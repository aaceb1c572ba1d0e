-- By itself: the app's writes of users read luma.guests, so its lock must not be held while that of public.users is waited
-- for (the next file).

-- Rather fail, and be repeated, than wait with the app's writes queueing behind.
set lock_timeout = '800ms';
alter table luma.guests add column if not exists forgotten boolean not null default false;
comment on column luma.guests.forgotten is
  'A forgotten person who is still on Luma''s list: kept without address, name and number, because the place is taken.';
create index if not exists guest_links_user on luma.guest_links (user_id);
create index if not exists guest_links_email on luma.guest_links (email);
reset lock_timeout;
