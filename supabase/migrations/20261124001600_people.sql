-- Who a guest on Luma is in the app. A row of the wrong person is worse than none: two candidates are no match.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

-- Built-in functions only: an expression of an index runs with the rights of whoever writes the row, and the app's
-- roles have none in schema luma. Writing users waits while these are made, a second or two for 650,000 rows.
create index if not exists users_email_as_luma on public.users (lower(btrim(email, E' \t\r\n\f\u00a0')));
create index if not exists users_phone_tail on public.users (right(regexp_replace(phone, '[^0-9]', '', 'g'), 7));

reset lock_timeout;

create or replace function luma.users_by_email(email text)
returns setof text language sql stable set search_path = '' as $$
  select u.id from public.users u
  where lower(btrim(u.email, E' \t\r\n\f\u00a0')) = luma.usable_email(users_by_email.email)
$$;
comment on function luma.users_by_email(text) is 'Users with this e-mail address, in any letter case and with spaces around it.';

create or replace function luma.phone_digits(phone text)
returns text language sql immutable set search_path = ''
-- 0 at the front is dialled, not part of the number, at home (098…) as abroad (0091…).
return nullif(ltrim(regexp_replace(phone, '[^0-9]', '', 'g'), '0'), '');
comment on function luma.phone_digits(text) is 'The digits of a phone number without leading zeros, or null.';

create or replace function luma.phone_tail(phone text)
returns text language sql immutable set search_path = ''
return right(regexp_replace(phone, '[^0-9]', '', 'g'), 7);
comment on function luma.phone_tail(text) is 'The last seven digits, which all ways to write a number have in common.';

create or replace function luma.phone_fits(users_phone text, guests_phone text)
returns boolean language sql immutable set search_path = '' as $$
  select coalesce(case
    when length(u) < 7 or length(g) < 7 then false
    -- Both with a country: all digits count.
    when users_phone ~ '^[^0-9]*(\+|00)' then u = g
    -- The app keeps national numbers. A country code has one to three digits; none is missing if somebody wrote it
    -- without the +.
    else right(g, length(u)) = u and length(g) - length(u) between 0 and 3
  end, false)
  from (select luma.phone_digits(users_phone) as u, luma.phone_digits(guests_phone) as g) digits
$$;
comment on function luma.phone_fits(text, text) is
  'True when a number as the app keeps it (98765 43210, +91 98765 43210) can be the guest''s (+919876543210).';

create or replace function luma.users_by_phone(phone text)
returns setof text language sql stable set search_path = '' as $$
  select u.id from public.users u
  where right(regexp_replace(u.phone, '[^0-9]', '', 'g'), 7) = luma.phone_tail(users_by_phone.phone)
    and luma.phone_fits(u.phone, users_by_phone.phone)
$$;
comment on function luma.users_by_phone(text) is 'Users whose phone number can be this one.';

create or replace function luma.match_user(email text, phone text, out user_id text, out why text)
language plpgsql stable set search_path = '' as $$
declare
  by_email text[] := array(select luma.users_by_email(match_user.email));
  by_phone text[] := array(select luma.users_by_phone(match_user.phone));
  fitting text[] := case
    when by_email = '{}' then by_phone
    when by_phone = '{}' then by_email
    -- Both say something, so both have to be right.
    else array(select unnest(by_email) intersect select unnest(by_phone))
  end;
begin
  if cardinality(fitting) = 1 then
    user_id := fitting[1];
  else
    why := case
      when by_email = '{}' and by_phone = '{}' then 'no user has this e-mail address or phone number'
      when fitting = '{}' then format('the e-mail address is that of user %s, the phone number that of user %s', by_email[1], by_phone[1])
      else format('it can be any of %s users, such as %s and %s', cardinality(fitting), fitting[1], fitting[2])
    end;
  end if;
end
$$;
comment on function luma.match_user(text, text) is
  'The one user with this e-mail address and phone number, or with one of the two when nobody has the other; else null, and why. A name never matches.';

-- To find the external guests that somebody who has just come may be.
create index if not exists guests_email on luma.guests (email);
create index if not exists guests_phone_tail on luma.guests (luma.phone_tail(news ->> 'phone'));
