-- Forgetting a person: a user whose row was deleted, or a guest on Luma who is nobody here (luma.forget_person()).
-- Nothing of theirs stays but what Luma still has to be told: that they do not come. When that is sent, it goes too.

create table if not exists luma.erasures (
  id bigint generated always as identity primary key,
  asked_at timestamptz not null default clock_timestamp(),
  user_id text,
  name text,
  emails text[] not null default '{}',
  phone text
);
alter table luma.erasures enable row level security;
comment on table luma.erasures is
  'People to be forgotten. A line goes with the last that is kept of its person: at once, or when Luma was told that they do not come.';
comment on column luma.erasures.emails is 'Of the user, and of the guests that the user was.';

-- Luma keeps its guests, and tells of them again: in the echo of the last call, in the next list. Without a trace of who
-- was forgotten they would be back.
create table if not exists luma.forgotten (
  address_hash text primary key,
  told_at timestamptz not null default clock_timestamp()
);
alter table luma.forgotten enable row level security;
comment on table luma.forgotten is
  'Hashes of forgotten e-mail addresses, under a key that never leaves this database. They go when Luma has not told of them for luma.settings.webhook_days, 30 days at the least.';
comment on column luma.forgotten.told_at is 'When the person was forgotten, or Luma last told of them, to a day.';

create table if not exists luma.forget_key (
  id boolean primary key default true check (id),
  key text not null default gen_random_uuid()::text || gen_random_uuid()::text
);
alter table luma.forget_key enable row level security;
insert into luma.forget_key default values on conflict do nothing;
comment on table luma.forget_key is 'One row: what luma.forgotten is hashed with.';

create or replace function luma.address_hash(address text)
returns text language sql stable set search_path = '' as $$
  select encode(sha256(convert_to(k.key || lower(btrim(address)), 'UTF8')), 'hex') from luma.forget_key k
$$;
comment on function luma.address_hash(text) is 'How luma.forgotten knows an e-mail address.';

create or replace function luma.is_forgotten(address text)
returns boolean language sql stable set search_path = '' as $$
  select exists (select from luma.forgotten f where f.address_hash = luma.address_hash(address))
    -- Who has come back is somebody again.
    and not exists (select from luma.users_by_email(address))
$$;
comment on function luma.is_forgotten(text) is 'True for the e-mail address of somebody who was forgotten and is no user.';

create or replace function luma.forget_guest()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'INSERT' or new.email is distinct from old.email then
    -- Not before its RSVP has been declined, which goes by the address.
    new.forgotten := luma.is_forgotten(new.email) and not exists (
      select from luma.guest_links l where l.event_id = new.event_id and l.email = new.email
    );
    if new.forgotten then
      update luma.forgotten f set told_at = clock_timestamp()
      where f.address_hash = luma.address_hash(new.email) and f.told_at < clock_timestamp() - interval '1 day';
    end if;
  end if;
  if new.forgotten then
    -- As one without an address is known: by the id.
    new.email := coalesce(new.luma_guest_id, 'forgotten-' || new.id);
    new.news := new.news - '{name,phone}'::text[];
  end if;
  return new;
end
$$;
comment on function luma.forget_guest() is 'Trigger: what Luma tells of a forgotten person is kept without saying who it is.';

select luma.restrict_access();
