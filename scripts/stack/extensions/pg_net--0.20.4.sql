-- The SQL interface of pg_net 0.20 for the local stack. Signatures, defaults, tables and errors are the
-- real extension's (https://github.com/supabase/pg_net, sql/pg_net.sql); the requests are sent by
-- scripts/stack/pg_net.ts instead of a background worker.

create schema net;

create domain net.http_method as text
  check (value ilike 'get' or value ilike 'post' or value ilike 'delete');

-- Unlogged like the real tables: a crash of Postgres empties them, so nothing may rely on them.
create unlogged table net.http_request_queue (
  id bigserial,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer not null
);

create unlogged table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);

create index on net._http_response (created);

-- NOTIFY is delivered at commit, once for each transaction, and dropped by a rollback: what the real
-- worker's commit callback does.
create function net.wake() returns void
language sql
as $$
  select pg_catalog.pg_notify('pg_net_wake', '');
$$;

create function net.worker_restart() returns boolean
language sql
as $$
  select pg_catalog.pg_notify('pg_net_wake', 'restart');
  select true;
$$;

-- The real check looks for a background worker; the stand-in's worker is a client with this name.
create function net._worker_is_up() returns boolean
language sql
as $$
  select exists (
    select from pg_catalog.pg_stat_activity where application_name like 'pg\_net %'
  );
$$;

create function net.check_worker_is_up() returns void
language plpgsql
as $$
begin
  if not net._worker_is_up() then
    raise exception 'the pg_net background worker is not up'
      using hint = 'The local stack was started with net: false, or it has stopped.';
  end if;
end;
$$;

create function net.wait_until_running() returns void
language plpgsql
as $$
begin
  while not net._worker_is_up() loop
    perform pg_catalog.pg_sleep(0.05);
    perform pg_catalog.pg_stat_clear_snapshot();
  end loop;
end;
$$;

-- RFC 3986: everything but the unreserved characters, byte by byte.
create function net._urlencode_string(string varchar) returns text
language sql immutable strict
as $$
  select coalesce(string_agg(
    case
      when piece ~ '^[A-Za-z0-9._~-]$' then piece
      else regexp_replace(upper(encode(convert_to(piece, 'UTF8'), 'hex')), '(..)', '%\1', 'g')
    end, '' order by position), '')
  from regexp_split_to_table(string, '') with ordinality as pieces (piece, position);
$$;

-- Strict, so a null address stays null and the queue's not-null constraint refuses it with 23502.
create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language sql immutable strict
as $$
  select case
    when cardinality(params_array) = 0 then url
    else url || case when url like '%?%' then '&' else '?' end || array_to_string(params_array, '&')
  end;
$$;

create function net._enqueue(
  method text, url text, params jsonb, headers jsonb, body bytea, timeout_milliseconds integer
) returns bigint
language plpgsql
as $$
declare
  request_id bigint;
begin
  insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  values (
    _enqueue.method,
    net._encode_url_with_params_array(
      _enqueue.url,
      array(
        select net._urlencode_string(key) || '=' || net._urlencode_string(value)
        from jsonb_each_text(_enqueue.params)
      )
    ),
    _enqueue.headers,
    _enqueue.body,
    _enqueue.timeout_milliseconds
  )
  returning id into request_id;
  perform net.wake();
  return request_id;
end;
$$;

create function net.http_get(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language sql
as $$
  select net._enqueue('GET', url, params, headers, null, timeout_milliseconds);
$$;

create function net.http_delete(
  url text,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000,
  body jsonb default null
) returns bigint
language sql
as $$
  select net._enqueue('DELETE', url, params, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds);
$$;

create function net.http_post(
  url text,
  body jsonb default '{}'::jsonb,
  params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb,
  timeout_milliseconds integer default 5000
) returns bigint
language plpgsql
as $$
declare
  content_type text := (
    select value from jsonb_each_text(headers) where lower(key) = 'content-type' limit 1
  );
begin
  if content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  -- Null headers stay null, as in the real function: null || jsonb is null.
  if content_type is null then
    headers := headers || '{"Content-Type": "application/json"}'::jsonb;
  end if;
  return net._enqueue('POST', url, params, headers, convert_to(body::text, 'UTF8'), timeout_milliseconds);
end;
$$;

create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');
create type net.http_response as (status_code integer, headers jsonb, body text);
create type net.http_response_result as (
  status net.request_status, message text, response net.http_response
);

create function net._await_response(request_id bigint) returns boolean
language plpgsql strict
as $$
begin
  while not exists (select from net._http_response where id = request_id) loop
    perform pg_catalog.pg_sleep(0.05);
  end loop;
  return true;
end;
$$;

create function net._http_collect_response(request_id bigint, async boolean default true)
returns net.http_response_result
language plpgsql strict
as $$
declare
  found_response net._http_response;
begin
  if not async then
    perform net._await_response(request_id);
  end if;
  select * into found_response from net._http_response where id = request_id;
  if not found then
    return ('ERROR', 'request matching request_id not found', null)::net.http_response_result;
  end if;
  return (
    'SUCCESS', 'ok',
    (found_response.status_code, found_response.headers, found_response.content)::net.http_response
  )::net.http_response_result;
end;
$$;

-- Hosted Supabase gives every role all of this, request headers included: whoever queues a request
-- with a secret in it shows the secret to every role.
grant usage on schema net to public;
grant all on all tables in schema net to public;
grant all on all sequences in schema net to public;
