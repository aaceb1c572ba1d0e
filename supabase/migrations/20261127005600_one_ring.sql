-- A burst of writes rings once. Who looked while another one was ringing, and comes to ring after that one's commit, looks
-- again under the lock of the bell's row.

create or replace function luma.kick()
returns void language plpgsql set search_path = '' as $$
begin
  if luma.mode() = 'off' then
    return;
  end if;
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
  perform luma.ring();
end
$$;

select luma.restrict_access();
