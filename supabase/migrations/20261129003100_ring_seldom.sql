-- What a commit looks at first is what nearly always keeps it from ringing: that somebody is coming already. The mode is
-- asked for only when somebody is to be rung for.

create or replace function luma.kick()
returns void language plpgsql set search_path = '' as $$
begin
  -- The lock first, then the look: see 20261122001500_drain_runs.sql. Above read committed the look could be older than
  -- the lock, so such a transaction always rings.
  if luma.try_lock_bell(exclusive => false) and current_setting('transaction_isolation') = 'read committed' then
    if luma.drain_expected() then
      return;
    end if;
    perform from luma.bell b for update skip locked;
    if not found or luma.drain_expected() then
      return;
    end if;
  end if;
  if luma.mode() <> 'off' then
    perform luma.ring();
  end if;
end
$$;

select luma.restrict_access();
