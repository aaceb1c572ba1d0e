-- Every signed delivery of Luma's webhooks is stored here before anything is made of it: Luma does not keep
-- them, and a delivery that was answered with 200 never comes again.

create table if not exists luma.webhook_inbox (
  webhook_id text primary key check (length(webhook_id) between 1 and 255),
  calendar text not null,
  type text not null,
  payload jsonb not null,
  sent_at timestamptz not null,
  received_at timestamptz not null default now(),
  times_received integer not null default 1,
  state text not null default 'stored' check (state in ('stored', 'applied', 'failed')),
  attempts integer not null default 0,
  error text,
  constraint webhook_inbox_failed_says_why check (state <> 'failed' or error is not null)
);
alter table luma.webhook_inbox enable row level security;
create index if not exists webhook_inbox_received on luma.webhook_inbox (received_at);

comment on table luma.webhook_inbox is
  'Signed webhook deliveries of Luma, one row each. Guests'' names, e-mails and phone numbers are in the payloads; luma.clean_up() deletes rows after luma.settings.webhook_days.';
comment on column luma.webhook_inbox.webhook_id is 'Luma''s Webhook-Id header, the same when a delivery is repeated.';
comment on column luma.webhook_inbox.calendar is 'luma_key of the calendar whose webhook secret fitted the signature.';
comment on column luma.webhook_inbox.type is 'event.created, guest.updated, …; one that this version does not know is stored all the same.';
comment on column luma.webhook_inbox.payload is 'The whole body: {"type", "data"}.';
comment on column luma.webhook_inbox.sent_at is
  'When Luma signed the first delivery that arrived. Deliveries overtake each other and carry no version, so this is no order of changes.';
comment on column luma.webhook_inbox.times_received is 'Deliveries with this id; more than 1 is normal, Luma promises at least one.';
comment on column luma.webhook_inbox.state is 'stored: nothing was made of it yet. applied. failed: given up, see error.';
comment on column luma.webhook_inbox.attempts is 'Tries to apply it.';
comment on column luma.webhook_inbox.error is 'What went wrong last, at linking (the state stays stored) or at applying.';

create or replace function luma.link_created_event(calendar text, slug text, luma_event_id text)
returns void language sql set search_path = '' as $$
  -- Never overwrites: a link that has an id got it from Luma. The other conditions keep strangers out: without
  -- create_lease no create call of ours can have made this event, and one that was made by hand on another
  -- calendar, or belongs to a link that was removed since, would be called with the wrong key or not be there.
  update luma.event_links l
  set luma_event_id = link_created_event.luma_event_id
  where l.slug = link_created_event.slug and l.calendar = link_created_event.calendar
    and l.luma_event_id is null and l.create_lease is not null
$$;
comment on function luma.link_created_event(text, text, text) is
  'Links the Luma event that a create call of ours has just made, recognised by its slug, even before that call has answered.';

-- Locks the inbox row, then one link, and nothing that the app or the settling functions lock before a link:
-- whoever holds a link never waits for an inbox row, so no two of them wait for each other.
-- The payload is text for the reason given at luma_acknowledge().
create or replace function public.luma_receive_webhook(
  webhook_id text,
  calendar text,
  type text,
  payload_json text,
  sent_at timestamptz,
  luma_event_id text default null,
  slug text default null
)
returns text language plpgsql security definer set search_path = '' as $$
declare
  times integer;
begin
  insert into luma.webhook_inbox as i (webhook_id, calendar, type, payload, sent_at)
  values (webhook_id, calendar, type, payload_json::jsonb, sent_at)
  on conflict on constraint webhook_inbox_pkey do update set times_received = i.times_received + 1
  returning i.times_received into times;
  if times > 1 then
    return 'seen';
  end if;
  -- Not event.canceled: Luma has deleted that event, and every call for a link to it would fail.
  if type in ('event.created', 'event.updated') and luma_event_id is not null and slug is not null then
    begin
      perform luma.link_created_event(calendar, slug, luma_event_id);
    exception when others then
      -- The delivery is worth more than the link, which the drain also finds by the slug.
      update luma.webhook_inbox i
      set error = format('%s was not linked to slug %s: %s', luma_event_id, slug, sqlerrm)
      where i.webhook_id = luma_receive_webhook.webhook_id;
    end;
  end if;
  return 'stored';
end
$$;
comment on function public.luma_receive_webhook(text, text, text, text, timestamptz, text, text) is
  'luma-webhook: stores a verified delivery (payload_json: its body) and links our own new event (luma_event_id and slug, for event.* types). Answers stored, or seen for a repeat.';

select luma.restrict_access();
