-- The triggers on the app's RSVPs and users. As with events: only changes that matter, no HTTP, no lock that
-- another writer needs, and a failure of ours never fails the app's write.

create or replace function luma.enqueue_rsvp()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  rsvp public.event_rsvps;
begin
  -- Here and not where it is declared: an error there would be outside this block's handler.
  rsvp := coalesce(new, old);
  -- Set by this project's own writes of what Luma told: sending it back would be an echo.
  if current_setting('luma.applying', true) = 'on' then
    return null;
  end if;
  -- The event's row stays alone: the app's own trigger updates it in the same transaction, and two RSVPs at
  -- once would wait for each other.
  perform luma.enqueue('rsvp', rsvp.id, 1, rsvp.event_id);
  return null;
exception when others then
  perform luma.note_missed_change('rsvp', rsvp.id, sqlerrm);
  return null;
end
$$;
comment on function luma.enqueue_rsvp() is 'Trigger: enqueues an RSVP. Errors are recorded in luma.missed_changes, never raised.';

create or replace function luma.recheck_user()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  is_guest boolean;
begin
  -- Somebody who has just come, or has another number, matters only to a guest on Luma who is nobody's RSVP yet.
  is_guest := exists (
    select from luma.guests g
    where (g.email = luma.usable_email(new.email) or luma.phone_tail(g.news ->> 'phone') = luma.phone_tail(new.phone))
      and luma.is_external(g)
  );
  if is_guest or (tg_op = 'UPDATE' and new.email is distinct from old.email and new.email is not null) then
    insert into luma.rechecks (user_id, promote, wake) values (new.id, is_guest, luma.wakes_drain());
  end if;
  return null;
exception when others then
  -- luma.sweep() compares every RSVP of coming events, and every such guest, so nothing is lost.
  raise warning 'luma: the RSVPs of user % are not compared with Luma until the next sweep: %', new.id, sqlerrm;
  return null;
end
$$;
comment on function luma.recheck_user() is
  'Trigger: an e-mail address was added or corrected, so the user''s waiting RSVPs may be sent now; or the user may be a guest on Luma who is nobody''s RSVP. Never raises. Only a line in a list, because the outbox rows of the RSVPs may be locked by a writer who waits for this user''s row.';

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

-- For "all RSVPs of this user", unless the app has such an index. Its foreign key wants one too.
do $$
begin
  if not exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.event_rsvps'::regclass and a.attname = 'user_id' and i.indpred is null
  ) then
    create index event_rsvps_user_id on public.event_rsvps (user_id);
  end if;
end
$$;

-- The last of all after-triggers (they fire in the order of their names), so that they see the app's own.
create or replace trigger zz_luma_rsvp_inserted
after insert on public.event_rsvps
for each row when (new.status not in ('not_going', 'cancelled', 'rejected'))
execute function luma.enqueue_rsvp();

create or replace trigger zz_luma_rsvp_updated
after update on public.event_rsvps
for each row when (
  (new.status, new.user_id, new.event_id) is distinct from (old.status, old.user_id, old.event_id)
)
execute function luma.enqueue_rsvp();

-- One that was cancelled before needs nothing more: its cancellation has been enqueued.
create or replace trigger zz_luma_rsvp_deleted
after delete on public.event_rsvps
for each row when (old.status not in ('not_going', 'cancelled', 'rejected'))
execute function luma.enqueue_rsvp();

create or replace trigger zz_luma_user_inserted
after insert on public.users
for each row when (new.email is not null or new.phone is not null)
execute function luma.recheck_user();

create or replace trigger zz_luma_user_updated
after update of email, phone on public.users
for each row when ((new.email, new.phone) is distinct from (old.email, old.phone))
execute function luma.recheck_user();

reset lock_timeout;
