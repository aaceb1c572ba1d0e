-- What was changed on both sides at once, and which of the two was kept.

create table if not exists luma.conflicts (
  id bigint generated always as identity primary key,
  noticed_at timestamptz not null default clock_timestamp(),
  entity text not null check (entity in ('event', 'rsvp')),
  entity_id uuid not null,
  event_id uuid not null,
  field text not null,
  app_value jsonb,
  luma_value jsonb,
  winner text not null check (winner in ('app', 'luma'))
);
alter table luma.conflicts enable row level security;
create index if not exists conflicts_entity on luma.conflicts (entity, entity_id, id);
create index if not exists conflicts_noticed on luma.conflicts (noticed_at);

comment on table luma.conflicts is
  'Fields that were changed here and on Luma before the two had heard of each other. The winner''s value is on both sides now; the other one is kept here for luma.settings.log_days.';
comment on column luma.conflicts.field is 'Of an event Luma''s name of the field, of an RSVP status.';
comment on column luma.conflicts.app_value is 'What the row said: of an event by column, of an RSVP the app''s word.';
comment on column luma.conflicts.luma_value is 'What Luma said.';
comment on column luma.conflicts.winner is
  'app for events that the app made, luma for those that come from Luma; of RSVPs whoever was later.';

create or replace function luma.note_conflict(entity text, entity_id uuid, event_id uuid, field text, app_value jsonb, luma_value jsonb, winner text)
returns void language sql set search_path = ''
begin atomic
  insert into luma.conflicts (entity, entity_id, event_id, field, app_value, luma_value, winner)
  values (note_conflict.entity, note_conflict.entity_id, note_conflict.event_id, note_conflict.field,
          note_conflict.app_value, note_conflict.luma_value, note_conflict.winner);
end;
comment on function luma.note_conflict(text, uuid, uuid, text, jsonb, jsonb, text) is 'Keeps the value that lost, and the one that won.';
