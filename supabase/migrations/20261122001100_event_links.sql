-- What ties an event of the app to its Luma event, and the last state both sides agreed on (the base).
-- No foreign key: a link outlives its row, because a deleted row's Luma event still has to be hidden.

create table if not exists luma.event_links (
  event_id uuid primary key,
  calendar text not null,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{1,48}[a-z0-9]$'),
  create_lease uuid,
  create_state jsonb,
  luma_event_id text unique,
  row_base jsonb,
  luma_base jsonb,
  warning text,
  created_at timestamptz not null default now(),
  synced_at timestamptz
);
alter table luma.event_links enable row level security;

comment on table luma.event_links is 'One row for each event that is, or is about to be, on Luma.';
comment on column luma.event_links.calendar is
  'luma_key of its calendar. Fixed by the first create call: an event that moves stays on its calendar.';
comment on column luma.event_links.slug is
  'Address on Luma, https://luma.com/<slug>. Chosen before the first create call, so that after a crash or a lost answer the event is found by it instead of being created twice.';
comment on column luma.event_links.create_lease is
  'Lease under which a create call was first made possible. Not null and no luma_event_id: look the slug up before creating.';
comment on column luma.event_links.create_state is
  'luma.event_state() when that lease was taken: what the Luma event holds if that create took effect.';
comment on column luma.event_links.row_base is 'luma.event_state() of our row when both sides last agreed: "changed here" is measured against this.';
comment on column luma.event_links.luma_base is
  'What Luma was last told or seen to hold, by Luma''s field names: "changed there" is measured against this, never against our row, because Luma normalises.';
comment on column luma.event_links.warning is 'What of the row could not be shown on Luma as it is, for an admin.';

create or replace function luma.slug_for(event_id uuid, title text)
returns text language sql immutable set search_path = ''
return concat_ws('-',
  -- The title part is for people and may be empty; the 12 hex digits make it ours.
  -- 37 + 1 + 12 = 50, the longest slug that Luma takes (OpenAPI, /v1/events/create).
  nullif(trim(both '-' from left(regexp_replace(lower(title), '[^a-z0-9]+', '-', 'g'), 37)), ''),
  left(replace(event_id::text, '-', ''), 12)
);
comment on function luma.slug_for(uuid, text) is 'The slug of a new Luma event: a readable part of the title and 12 hex digits of the row''s id.';
