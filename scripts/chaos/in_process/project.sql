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

-- So that the next history finds the database as the migrations have left it, and everybody still connected.
create table chaos.tables (name regclass primary key, columns text not null);
create table chaos.sequences (name regclass primary key, last bigint not null, called boolean not null);

create function chaos.remember() returns void language plpgsql as $$
declare
  part record;
begin
  insert into chaos.tables
  select c.oid, string_agg(quote_ident(a.attname), ', ' order by a.attnum)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('luma', 'public', 'net', 'vault')
  group by c.oid;
  for part in select t.name, t.columns, 'chaos.' || quote_ident('was_' || t.name::oid) as copy from chaos.tables t loop
    execute format('create table %s as select %s from %s', part.copy, part.columns, part.name);
  end loop;
  for part in select s.schemaname, s.sequencename from pg_sequences s where s.schemaname in ('luma', 'public', 'net', 'vault') loop
    execute format(
      'insert into chaos.sequences select %L::regclass, s.last_value, s.is_called from %I.%I s',
      format('%I.%I', part.schemaname, part.sequencename), part.schemaname, part.sequencename
    );
  end loop;
end
$$;

create function chaos.forget() returns void language plpgsql as $$
declare
  part record;
begin
  set local session_replication_role = replica;
  execute (select 'truncate ' || string_agg(t.name::text, ', ') from chaos.tables t);
  for part in select t.name, t.columns, 'chaos.' || quote_ident('was_' || t.name::oid) as copy from chaos.tables t loop
    execute format('insert into %s (%s) overriding system value select %s from %s', part.name, part.columns, part.columns, part.copy);
  end loop;
  perform setval(s.name, s.last, s.called) from chaos.sequences s;
end
$$;
