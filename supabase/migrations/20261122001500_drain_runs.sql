-- Runs of luma-drain, and the bell that starts them.
--
-- The bell must not ring once for every write of a burst, and must never stay silent for a write that the
-- drain did not see. Both rest on one advisory lock:
--   a writer, just before its commit, takes the lock shared, then looks whether a run is active or rung for;
--     only if not does it ring. The lock is held until its commit is visible.
--   a run may end only while it holds the lock exclusively and finds nothing to claim.
-- So when a writer stayed silent because of a run, that run cannot end before it has seen the writer's row.
-- Nobody ever waits: both sides only try the lock. A ring that gets lost is made up for by pg_cron.

create table if not exists luma.drain_runs (
  id uuid primary key default gen_random_uuid(),
  started_at timestamptz not null default clock_timestamp(),
  alive_until timestamptz not null,
  ended_at timestamptz,
  jobs integer not null default 0,
  calls integer not null default 0,
  end_reason text
);
alter table luma.drain_runs enable row level security;
create index if not exists drain_runs_active on luma.drain_runs (alive_until) where ended_at is null;
comment on table luma.drain_runs is 'One row for each run of luma-drain. ended_at null and alive_until past: the run was cut short.';

create table if not exists luma.bell (
  id boolean primary key default true check (id),
  rung_at timestamptz,
  unanswered integer not null default 0,
  request_id bigint,
  problem text
);
alter table luma.bell enable row level security;
insert into luma.bell default values on conflict do nothing;
comment on table luma.bell is 'One row: when the drain was last rung for without having started yet, and why it could not be rung for.';
comment on column luma.bell.unanswered is 'Rings since a run last started.';
comment on column luma.bell.request_id is 'pg_net''s id of the last ring; net._http_response has the answer for some hours.';

create or replace function luma.try_lock_bell(exclusive boolean)
returns boolean language sql volatile set search_path = ''
return case when exclusive
  then pg_try_advisory_xact_lock(hashtext('luma'), hashtext('bell'))
  else pg_try_advisory_xact_lock_shared(hashtext('luma'), hashtext('bell'))
end;
comment on function luma.try_lock_bell(boolean) is 'Tries the advisory lock of the bell until the end of the transaction; never waits.';

create or replace function luma.drain_expected()
returns boolean language sql volatile set search_path = ''
return exists (select from luma.drain_runs r where r.ended_at is null and r.alive_until > clock_timestamp())
  -- After five seconds a ring without an answer counts as lost.
  or exists (select from luma.bell b where b.rung_at > clock_timestamp() - interval '5 seconds');
comment on function luma.drain_expected() is 'True while a run is active, or rung for and about to start.';

create or replace function luma.secret(name text)
returns text language sql stable set search_path = '' as $$
  select nullif(trim(s.decrypted_secret), '') from vault.decrypted_secrets s where s.name = secret.name
$$;
comment on function luma.secret(text) is 'A Vault entry, or null when it is missing or empty.';

create or replace function luma.ring()
returns void language plpgsql set search_path = '' as $$
declare
  functions_url text := luma.secret('luma_functions_url');
  sync_secret text := luma.secret('luma_sync_secret');
  posted bigint;
  missing text := concat_ws(' and ',
    case when functions_url is null then 'luma_functions_url' end,
    case when sync_secret is null then 'luma_sync_secret' end);
  -- Above read committed a row that others have changed meanwhile cannot be locked at all: then ring unasked.
  asks boolean := current_setting('transaction_isolation') = 'read committed';
begin
  if asks then
    -- Who finds the row locked leaves the ring to its holder, who is committing right now.
    perform from luma.bell b for update skip locked;
    if not found then
      return;
    end if;
  end if;
  if missing <> '' then
    -- pg_net refuses a null address with an error, which must not reach the app's transaction.
    update luma.bell set problem = format(
      'The Vault has no entry %s: add it with vault.create_secret(value, name).', missing
    ) where id and asks;
    return;
  end if;
  posted := net.http_post(
    url := rtrim(functions_url, '/') || '/luma-drain',
    body := '{}'::jsonb,
    headers := jsonb_build_object('content-type', 'application/json', 'x-luma-sync-secret', sync_secret),
    -- luma-drain answers at once; one slow call would hold up every other pg_net call of the project.
    timeout_milliseconds := 5000
  );
  update luma.bell b
  set rung_at = clock_timestamp(), unanswered = b.unanswered + 1, request_id = posted, problem = null
  where b.id and asks;
end
$$;
comment on function luma.ring() is 'Has pg_net call luma-drain after this transaction commits, unless another transaction is doing so.';

create or replace function luma.drain_problem()
returns text language sql stable set search_path = '' as $$
  select case
    when b.problem is not null then b.problem
    when b.unanswered >= 2 then format(
      'luma-drain was rung for %s times without starting. The last answer: %s', b.unanswered,
      coalesce((
        select coalesce(r.error_msg, r.status_code || ' ' || left(r.content, 300))
        from net._http_response r where r.id = b.request_id
      ), 'none yet')
    )
    when (
      select bool_and(last_runs.ended_at is null and last_runs.alive_until < now())
      from (select r.* from luma.drain_runs r order by r.started_at desc limit 3) last_runs
    ) then 'The last runs of luma-drain ended without a word: see its log.'
  end
  from luma.bell b
$$;
comment on function luma.drain_problem() is 'Why the drain does not run, as far as the database can tell, or null.';

create or replace function luma.kick()
returns void language plpgsql set search_path = '' as $$
begin
  if luma.mode() = 'off' then
    return;
  end if;
  -- The lock first, then the look: see the head of this file. Above read committed the look could be
  -- older than the lock, so such a transaction always rings.
  if luma.try_lock_bell(exclusive => false)
    and current_setting('transaction_isolation') = 'read committed'
    and luma.drain_expected()
  then
    return;
  end if;
  perform luma.ring();
end
$$;
comment on function luma.kick() is 'Rings for luma-drain unless a run is active or expected.';

create or replace function luma.kick_at_commit()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  perform luma.kick();
  return null;
exception when others then
  -- An empty Vault, a broken pg_net, a missing table: the app's commit goes on, pg_cron's sweep follows.
  raise warning 'luma: the drain could not be rung for: %', sqlerrm;
  return null;
end
$$;
comment on function luma.kick_at_commit() is 'Trigger: rings for the drain as the last thing before a commit; never raises.';

drop trigger if exists wake_drain on luma.sync_outbox;
create constraint trigger wake_drain
after insert or update of wake on luma.sync_outbox
deferrable initially deferred
for each row when (new.wake)
execute function luma.kick_at_commit();
