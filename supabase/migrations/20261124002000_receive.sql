-- Receiving: a delivery is stored, and applied in the same transaction if that can be done at once. What cannot
-- (the app is writing the row, a call of ours is under way, a defect) stays in the inbox and is applied by a drain, in
-- luma_apply_deliveries(). A delivery is never in the way of another.

create or replace function luma.apply_news(calendar text, news jsonb, sent_at timestamptz)
returns text language plpgsql set search_path = '' as $$
declare
  luma_id text := news #>> '{event,luma_event_id}';
  known_id uuid := (select l.event_id from luma.event_links l where l.luma_event_id = luma_id);
  outcome text;
begin
  if not news ? 'guest' then
    return luma.apply_event(calendar, news -> 'event', is_read => false);
  end if;
  if known_id is null then
    -- A guest can be told of before the event is.
    outcome := luma.apply_event(calendar, news -> 'event', is_read => false);
    select l.event_id into known_id from luma.event_links l where l.luma_event_id = luma_id;
    if known_id is null then
      return outcome;
    end if;
  end if;
  return luma.apply_guest(known_id, news -> 'guest', sent_at, is_read => false);
end
$$;
comment on function luma.apply_news(text, jsonb, timestamptz) is
  'Applies what a delivery says (from_luma.ts, News): an event, or a guest with the event that it is for.';

create or replace function luma.apply_delivery(id text)
returns text language plpgsql set search_path = '' as $$
declare
  i luma.webhook_inbox;
  done text;
  told text;
begin
  select * into i from luma.webhook_inbox w where w.webhook_id = apply_delivery.id for update;
  begin
    -- Luma signs with the second. It was sent before it came, and within that second.
    done := luma.apply_news(i.calendar, i.news, least(i.received_at, i.sent_at + interval '1 second'));
    update luma.webhook_inbox w
    set state = 'applied', outcome = done, applied_at = clock_timestamp(), due_at = null, error = null, attempts = w.attempts + 1
    where w.webhook_id = i.webhook_id;
    return 'applied';
  exception
    when sqlstate 'LM001' or lock_not_available or deadlock_detected or serialization_failure then
      -- Nothing is wrong; the longer it lasts, the less often it is tried.
      update luma.webhook_inbox w
      set outcome = 'waiting', due_at = clock_timestamp()
        + least(interval '5 seconds', interval '100 milliseconds' + (clock_timestamp() - w.received_at) / 10)
      where w.webhook_id = i.webhook_id;
    when others then
      get stacked diagnostics told = message_text;
      perform luma.note_delivery_failure(i.webhook_id, told);
  end;
  -- Somebody has to come back for it.
  perform luma.kick();
  return 'stored';
end
$$;
comment on function luma.apply_delivery(text) is 'Tries to apply a stored delivery, and answers applied or stored. Never raises for what is wrong with the delivery or the app''s rows.';

create or replace function luma.note_delivery_failure(id text, what text)
returns void language sql set search_path = ''
begin atomic
  update luma.webhook_inbox w
  set attempts = w.attempts + 1, error = what, outcome = null,
      state = case when w.attempts + 1 >= s.webhook_attempts then 'failed' else 'stored' end,
      due_at = case when w.attempts + 1 < s.webhook_attempts then clock_timestamp() + luma.retry_delay(w.attempts) end
  from luma.settings s
  where w.webhook_id = note_delivery_failure.id;
end;
comment on function luma.note_delivery_failure(text, text) is 'A delivery could not be read or applied: it is tried again with growing delays, and given up after luma.settings.webhook_attempts.';

create or replace function luma.apply_due(enough timestamptz)
returns void language plpgsql set search_path = '' as $$
declare
  due text;
begin
  for due in
    select w.webhook_id from luma.webhook_inbox w
    where w.due_at <= clock_timestamp() and w.news is not null
    -- In the order in which they came, so that fewer have to be read again.
    order by w.received_at, w.webhook_id limit 50 for update skip locked
  loop
    perform luma.apply_delivery(due);
    exit when clock_timestamp() > enough;
  end loop;
end
$$;
comment on function luma.apply_due(timestamptz) is 'Applies some of what waits in the inbox, until then.';

create or replace function luma.promote_due(enough timestamptz)
returns void language plpgsql set search_path = '' as $$
declare
  recheck luma.rechecks;
begin
  for recheck in
    select * from luma.rechecks r where r.promote and r.due_at <= clock_timestamp() order by r.id limit 20 for update skip locked
  loop
    -- The line stays for luma.recheck_rsvps(): the user's other RSVPs may have waited for the address.
    if luma.promote_guests(recheck.user_id) then
      update luma.rechecks r set promote = false where r.id = recheck.id;
    else
      update luma.rechecks r set due_at = clock_timestamp() + interval '1 second' where r.id = recheck.id;
    end if;
    exit when clock_timestamp() > enough;
  end loop;
