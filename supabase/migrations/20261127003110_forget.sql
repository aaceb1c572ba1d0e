-- What is kept of people who are to be forgotten goes as soon as Luma need not be told of them any more.

create or replace function luma.contacts_in(payload jsonb)
returns setof text language sql immutable set search_path = '' as $$
  select lower(btrim(v #>> '{}'))
  from jsonb_path_query(
    payload, '$.** ? (@.type() == "object").keyvalue() ? (@.key like_regex "^(user_)?(email|phone|phone_number)$").value'
  ) v
  where jsonb_typeof(v) = 'string'
$$;
comment on function luma.contacts_in(jsonb) is 'Every e-mail address and phone number in a webhook''s payload.';

create or replace function luma.owes_decline(link luma.guest_links)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from luma.guests g
    join luma.event_links k on k.event_id = g.event_id and k.luma_event_id is not null
    join public.canonical_events e on e.id = g.event_id and not luma.is_over(e)
    where g.event_id = (link).event_id and g.email = (link).email
      and (
        g.in_doubt or coalesce(g.row_base, g.luma_base) <> 'declined'
        -- Being sent: whatever becomes of it, they may be there afterwards.
        or exists (select from luma.sync_outbox o where o.lease = g.lease)
      )
  ) and not exists (
    -- Given up, and nobody tried again for as long as history is kept.
    select from luma.sync_outbox o
    where o.entity = 'rsvp' and o.entity_id = (link).rsvp_id
      and o.dead_at < now() - make_interval(days => (select s.log_days from luma.settings s))
  )
$$;
comment on function luma.owes_decline(luma.guest_links) is 'True while Luma has to be told that the guest of a deleted RSVP does not come.';

create or replace function luma.forget_guests(emails text[], phones text[])
returns void language sql set search_path = '' as $$
  update luma.guests g set forgotten = true
  where g.id in (
    select m.id from luma.guests m
    where m.id in (
        select b.id from unnest(emails) e join luma.guests b on b.email = e
        union
        select b.id from unnest(phones) p
        join luma.guests b on luma.phone_tail(b.news ->> 'phone') = luma.phone_tail(p) and luma.phone_fits(p, b.news ->> 'phone')
      )
      and not exists (select from luma.guest_links l where l.event_id = m.event_id and l.email = m.email)
      and not exists (select from luma.sync_outbox o where o.lease = m.lease)
    for update skip locked
  );
  -- Whose place is not taken needs no line.
  delete from luma.guests g
  where g.forgotten and g.id in (
    select m.id from luma.guests m
    where m.forgotten and not exists (select from luma.sync_outbox o where o.lease = m.lease)
      and (coalesce(m.luma_base, 'declined') = 'declined' or not exists (
        select from public.canonical_events e where e.id = m.event_id and not luma.is_over(e)
      ))
    for update skip locked
  )
$$;
comment on function luma.forget_guests(text[], text[]) is 'Takes out of luma.guests who these people are, and the lines that nothing is counted by.';

create or replace function luma.forget_deliveries(emails text[], phones text[], since timestamptz)
returns void language sql set search_path = '' as $$
  -- What waits to be applied goes next time.
  with told as materialized (
    select w.webhook_id, c as contact
    from luma.webhook_inbox w cross join lateral luma.contacts_in(w.payload) c
    where w.due_at is null and w.received_at >= since and w.payload -> 'data' <> '{}'
  ), known as materialized (
    -- First by the hash alone: of hundreds of thousands of addresses a few are left to look at.
    select t.webhook_id, t.contact from told t join luma.forgotten f on f.address_hash = luma.address_hash(t.contact)
  ), of_them as (
    select t.webhook_id from told t join unnest(emails) e on e = t.contact
    union
    select t.webhook_id from told t
    join unnest(phones) p on luma.phone_tail(p) = luma.phone_tail(t.contact) and luma.phone_fits(p, t.contact)
    where t.contact !~ '@'
    union
    select k.webhook_id from known k where luma.is_forgotten(k.contact)
  )
  update luma.webhook_inbox w
  set payload = jsonb_build_object('type', w.type, 'data', '{}'::jsonb), news = null
  from of_them o where w.webhook_id = o.webhook_id
$$;
comment on function luma.forget_deliveries(text[], text[], timestamptz) is 'Empties the webhook deliveries that tell of these people, or of anybody who was forgotten.';

create or replace function luma.forget_names(names text[])
returns void language sql set search_path = '' as $$
  update luma.attempts a set error = 'Taken out: it named somebody who was forgotten.'
  where a.error is not null and exists (select from unnest(names) n where strpos(a.error, n) > 0);
  update luma.sync_outbox o set last_error = 'Taken out: it named somebody who was forgotten.'
  where (o.entity, o.entity_id) in (
    select s.entity, s.entity_id from luma.sync_outbox s
    where s.last_error is not null and exists (select from unnest(names) n where strpos(s.last_error, n) > 0)
    for update skip locked
  )
$$;
comment on function luma.forget_names(text[]) is 'Takes out errors that name these people: Luma may have quoted a guest whose name was not at hand any more.';

create or replace function luma.forget_due()
returns integer language plpgsql set search_path = '' as $$
declare
  due luma.erasures[];
  -- Addresses and numbers that are theirs alone.
  addresses text[];
  phones text[];
begin
  -- What the trigger missed.
  insert into luma.erasures (user_id, emails)
  select l.user_id, array_agg(distinct l.email) from luma.guest_links l
  where not exists (select from public.users u where u.id = l.user_id)
    and not exists (select from luma.erasures e where e.user_id = l.user_id)
  group by l.user_id;
  due := array(select e from luma.erasures e order by e.id limit 1000 for update skip locked);
  if due = '{}' and not exists (select from luma.forgotten) then
    return 0;
  end if;
  -- What a living user has too is that user's.
  addresses := array(
    select distinct m from unnest(due) e cross join lateral unnest(e.emails) m
    where not exists (select from luma.users_by_email(m))
  );
  phones := array(
    select distinct e.phone from unnest(due) e
    where length(luma.phone_digits(e.phone)) >= 7 and not exists (select from luma.users_by_phone(e.phone))
  );
  insert into luma.forgotten (address_hash) select luma.address_hash(m) from unnest(addresses) m
  on conflict (address_hash) do update set told_at = excluded.told_at;
  delete from luma.guest_links l
  where (l.user_id in (select e.user_id from unnest(due) e) or l.email = any (addresses))
    and not exists (select from public.event_rsvps r where r.id = l.rsvp_id and r.event_id = l.event_id and r.user_id = l.user_id)
    and not luma.owes_decline(l);
  perform luma.forget_guests(addresses, phones);
  -- Of those who were forgotten before only what came since the last times.
  perform luma.forget_deliveries(addresses, phones, case when due = '{}' then now() - interval '2 days' else '-infinity' end);
  perform luma.forget_names(array(select e.name from unnest(due) e where length(e.name) >= 3));
  delete from luma.rechecks r where r.user_id in (select e.user_id from unnest(due) e);
  delete from luma.drift d where d.who in (select e.user_id from unnest(due) e) or lower(d.who) = any (addresses);
  delete from luma.erasures x
  where x.id in (select e.id from unnest(due) e)
    and not exists (select from luma.guest_links l where l.user_id = x.user_id)
    and not exists (
      select from unnest(x.emails) m where m = any (addresses) and (
        exists (select from luma.guest_links l where l.email = m) or exists (select from luma.guests g where g.email = m)
      )
    );
  delete from luma.forgotten f
  where f.told_at < now() - make_interval(days => (select greatest(s.webhook_days, 30) from luma.settings s));
  return (select count(*) from luma.erasures);
end
$$;
comment on function luma.forget_due() is
  'Forgets whom luma.erasures names. Answers how many are left, of whom Luma still has to be told something. Run by pg_cron with luma.clean_up().';

select luma.restrict_access();
