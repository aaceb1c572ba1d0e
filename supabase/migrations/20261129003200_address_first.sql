-- The e-mail rule asks first what is nearly always so: that the user has an address. And an address is looked at by a
-- simpler pattern: counting up to 64 in one costs more than the rest of it.

create or replace function luma.usable_email(email text)
returns text language plpgsql immutable set search_path = '' as $$
-- The shape only; that a letter arrives there nobody can tell. The longest address has 254 characters, 64 of them before
-- the @ (RFC 5321, 4.5.3.1).
declare
  trimmed text := lower(btrim(email, E' \t\r\n\f\u00a0'));
begin
  return case when length(trimmed) <= 254 and position('@' in trimmed) <= 65
    and trimmed ~ '^[^[:space:][:cntrl:]@<>(),;:"\\\[\]]+@([^[:space:][:cntrl:]@<>(),;:"\\\[\].]+\.)+[^[:space:][:cntrl:]@<>(),;:"\\\[\].]{2,}$'
    and trimmed !~ '(^\.|\.\.|\.@)' then trimmed end;
end
$$;

create or replace function luma.email_missing(rsvp public.event_rsvps)
returns boolean language plpgsql stable security definer set search_path = '' as $$
begin
  return luma.usable_email((select u.email from public.users u where u.id = (rsvp).user_id)) is null
    and (select s.require_email from luma.settings s)
    and current_setting('luma.applying', true) is distinct from 'on'
    and (rsvp).rsvp_type is distinct from 'host'
    -- Nobody is refused for a user who is not there: the table's own foreign key says that better.
    and exists (select from public.users u where u.id = (rsvp).user_id)
    and not exists (
      select from public.canonical_events e where e.id = (rsvp).event_id and e.host_id = (rsvp).user_id
    );
exception when others then
  -- Something of ours is broken: the app's write goes on, and the RSVP waits until there is an address.
  raise warning 'luma: the e-mail address for an RSVP could not be checked: %', sqlerrm;
  return false;
end
$$;

select luma.restrict_access();
