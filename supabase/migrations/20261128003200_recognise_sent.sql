-- What a run has told Luma before it died, of a row that was edited since: seen there, it is our own earlier word and no
-- host's. Before, it was taken for a host's edit, and where Luma leads it won: the app's last word was overwritten by one of
-- its own that came before.
-- And of two values that dead runs had sent, a late webhook that tells the first ends no doubt about the second.

create or replace function luma.recognise(link luma.event_links, news jsonb)
returns luma.event_links language plpgsql stable set search_path = '' as $$
declare
  f record;
begin
  for f in
    select t.field, t.columns from luma.fields_told(news) t
    where link.maybe_told ? t.field and luma.is_same(t.field, link.maybe_told -> t.field, t.value)
  loop
    link.luma_base := link.luma_base || jsonb_build_object(f.field, link.maybe_told -> f.field);
    link.unseen := link.unseen || f.field;
    link.row_base := link.row_base || (
      select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(link.maybe_state) s where f.columns ? s.key
    );
  end loop;
  for f in
    select distinct on (t.field) t.field, t.value, (
      select jsonb_object_agg(s.key, s.value) from jsonb_each(sent.value) s where t.columns ? s.key
    ) as columns, not exists (
      select from jsonb_array_elements(link.maybe_sent) with ordinality n (value, age)
      where n.age < sent.age and n.value ?& array(select jsonb_object_keys(t.columns))
    ) as is_last
    from public.canonical_events e
    cross join luma.fields_told(news) t
    cross join jsonb_array_elements(link.maybe_sent) with ordinality sent (value, age)
    -- Only what is in doubt: what both sides have agreed on since, a host may set back.
    where e.id = link.event_id and link.luma_base ? t.field
      and not link.row_base ?| array(select jsonb_object_keys(t.columns))
      and sent.value ?& array(select jsonb_object_keys(t.columns))
      and luma.is_same_here(jsonb_populate_record(e, sent.value), t.field, t.value, t.columns)
    order by t.field, sent.age
  loop
    link.luma_base := link.luma_base || jsonb_build_object(f.field, f.value);
    -- What was sent after it may be there by now, or come yet: that stays in doubt.
    if f.is_last then
      link.row_base := link.row_base || f.columns;
    end if;
  end loop;
  return link;
end
$$;
comment on function luma.recognise(luma.event_links, jsonb) is
  'The link as it would be if an update call of which nobody heard more had been answered, as far as the news shows that it had its effect.';

select luma.restrict_access();
