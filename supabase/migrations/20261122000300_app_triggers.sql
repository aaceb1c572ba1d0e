-- The app's own triggers, created only where they are missing: the live database has its own versions,
-- which stay as they are.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

do $$
begin
  if to_regprocedure('public.update_canonical_events_updated_at()') is null then
    create function public.update_canonical_events_updated_at()
    returns trigger language plpgsql set search_path = '' as $f$
    begin
      new.updated_at := now();
      return new;
    end
    $f$;
  end if;

  if to_regprocedure('public.update_rsvp_updated_at()') is null then
    create function public.update_rsvp_updated_at()
    returns trigger language plpgsql set search_path = '' as $f$
    begin
      new.updated_at := now();
      return new;
    end
    $f$;
  end if;

  if to_regprocedure('public.update_event_rsvp_count()') is null then
    create function public.update_event_rsvp_count()
    returns trigger language plpgsql set search_path = '' as $f$
    begin
      update public.canonical_events e
      set current_rsvp_count = (
            select count(*) from public.event_rsvps r
            where r.event_id = e.id and r.status in ('going', 'approved')
          ),
          updated_at = now()
      where e.id = coalesce(new.event_id, old.event_id);
      return null;
    end
    $f$;
  end if;

  if not exists (
    select from pg_trigger
    where tgrelid = 'public.canonical_events'::regclass
      and tgname = 'trigger_update_canonical_events_updated_at'
  ) then
    create trigger trigger_update_canonical_events_updated_at
    before update on public.canonical_events
    for each row execute function public.update_canonical_events_updated_at();
  end if;

  if not exists (
    select from pg_trigger
    where tgrelid = 'public.event_rsvps'::regclass and tgname = 'trigger_rsvp_updated_at'
  ) then
    create trigger trigger_rsvp_updated_at
    before update on public.event_rsvps
    for each row execute function public.update_rsvp_updated_at();
  end if;

  if not exists (
    select from pg_trigger
    where tgrelid = 'public.event_rsvps'::regclass and tgname = 'trigger_update_rsvp_count'
  ) then
    create trigger trigger_update_rsvp_count
    after insert or update or delete on public.event_rsvps
    for each row execute function public.update_event_rsvp_count();
  end if;
end
$$;

reset lock_timeout;
