-- Companions are looked at one after the other until there are enough, instead of four times as many at once: what a
-- guest needs is the costly question of a claim.

create or replace function luma.find_companions(lead luma.sync_outbox, kind text, wanted text, email text, most integer)
returns jsonb language plpgsql stable set search_path = '' as $$
declare
  due record;
  need record;
  taken text[] := array[find_companions.email];
  companions jsonb[] := '{}';
begin
  for due in
    select d.entity_id, d.version from luma.due_jobs d
    where d.entity = 'rsvp' and d.event_id = lead.event_id and d.calendar = lead.calendar and d.lease is null
      -- Nobody is mailed about a backfill.
      and (d.priority = 4) = (lead.priority = 4)
      -- What killed drains before goes alone, so that it takes no other with it again.
      and d.crashes < 2 and lead.crashes < 2
    -- A few more than wanted, because not all of them want the same: this runs while other drains wait.
    order by d.due_at limit 4 * (most + 1)
  loop
    exit when cardinality(companions) >= most;
    select * into need from luma.guest_need(due.entity_id);
    if need.event_id = lead.event_id and need.kind = find_companions.kind
      and (need.kind = 'change' or need.wanted = find_companions.wanted)
      and not need.busy and need.email <> all (taken)
    then
      taken := taken || need.email;
      companions := companions
        || (jsonb_build_object('rsvp_id', due.entity_id, 'version', due.version) || to_jsonb(need));
    end if;
  end loop;
  return to_jsonb(companions);
end
$$;

select luma.restrict_access();
