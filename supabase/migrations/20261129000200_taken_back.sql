-- The app's edit of an event stays against a host's, and before it is sent the app goes back to what both had agreed on
-- before: that looked as if nothing had changed, and Luma went on saying what the host had.

create or replace function luma.merge_event(event public.canonical_events, link luma.event_links, news jsonb, source text)
returns text language plpgsql set search_path = '' as $$
declare
  luma_leads boolean := event.source_type is not distinct from 'luma';
  state jsonb := luma.event_state(event);
  is_hidden boolean := not (state ->> 'shown')::boolean;
  changes jsonb := '{}';
  base jsonb := coalesce(link.luma_base, '{}');
  agreed text[] := '{}';
  f record;
  mine jsonb;
  changed_here boolean;
  app_won boolean := false;
begin
  for f in select t.* from luma.fields_told(news) t where luma.differs_there(link, news, t.field, t.value) loop
    -- What the row says of the field.
    select coalesce(jsonb_object_agg(s.key, s.value), '{}') into mine from jsonb_each(state) s where f.columns ? s.key;
    changed_here := exists (select from jsonb_each(mine) m where m.value is distinct from link.row_base -> m.key);
    if not luma_leads and link.is_adopting and link.row_base is not null and not base ? f.field then
      -- What the row says goes to Luma, what it leaves open comes from there. Who finds the event was never asked here.
      if luma.is_same_here(event, f.field, f.value, f.columns) then
        agreed := agreed || array(select jsonb_object_keys(mine));
      elsif luma.is_unset(mine) or f.field = 'visibility' then
        changes := changes || f.columns;
        agreed := agreed || array(select jsonb_object_keys(mine));
      else
        if nullif(f.value #>> '{}', '') is not null then
          perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
        end if;
        app_won := true;
      end if;
    elsif not luma_leads and (link.row_base is null or not base ? f.field and not luma.was_empty(base, f.field, f.value)) then
      -- Heard for the first time of an event of ours: nothing says that it was changed there.
      null;
    elsif f.field = 'visibility' and is_hidden then
      -- The app hides it and Luma does not, any more.
      if f.value = '"private"' or coalesce(link.row_base ->> 'shown' = 'true', false) then
        null;
      elsif luma_leads then
        changes := changes || f.columns || '{"submission_status": "approved"}';
        agreed := agreed || '{shown,visibility}'::text[];
      else
        perform luma.note_conflict('event', event.id, event.id, f.field, to_jsonb(event.submission_status), f.value, 'app');
        link.row_base := link.row_base - 'shown';
        app_won := true;
      end if;
    elsif changed_here and luma.is_same_here(event, f.field, f.value, f.columns) then
      -- The same on both sides, perhaps in Luma's form: what the row says stays.
      agreed := agreed || array(select jsonb_object_keys(mine));
    elsif changed_here and not luma_leads then
      perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');
      -- From here on Luma differs from what both had agreed on: should the app go back to that, it has to be sent.
      link.row_base := link.row_base || f.columns;
      app_won := true;
    else
      if changed_here and link.row_base is not null then
        perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'luma');
      end if;
      changes := changes || f.columns;
      agreed := agreed || array(select jsonb_object_keys(mine));
    end if;
  end loop;

  -- Everything told is what Luma was seen to hold.
  select base || coalesce(jsonb_object_agg(t.field, t.value), '{}') into base
  from luma.fields_told(news) t
  where not luma.is_early(link, t.field, t.value);
  changes := changes || luma.location_type_of(event, changes);
  changes := changes || luma.details_told(event, link, news);
  agreed := agreed || array(select jsonb_object_keys(changes));
  if jsonb_populate_record(event, changes) is distinct from event then
    event := luma.write_event(event, changes);
  else
    changes := '{}';
  end if;
  select l.row_base || coalesce(jsonb_object_agg(s.key, s.value) filter (where s.key is not null), '{}') into link.row_base
  from (select coalesce(link.row_base, case when luma_leads then '{}'::jsonb end) as row_base) l
  left join jsonb_each(luma.event_state(event)) s on s.key = any (agreed)
  group by l.row_base;
  update luma.event_links l
  set luma_base = base, row_base = link.row_base, url = coalesce(news ->> 'url', l.url),
      unseen = array(
        select u from unnest(link.unseen) u
        where u not in (select t.field from luma.fields_told(news) t where not luma.is_early(link, t.field, t.value))
      ),
      maybe_told = nullif(l.maybe_told - array(select t.field from luma.fields_told(news) t), '{}'),
      heard_at = case when source = 'webhook' then clock_timestamp() else l.heard_at end, tags_heard = l.tags_heard or news ? 'tags',
      look = l.look and source <> 'read', look_tags = l.look_tags and not news ? 'tags',
      -- What is read for the first time no webhook had to tell, and of tags Luma sends none.
      pulled_at = case when source <> 'webhook' and changes <> '{}' and exists (
        select from luma.fields_told(news) t
        where t.field <> 'culture' and link.luma_base ? t.field and luma.differs_there(link, news, t.field, t.value)
      ) then clock_timestamp() else l.pulled_at end,
      synced_at = now()
  where l.event_id = event.id;
  if app_won then
    -- Also when nothing was waiting: Luma has to follow.
    perform luma.enqueue('event', event.id, case when link.is_adopting then 4 else 3 end, event.id);
  end if;
  return case when changes = '{}' then 'unchanged' else 'updated' end;
end
$$;

select luma.restrict_access();
