-- One external guest who cannot become an RSVP, because a trigger of the app's refuses the row say, must not undo what
-- else is applied with it: luma_apply_deliveries() is one transaction.

create or replace function luma.promote_guest(guest luma.guests)
returns boolean language plpgsql set search_path = '' as $$
declare
  was_counted boolean;
begin
  perform from public.canonical_events e where e.id = guest.event_id for no key update skip locked;
  if not found then
    return not exists (select from public.canonical_events e where e.id = guest.event_id);
  end if;
  was_counted := luma.is_counted(guest);
  perform luma.place_guest(guest, guest, clock_timestamp());
  perform luma.count_guest(guest, was_counted);
  return true;
exception
  when sqlstate 'LM001' or lock_not_available then
    return false;
  when others then
    -- luma.sweep() tries again in five minutes.
    raise warning 'luma: guest % of event % could not become an RSVP: %', guest.id, guest.event_id, luma.redacted(sqlerrm);
    return true;
end
$$;

select luma.restrict_access();
