-- What ties RSVPs to guests on Luma. A guest is an e-mail address on an event; usually that is one RSVP, but
-- two users can have one address, and an RSVP that is deleted and made again is another row.
-- No foreign keys: a guest outlives the row, because it still has to be declined.

create table if not exists luma.guests (
  event_id uuid not null,
  email text not null,
  luma_guest_id text,
  row_base text check (row_base in ('approved', 'pending_approval', 'waitlist', 'declined')),
  luma_base text,
  in_doubt boolean not null default false,
  lease uuid,
  synced_at timestamptz,
  primary key (event_id, email),
  check (not in_doubt or row_base is null)
);
alter table luma.guests enable row level security;
create index if not exists guests_lease on luma.guests (lease) where lease is not null;

comment on table luma.guests is
  'One row for each guest that Luma has, or may have, because of an RSVP. Neither row_base nor in_doubt: Luma was never told.';
comment on column luma.guests.email is 'luma.usable_email() of the user when Luma was first told. Stays when the user''s address changes, or there would be a second guest.';
comment on column luma.guests.luma_guest_id is 'Luma''s id of the guest (gst-…). Adding guests answers no ids, so it may be unknown.';
comment on column luma.guests.row_base is
  'What our RSVPs said when both sides last agreed, in Luma''s words: "changed here" is measured against this.';
comment on column luma.guests.luma_base is 'The status that Luma was last told or seen to hold: "changed there" is measured against this.';
comment on column luma.guests.in_doubt is 'A call was made whose effect is not known. The next attempt looks the guest up first.';
comment on column luma.guests.lease is 'The outbox lease under which calls about this guest may be under way.';

create table if not exists luma.guest_links (
  rsvp_id uuid primary key,
  event_id uuid not null,
  user_id text not null,
  email text not null
);
alter table luma.guest_links enable row level security;
create index if not exists guest_links_guest on luma.guest_links (event_id, email);

comment on table luma.guest_links is 'Which guest each RSVP is. Outlives its RSVP until the guest has left.';
comment on column luma.guest_links.rsvp_id is 'event_rsvps.id.';
comment on column luma.guest_links.user_id is 'event_rsvps.user_id when the link was made; another user in the row since makes it another guest.';
comment on column luma.guest_links.email is 'guests.email.';
