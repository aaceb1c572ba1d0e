-- What admins do: who, when, what. Every function that they call writes one row, and so does a change of a setting.

alter table luma.settings add column if not exists admin_log_days integer not null default 365 check (admin_log_days >= 1);
comment on column luma.settings.admin_log_days is 'Days that luma.admin_log is kept.';

create table if not exists luma.admin_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  who text not null,
  via text,
  what text not null,
  detail jsonb not null default '{}'
);
alter table luma.admin_log enable row level security;
create index if not exists admin_log_at on luma.admin_log (at);
comment on table luma.admin_log is 'What was done by hand to the sync. Kept for luma.settings.admin_log_days.';
comment on column luma.admin_log.who is 'The role that was logged in; through the Data API the user''s id.';
comment on column luma.admin_log.via is 'application_name of the connection: psql, luma console, ….';
comment on column luma.admin_log.what is 'The function that was called, or settings.';
comment on column luma.admin_log.detail is 'Its arguments and what it answered; of a setting {"name": [before, after]}.';

create or replace function luma.log_admin(what text, detail jsonb)
returns void language sql set search_path = '' as $$
  insert into luma.admin_log (who, via, what, detail)
  values (
    coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', session_user),
    nullif(current_setting('application_name', true), ''), log_admin.what, jsonb_strip_nulls(log_admin.detail)
  )
$$;
comment on function luma.log_admin(text, jsonb) is 'Notes what an admin does, in the same transaction: what is rolled back was not done.';

create or replace function luma.log_settings()
returns trigger language plpgsql set search_path = '' as $$
declare
  changed jsonb := (
    select jsonb_object_agg(n.key, jsonb_build_array(o.value, n.value))
    from jsonb_each(to_jsonb(new)) n join jsonb_each(to_jsonb(old)) o on o.key = n.key
    where o.value <> n.value and n.key not in ('live_since', 'updated_at')
  );
begin
  if changed is not null then
    perform luma.log_admin(case when changed ? 'mode' then 'set_mode' else 'settings' end, changed);
  end if;
  return null;
end
$$;
comment on function luma.log_settings() is 'Trigger: notes which settings were changed, the mode too.';

drop trigger if exists log_settings on luma.settings;
create trigger log_settings after update on luma.settings for each row execute function luma.log_settings();

create or replace function luma.keep_settings()
returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'luma.settings: its one row is what the sync runs by, and cannot be deleted'
    using errcode = 'object_not_in_prerequisite_state', hint = 'Change it with update; luma.uninstall() removes everything.';
end
$$;
comment on function luma.keep_settings() is 'Trigger: refuses to delete the settings.';

drop trigger if exists keep_settings on luma.settings;
create trigger keep_settings before delete or truncate on luma.settings for each statement execute function luma.keep_settings();

select luma.restrict_access();
