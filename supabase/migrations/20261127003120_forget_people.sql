-- Who is to be forgotten: users who were deleted, and whoever asks for it.

create or replace function luma.note_erasure()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into luma.erasures (user_id, name, emails, phone)
  values (old.id, btrim(old.name), array(
    select luma.usable_email(old.email) where luma.usable_email(old.email) is not null
    union select l.email from luma.guest_links l where l.user_id = old.id
  ), old.phone);
  return null;
exception when others then
  -- luma.forget_due() finds those who were guests.
  raise warning 'luma: a deleted user is not forgotten before the next clean-up: %', sqlerrm;
  return null;
end
$$;
comment on function luma.note_erasure() is 'Trigger: a user was deleted and is to be forgotten here too. One line in a list; never raises.';

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';
create or replace trigger zz_luma_user_deleted
after delete on public.users
for each row execute function luma.note_erasure();
reset lock_timeout;

create or replace function luma.forget_person(person text)
returns boolean language plpgsql set search_path = '' as $$
declare
  wanted text := btrim(person);
  living text := (select u.id from public.users u where u.id = wanted union select u from luma.users_by_email(wanted) u limit 1);
begin
  if coalesce(wanted, '') = '' then
    raise exception 'luma.forget_person: give an e-mail address, or the id that a deleted user had'
      using errcode = 'invalid_parameter_value';
  elsif living is not null then
    raise exception 'luma.forget_person: % is user %', luma.redacted(wanted), living
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Delete the row of public.users: then the user is forgotten here too.';
  end if;
  insert into luma.erasures (user_id, emails)
  values (case when wanted !~ '@' then wanted end, case when wanted ~ '@' then array[lower(wanted)] else array(
    select distinct l.email from luma.guest_links l where l.user_id = wanted
  ) end);
  perform luma.forget_due();
  -- That it was done, not to whom.
  perform luma.log_admin('forget_person', '{}');
  return not exists (
    select from luma.erasures e where e.user_id = wanted or lower(wanted) = any (e.emails)
  );
end
$$;
comment on function luma.forget_person(text) is
  'Forgets somebody who is no user: a guest on Luma by e-mail address, or a deleted user by id. True: nothing is kept. False: Luma still has to be told that they do not come; what is kept for that goes with the clean-up afterwards. What Luma itself keeps is deleted on Luma.';

select cron.schedule(
  'luma-clean-up', '17 * * * *', 'select luma.clean_up(), luma.clean_up_pulls(), luma.clean_up_admin_log(), luma.forget_due()'
);

select luma.restrict_access();
