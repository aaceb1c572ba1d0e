-- The one rule for e-mail addresses: as a guest is known on Luma.

create or replace function luma.usable_email(email text)
returns text language sql immutable set search_path = ''
-- The shape only; that a letter arrives there nobody can tell. 254: the longest address (RFC 5321, 4.5.3.1.3).
return (
  select e from (select lower(btrim(email, E' \t\r\n\f\u00a0')) as e) trimmed
  where length(e) <= 254
    and e ~ '^[^[:space:][:cntrl:]@<>(),;:"\\\[\]]{1,64}@([^[:space:][:cntrl:]@<>(),;:"\\\[\].]+\.)+[^[:space:][:cntrl:]@<>(),;:"\\\[\].]{2,}$'
    and e !~ '(^\.|\.\.|\.@)'
);
comment on function luma.usable_email(text) is
  'The address trimmed and in lower case, as Luma compares addresses, or null when it has not the shape of one.';
