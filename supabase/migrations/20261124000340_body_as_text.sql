-- Since the minor releases of November 2026 (15.20 and its sisters) Postgres refuses `add column … default …` to a table
-- whose row type is an argument of a function with a parsed body (`begin atomic`, `return`). The next file adds such
-- columns to luma.event_links.

create or replace function luma.allow_create(link luma.event_links, lease uuid, state jsonb)
returns void language sql set search_path = '' as $$
  -- From here on a create call may reach Luma at any moment, so it is written down before the call. What
  -- an earlier lease may have created with another state is no longer known: then the state is null.
  update luma.event_links l
  set create_lease = coalesce(l.create_lease, allow_create.lease),
      create_state = case when l.create_lease is null or l.create_state = state then state end
  where l.event_id = (link).event_id and l.luma_event_id is null;
$$;
