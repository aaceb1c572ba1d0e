-- Raising alerts, and telling somebody. One message at a time, with all that is new in it, until it has arrived.

create or replace function luma.alert_body(address text, message text)
returns jsonb language sql immutable set search_path = ''
return jsonb_build_object(
  -- Slack, Telegram (…/sendMessage?chat_id=…), Google Chat and Mattermost read "text", Discord "content".
  case when address ~ '^https://([a-z0-9-]+[.])*discord(app)?[.]com/' then 'content' else 'text' end, message
);
comment on function luma.alert_body(text, text) is 'The body of a message, as the service at this address wants it.';

create or replace function luma.compose_alerts()
returns void language plpgsql set search_path = '' as $$
declare
  begun bigint[];
  ended bigint[];
  lines text[];
begin
  select array_agg(a.id order by a.id), array_agg('🔴 ' || a.message order by a.id) into begun, lines
  from luma.alert_states a
  where a.over_at is null
    and (a.told_level is null or a.level > a.told_level and a.told_at < clock_timestamp() - interval '1 hour');
  select array_agg(a.id order by a.id), coalesce(lines, '{}') || coalesce(array_agg('🟢 Over: ' || a.message order by a.id), '{}') into ended, lines
  from luma.alert_states a
  where a.over_at is not null and a.told_level is not null and a.end_told_at is null;
  if cardinality(lines) = 0 then
    return;
  end if;
  update luma.alert_states a set told_level = a.level where a.id = any (begun);
  update luma.alert_outbox b
  set message = concat_ws(E'\n', 'Luma sync', array_to_string(lines[1:10], E'\n'),
        case when cardinality(lines) > 10 then format('and %s more: select * from luma.alerts;', cardinality(lines) - 10) end),
      alerts = coalesce(begun, '{}'), ends = coalesce(ended, '{}'), tries = 0, request_id = null, due_at = clock_timestamp(),
      sent_at = b.sent_at || clock_timestamp()
  where b.id;
end
$$;
comment on function luma.compose_alerts() is 'Puts what has begun, grown or ended since the last message into the next one.';

create or replace function luma.send_alerts()
returns void language plpgsql set search_path = '' as $$
declare
  box luma.alert_outbox;
  address text := luma.secret('luma_alert_url');
  answer record;
begin
  if address is null then
    update luma.alert_outbox b set message = null, due_at = null, problem = null where b.id and b.message is not null;
    return;
  end if;
  update luma.alert_outbox b
  set sent_at = array(select t from unnest(b.sent_at) t where t > clock_timestamp() - interval '1 hour')
  where b.id returning * into box;
  -- A greeting that did not arrive holds nothing up.
  if box.message is null or box.alerts = '{}' and box.ends = '{}' and box.tries > 0 then
    if cardinality(box.sent_at) < (select s.alert_messages_per_hour from luma.settings s) then
      perform luma.compose_alerts();
    end if;
    select * into box from luma.alert_outbox;
  end if;
  if box.message is null or box.due_at > clock_timestamp() then
    return;
  end if;
  select r.status_code, coalesce(r.error_msg, r.status_code::text) as said into answer from net._http_response r where r.id = box.request_id;
  if answer.status_code between 200 and 299 then
    update luma.alert_states a set told_at = clock_timestamp() where a.id = any (box.alerts);
    update luma.alert_states a set end_told_at = clock_timestamp() where a.id = any (box.ends);
    update luma.alert_outbox b set message = null, due_at = null, problem = null where b.id;
    return;
  end if;
  -- No answer in time counts as lost, as pg_net loses what it holds in a crash: better twice than never.
  update luma.alert_outbox b
  set request_id = net.http_post(url := address, body := luma.alert_body(address, box.message), timeout_milliseconds := 5000),
      tries = box.tries + 1,
      -- When it is looked for the answer, later and later.
      due_at = clock_timestamp() + least(interval '30 seconds' * 2 ^ box.tries, interval '5 minutes'),
      problem = case when box.tries > 0 then format('The address of luma.set_alert_url() did not take the message, %s times. The last answer: %s', box.tries, coalesce(answer.said, 'none')) end
  where b.id;
end
$$;
comment on function luma.send_alerts() is 'Sends the message that waits, looks for its answer, and sends it again, later and later, until it was taken.';

create or replace function luma.watch()
returns void language plpgsql set search_path = '' as $$
declare
  looked_at timestamptz := clock_timestamp();
begin
  -- The next run is a minute away.
  if not pg_try_advisory_xact_lock(hashtext('luma'), hashtext('alerts')) then
    return;
  end if;
  insert into luma.alert_states as a (kind, subject, message, level)
  select c.kind, c.subject, c.message, c.level from luma.alert_causes c
  on conflict (kind, subject) where over_at is null
  do update set message = excluded.message, level = excluded.level, seen_at = excluded.seen_at;
  update luma.alert_states a set over_at = clock_timestamp()
  where a.over_at is null and a.seen_at < looked_at - (select s.alert_calm from luma.settings s);
  delete from luma.alert_states a where a.over_at < now() - make_interval(days => (select s.log_days from luma.settings s));
  begin
    perform luma.send_alerts();
  exception when others then
    -- What was raised stays, whatever pg_net says of the address.
    update luma.alert_outbox b set problem = format('The message could not be sent: %s', sqlerrm) where b.id;
  end;
end
$$;
comment on function luma.watch() is 'Raises and ends alerts, and has somebody told. Run by pg_cron every minute.';

create or replace function luma.set_alert_url(url text)
returns void language plpgsql set search_path = '' as $$
declare
  entry uuid := (select s.id from vault.secrets s where s.name = 'luma_alert_url');
  wanted text := nullif(trim(url), '');
begin
  if wanted !~ '^https://[^/@[:space:]]+/?[^[:space:]]*$' and wanted !~ '^http://(127[.]0[.]0[.]1|localhost)(:[0-9]+)?/' then
    -- It may hold a token, so it is not shown.
    raise exception 'luma.set_alert_url: the address must begin with https:// and hold no blanks'
      using errcode = 'invalid_parameter_value', hint = 'An incoming webhook of Slack, Discord or the like, or https://api.telegram.org/bot<token>/sendMessage?chat_id=<id>. Null: no messages.';
  end if;
  if wanted is null then
    delete from vault.secrets s where s.id = entry;
  elsif entry is null then
    perform vault.create_secret(wanted, 'luma_alert_url');
  else
    perform vault.update_secret(entry, wanted);
  end if;
  perform luma.log_admin('set_alert_url', jsonb_build_object('host', substring(wanted from '^https?://([^/?#]+)')));
  if wanted is not null then
    update luma.alert_outbox b
    set message = 'Luma sync: alerts come here.', alerts = '{}', ends = '{}', tries = 0, request_id = null, due_at = clock_timestamp()
    where b.id and b.message is null;
    perform luma.send_alerts();
  end if;
end
$$;
comment on function luma.set_alert_url(text) is
  'Where alerts are sent to: an address that takes a POST of {"text": …}, as Slack, Telegram and others do ({"content": …} for Discord). Sends a first message. Null: nowhere. Kept in the Vault.';

select cron.schedule('luma-alerts', '* * * * *', 'select luma.watch()');

select luma.restrict_access();
