-- An event whose slug somebody else has is created under another one, in the same attempt. From then on it may be there,
-- so it is written down, as before every first create call. Before, its webhook could come before the answer and find
-- nobody who had made it: our own event came back as a row of its own, and the app's row was given up.

create or replace function public.luma_slug_taken(lease uuid)
returns text language sql security definer set search_path = '' as $$
  update luma.event_links l
  set slug = 'e-' || replace(l.event_id::text, '-', ''), create_lease = o.lease, create_state = o.lease_state
  from luma.sync_outbox o
  where o.lease = luma_slug_taken.lease and l.event_id = o.entity_id and l.luma_event_id is null
  returning l.slug
$$;
comment on function public.luma_slug_taken(uuid) is
  'luma-drain: somebody else''s event has our slug; gives the link one made of the whole id, under which the event may be there from here on. Null when the lease is no longer held.';

select luma.restrict_access();
