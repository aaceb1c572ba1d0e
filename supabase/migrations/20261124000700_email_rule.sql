-- No e-mail, no RSVP (the integration plan's decision 4): the one deliberate refusal of this project.

create or replace function luma.email_missing(rsvp public.event_rsvps)
returns boolean language plpgsql stable security definer set search_path = '' as $$
begin
  return (select s.require_email from luma.settings s)
    and current_setting('luma.applying', true) is distinct from 'on'
    and (rsvp).rsvp_type is distinct from 'host'
    and luma.usable_email((select u.email from public.users u where u.id = (rsvp).user_id)) is null
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
comment on function luma.email_missing(public.event_rsvps) is
  'True when this RSVP has to be refused: its user has no usable e-mail address. The host''s own row, and rows that come from Luma, pass. Never raises.';

create or replace function luma.check_email()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if luma.email_missing(new) then
    raise exception using
      -- PostgREST answers PT422 with HTTP status 422 (https://docs.postgrest.org/en/latest/references/errors.html).
      errcode = 'PT422',
      message = 'Add your email in Profile to RSVP for events.',
      detail = format('email_required: users.email of user %s is %s.', new.user_id, coalesce(
        (select case when trim(u.email) <> '' then quote_literal(left(u.email, 100)) || ', which is not an address' end
         from public.users u where u.id = new.user_id), 'empty')),
      hint = 'Set users.email to a valid address and repeat the RSVP. To allow RSVPs without one: update luma.settings set require_email = false.';
  end if;
  return new;
end
$$;
comment on function luma.check_email() is
  'Trigger: refuses an RSVP without an e-mail address, with SQLSTATE PT422. Who is in already (a row from before this rule) may be approved, promoted and moved; it is sent once there is an address.';

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

-- The statuses are spelled out, because a function in `when` would need rights that the app's roles have not; they
-- are those that luma.guest_status() calls declined.
create or replace trigger zz_luma_email_on_insert
before insert on public.event_rsvps
for each row when (new.status not in ('not_going', 'cancelled', 'rejected'))
execute function luma.check_email();

create or replace trigger zz_luma_email_on_update
before update of status, user_id on public.event_rsvps
for each row when (
  new.status not in ('not_going', 'cancelled', 'rejected')
  and (coalesce(old.status, 'cancelled') in ('not_going', 'cancelled', 'rejected') or new.user_id is distinct from old.user_id)
)
execute function luma.check_email();

reset lock_timeout;
