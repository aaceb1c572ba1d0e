-- What is known of Luma's side, beside the bases: what it was told and has not shown since, what it was heard to
-- say and when, and whom somebody has to look at. Payloads of webhooks carry no version, so this is what decides
-- whether a delivery can be believed.

alter table luma.settings
  add column if not exists redelivery_hours integer not null default 24 check (redelivery_hours between 0 and 720),
  add column if not exists webhook_attempts integer not null default 12 check (webhook_attempts >= 1);
comment on column luma.settings.redelivery_hours is
  'How late a webhook may still come, after an outage of ours for example. Two deliveries about one event or guest within this time that say different things may be in either order: then it is read from Luma.';
comment on column luma.settings.webhook_attempts is 'A delivery that could not be applied so often in a row is given up; luma.retry() tries again.';

alter table luma.event_links
  add column if not exists url text,
  add column if not exists unseen text[] not null default '{}',
  add column if not exists told_at timestamptz,
  add column if not exists maybe_told jsonb,
  add column if not exists maybe_state jsonb,
  add column if not exists heard_at timestamptz,
  add column if not exists tags_heard boolean not null default false,
  add column if not exists look boolean not null default false,
  add column if not exists look_tags boolean not null default false,
  add column if not exists external_count integer not null default 0;
comment on column luma.event_links.url is 'The event''s page as Luma tells it; null: https://luma.com/<slug>.';
comment on column luma.event_links.unseen is
  'Fields of luma_base that Luma was told, and that no answer or webhook has shown since: Luma may render them in a form of its own.';
comment on column luma.event_links.told_at is 'When Luma was last told something of this event.';
comment on column luma.event_links.maybe_told is
  'What an update call told whose answer was lost, in the form of luma_base: should it be heard from Luma, it was ours.';
comment on column luma.event_links.maybe_state is 'luma.event_state() of the row at that call.';
comment on column luma.event_links.heard_at is 'When the last webhook about this event came.';
comment on column luma.event_links.tags_heard is
  'Luma has told the event''s tags: the first time it may have been before ours was put on.';
comment on column luma.event_links.look is 'The event has to be read from Luma: webhooks may have crossed, or have told only a part.';
comment on column luma.event_links.look_tags is 'So do its tags, which only a list tells.';
comment on column luma.event_links.external_count is
  'Guests who are going and are nobody''s RSVP here: part of canonical_events.current_rsvp_count.';

alter table luma.guests
  add column if not exists id uuid not null default gen_random_uuid(),
  add column if not exists news jsonb,
  add column if not exists unseen boolean not null default false,
  add column if not exists heard_at timestamptz,
  add column if not exists look boolean not null default false,
  add column if not exists look_told_at timestamptz;
create unique index if not exists guests_id on luma.guests (id);
create index if not exists guests_luma_id on luma.guests (luma_guest_id) where luma_guest_id is not null;

comment on table luma.guests is
  'One row for each guest that Luma has, or may have. Neither row_base nor in_doubt nor luma_base: Luma was never told. Without a line in luma.guest_links: nobody''s RSVP, see luma.external_guests.';
comment on column luma.guests.id is 'For the outbox.';
comment on column luma.guests.news is
  'What Luma last told of the guest beside the status: {name, phone, registered_at, checked_in_at, rsvp_type, tickets}.';
comment on column luma.guests.unseen is 'luma_base is what Luma was told, and nothing has shown it since.';
comment on column luma.guests.heard_at is 'When the last webhook about this guest came.';
comment on column luma.guests.look is 'The guest has to be read from Luma: webhooks may have crossed.';
comment on column luma.guests.look_told_at is 'When Luma told what has the guest read: the best that is known of when it was changed there.';

-- An event that Luma has deleted. Late news of it must not bring it back.
create table if not exists luma.removed_events (
  luma_event_id text primary key,
  removed_at timestamptz not null default clock_timestamp()
);
alter table luma.removed_events enable row level security;
comment on table luma.removed_events is 'Luma events that were cancelled, which deletes them: whatever is still told of them is ignored.';

alter table luma.webhook_inbox
  add column if not exists news jsonb,
  add column if not exists due_at timestamptz,
  add column if not exists applied_at timestamptz,
  add column if not exists outcome text;
create index if not exists webhook_inbox_due on luma.webhook_inbox (due_at) where due_at is not null;

comment on column luma.webhook_inbox.news is 'What the payload says to the app''s rows (from_luma.ts, News). Null: nothing, or it could not be read.';
comment on column luma.webhook_inbox.due_at is 'To be applied from then on. Null: nothing is left to do.';
comment on column luma.webhook_inbox.outcome is
  'What became of it: inserted, updated, linked, unchanged, cancelled, external (a guest who is nobody''s RSVP), to be read (from Luma, because webhooks may have crossed), or why it was left.';
comment on column luma.webhook_inbox.state is
  'stored: nothing was made of it, or not yet (due_at). applied. failed: given up, see error; luma.retry() tries again.';
