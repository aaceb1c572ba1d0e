-- By itself, like its column (20261127003050).

-- Rather fail, and be repeated, than wait with the app's writes queueing behind.
set lock_timeout = '800ms';
create or replace trigger forget_guest
before insert or update of email, news, luma_guest_id, forgotten on luma.guests
for each row execute function luma.forget_guest();
reset lock_timeout;
