-- The database's clock and chance for histories in process: they move when they are told to, and repeat.
-- Run before the first migration, so that every function, default and view of the product means these.
create schema chaos;
create sequence chaos.clock minvalue 0;
create sequence chaos.chance minvalue 0;
-- 2027-03-01: what the migrations write is older than every history.
select setval('chaos.clock', 1803859200000), setval('chaos.chance', 0);
grant usage on schema chaos to public;
grant usage, select, update on all sequences in schema chaos to public;

alter function pg_catalog.now() rename to machine_now;
alter function pg_catalog.clock_timestamp() rename to machine_clock_timestamp;
alter function pg_catalog.statement_timestamp() rename to machine_statement_timestamp;
alter function pg_catalog.transaction_timestamp() rename to machine_transaction_timestamp;
alter function pg_catalog.random() rename to machine_random;
alter function pg_catalog.gen_random_uuid() rename to machine_gen_random_uuid;

-- A sequence, because all sessions see it at once, in whatever transaction they are. It does not move while a
-- transaction runs: calls take effect one after the other.
create function pg_catalog.clock_timestamp() returns timestamptz language sql volatile
as $$ select 'epoch'::timestamptz + pg_catalog.pg_sequence_last_value('chaos.clock'::regclass) * interval '1 ms' $$;
create function pg_catalog.now() returns timestamptz language sql stable
as $$ select pg_catalog.clock_timestamp() $$;
create function pg_catalog.statement_timestamp() returns timestamptz language sql stable
as $$ select pg_catalog.clock_timestamp() $$;
create function pg_catalog.transaction_timestamp() returns timestamptz language sql stable
as $$ select pg_catalog.clock_timestamp() $$;
create function pg_catalog.gen_random_uuid() returns uuid language sql volatile
as $$ select pg_catalog.md5('id ' || pg_catalog.nextval('chaos.chance'::regclass))::uuid $$;
create function pg_catalog.random() returns double precision language sql volatile
as $$ select ('x' || pg_catalog.left(pg_catalog.md5('number ' || pg_catalog.nextval('chaos.chance'::regclass)), 8))::bit(32)::bigint / 4294967296.0::double precision $$;
