-- What may have been sent by an attempt that did not end well is remembered, of events and of guests: told by Luma, it is
-- ours.

-- Rather fail, and be repeated, than wait for a long transaction with the app's writes queueing behind.
set lock_timeout = '3s';

alter table luma.guests add column if not exists maybe_sent text[] not null default '{}';
comment on column luma.guests.maybe_sent is 'Statuses that calls may have told since the guest is in doubt.';

create or replace function luma.doubt(o luma.sync_outbox)
returns void language sql set search_path = '' as $$
  -- What was being sent may have arrived. If the row goes back to what was agreed on before, that has to count
  -- as a change, so it leaves the base; visibility with it if the push may have closed the event for a while.
  update luma.event_links l
  set row_base = l.row_base - c.fields - case
        when c.fields && '{shown,is_ticketed,category,ticket_price,ticket_currency}' then '{visibility}'::text[] else '{}' end,
      maybe_sent = jsonb_path_query_array(
        (select jsonb_agg(jsonb_object_agg) from (
          select jsonb_object_agg(s.key, s.value) from jsonb_each((o).lease_state) s where s.key = any (c.fields)
        ) sent) || l.maybe_sent, '$[0 to 4]'
      )
  from (
    select luma.changed_fields((o).lease_state, k.row_base) as fields from luma.event_links k where k.event_id = (o).entity_id
  ) c
  where (o).entity = 'event' and l.event_id = (o).entity_id and l.row_base is not null and (o).lease_state is not null;
  update luma.guests g
  set in_doubt = true, row_base = null, lease = null,
      maybe_sent = array_append(case when g.in_doubt then g.maybe_sent else '{}' end, (o).lease_state ->> 'wanted')
  where (o).entity = 'rsvp' and g.lease = (o).lease;
$$;

reset lock_timeout;

select luma.restrict_access();
