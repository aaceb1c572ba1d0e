-- The SQL interface of pg_cron 1.6 for the local stack. Signatures, tables and errors are the real
-- extension's (https://github.com/citusdata/pg_cron); the jobs are run by scripts/stack/pg_cron.ts
-- instead of a background worker.

create schema cron;

create sequence cron.jobid_seq;
create sequence cron.runid_seq;

create table cron.job (
  jobid bigint primary key default nextval('cron.jobid_seq'),
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport integer not null default inet_server_port(),
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  constraint jobname_username_uniq unique (jobname, username)
);

create table cron.job_run_details (
  jobid bigint,
  runid bigint primary key default nextval('cron.runid_seq'),
  job_pid integer,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);

alter table cron.job enable row level security;
alter table cron.job_run_details enable row level security;
create policy cron_job_policy on cron.job using (username = current_user);
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);
grant select on cron.job, cron.job_run_details to public;
grant delete on cron.job_run_details to public;
grant select on sequence cron.jobid_seq, cron.runid_seq to public;

-- Is `field`, one of the five of a cron line, made of numbers from low to high (or names)?
create function cron._field_is_valid(field text, low integer, high integer, names text)
returns boolean
language sql immutable
as $$
  select bool_and(
    part ~* ('^(\*|(\d{1,2}|' || names || ')(-(\d{1,2}|' || names || '))?)(/[1-9]\d?)?$')
    and not exists (
      select from regexp_matches(split_part(part, '/', 1), '\d+', 'g') as m (digits)
      where m.digits[1]::integer not between low and high
    )
  )
  from unnest(string_to_array(field, ',')) as parts (part);
$$;

create function cron._check_schedule(schedule text) returns void
language plpgsql immutable
as $$
declare
  fields text[] := regexp_split_to_array(btrim(schedule), '\s+');
begin
  if btrim(schedule) ~* '^[1-9] seconds?$' or btrim(schedule) ~* '^[1-5][0-9] seconds?$' then
    return;
  end if;
  if cardinality(fields) = 5
    and cron._field_is_valid(fields[1], 0, 59, 'none')
    and cron._field_is_valid(fields[2], 0, 23, 'none')
    and (fields[3] = '$' or cron._field_is_valid(fields[3], 1, 31, 'none'))
    and cron._field_is_valid(fields[4], 1, 12, 'jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec')
    and cron._field_is_valid(fields[5], 0, 7, 'sun|mon|tue|wed|thu|fri|sat')
  then
    return;
  end if;
  raise exception 'invalid schedule: %', schedule
    using errcode = 'invalid_parameter_value',
      hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
end;
$$;

-- The three functions below write cron.job for callers that may only read it, and are told who the
-- caller is: inside a security definer function current_user is the owner.
create function cron._save_job(
  job_name text, schedule text, command text, database text, caller text, active boolean
) returns bigint
language plpgsql security definer set search_path = ''
as $$
declare
  id bigint;
begin
  perform cron._check_schedule(schedule);
  insert into cron.job (jobname, schedule, command, database, username, active)
  values (job_name, schedule, command, database, caller, active)
  on conflict on constraint jobname_username_uniq do update
    set schedule = excluded.schedule, command = excluded.command,
      database = excluded.database, active = excluded.active
  returning jobid into id;
  return id;
end;
$$;

create function cron._delete_job(job_id bigint, job_name text, caller text) returns boolean
language plpgsql security definer set search_path = ''
as $$
begin
  delete from cron.job where (jobid = job_id or jobname = job_name) and username = caller;
  if not found then
    raise exception 'could not find valid entry for job ''%''', coalesce(job_name, job_id::text);
  end if;
  return true;
end;
$$;

create function cron._alter_job(
  job_id bigint, new_schedule text, new_command text, new_database text, new_username text,
  new_active boolean, caller text
) returns void
language plpgsql security definer set search_path = ''
as $$
begin
  if new_schedule is not null then
    perform cron._check_schedule(new_schedule);
  end if;
  update cron.job
  set schedule = coalesce(new_schedule, schedule), command = coalesce(new_command, command),
    database = coalesce(new_database, database), username = coalesce(new_username, username),
    active = coalesce(new_active, active)
  where jobid = job_id and username = caller;
  if not found then
    raise exception 'Job % does not exist or you don''t own it', job_id;
  end if;
end;
$$;

create function cron.schedule(schedule text, command text) returns bigint
language sql strict
as $$
  select cron._save_job(null, schedule, command, current_database(), current_user, true);
$$;

create function cron.schedule(job_name text, schedule text, command text) returns bigint
language sql strict
as $$
  select cron._save_job(job_name, schedule, command, current_database(), current_user, true);
$$;

create function cron.schedule_in_database(
  job_name text, schedule text, command text, database text,
  username text default null, active boolean default true
) returns bigint
language sql
as $$
  select cron._save_job(job_name, schedule, command, database, coalesce(username, current_user), active);
$$;

create function cron.unschedule(job_id bigint) returns boolean
language sql strict
as $$
  select cron._delete_job(job_id, null, current_user);
$$;

create function cron.unschedule(job_name text) returns boolean
language sql strict
as $$
  select cron._delete_job(null, job_name, current_user);
$$;

create function cron.alter_job(
  job_id bigint, schedule text default null, command text default null,
  database text default null, username text default null, active boolean default null
) returns void
language sql
as $$
  select cron._alter_job(job_id, schedule, command, database, username, active, current_user);
$$;