end
$$;
comment on function luma.promote_due(timestamptz) is 'Makes external guests RSVPs whose users have come, until then.';

create or replace function luma.unread_deliveries()
returns jsonb language sql set search_path = ''
begin atomic
  with due as (
    select w.webhook_id from luma.webhook_inbox w
    where w.due_at <= clock_timestamp() and w.news is null
    order by w.received_at limit 20 for update skip locked
  ), taken as (
    update luma.webhook_inbox w set due_at = clock_timestamp() + interval '30 seconds'
    from due where w.webhook_id = due.webhook_id returning w.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('webhook_id', t.webhook_id, 'type', t.type, 'data', t.payload -> 'data')), '[]')
  from taken t;
end;
comment on function luma.unread_deliveries() is
  'Deliveries whose payload could not be read, for a function that may be newer than the one that received them. Theirs for 30 seconds.';

create or replace function public.luma_apply_deliveries()
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  -- The app's rows are locked for as long as this lasts, so a large backlog is many calls.
  enough timestamptz := clock_timestamp() + interval '50 milliseconds';
begin
  if luma.mode() <> 'live' then
    return '{"more": false, "unread": []}';
  end if;
  perform luma.apply_due(enough);
  perform luma.promote_due(enough);
  return jsonb_build_object('more', luma.deliveries_due(), 'unread', luma.unread_deliveries());
end
$$;
comment on function public.luma_apply_deliveries() is
  'luma-drain: applies what waits in the inbox, for a moment. {more (call again), unread: [{webhook_id, type, data}], deliveries that could not be read, for luma_read_delivery()}.';

-- Answers only after the delivery is stored, whatever becomes of it then. Holding the inbox row, this waits for no
-- lock that the app may hold. The payload is text for the reason given at luma_acknowledge().
drop function if exists public.luma_receive_webhook(text, text, text, text, timestamptz, text, text);
create or replace function public.luma_receive_webhook(
  webhook_id text, calendar text, type text, payload_json text, sent_at timestamptz, news_json text default null
)
returns text language plpgsql security definer set search_path = '' as $$
declare
  news jsonb := news_json;
  times integer;
begin
  insert into luma.webhook_inbox as i (webhook_id, calendar, type, payload, sent_at, news, due_at)
  values (
    webhook_id, calendar, type, payload_json::jsonb, sent_at, case when not news ? 'error' then news end,
    case when news is not null then clock_timestamp() end
  )
  on conflict on constraint webhook_inbox_pkey do update set times_received = i.times_received + 1
  returning i.times_received into times;
  if times > 1 then
    return 'seen';
  elsif news ? 'error' then
    perform luma.note_delivery_failure(webhook_id, news ->> 'error');
    return 'stored';
  elsif news is null then
    return 'stored';
  end if;
  -- Not a cancelled one: Luma has deleted that event, and every call for a link to it would fail.
  if not (news #>> '{event,gone}')::boolean and news #>> '{event,slug}' is not null then
    begin
      perform luma.link_created_event(calendar, news #>> '{event,slug}', news #>> '{event,luma_event_id}');
    exception when others then
      -- The delivery is worth more than the link, which the drain also finds by the slug.
      raise warning 'luma: % was not linked: %', news #>> '{event,luma_event_id}', sqlerrm;
    end;
  end if;
  if luma.mode() <> 'live' then
    return 'stored';
  end if;
  return luma.apply_delivery(webhook_id);
end
$$;
comment on function public.luma_receive_webhook(text, text, text, text, timestamptz, text) is
  'luma-webhook: stores a verified delivery (payload_json: its body; news_json: what from_luma.ts reads in it, {error} when it cannot, null for a type that is not used), links our own new event, and applies the news. Answers applied, stored (to be applied later, or not used), or seen for a repeat.';

create or replace function public.luma_read_delivery(webhook_id text, news_json text default null)
returns void language plpgsql security definer set search_path = '' as $$
declare
  told jsonb := news_json;
begin
  if told ? 'error' then
    perform luma.note_delivery_failure(webhook_id, told ->> 'error');
    return;
  end if;
  update luma.webhook_inbox w
  set news = told, due_at = case when told is not null then clock_timestamp() end, error = null, attempts = 0
  where w.webhook_id = luma_read_delivery.webhook_id;
  if told is not null then
    perform luma.apply_delivery(webhook_id);
  end if;
end
$$;
comment on function public.luma_read_delivery(text, text) is
  'luma-drain: what it reads in a delivery of luma_apply_deliveries() that could not be read before; news_json as luma_receive_webhook() takes it.';

select luma.restrict_access();
