-- A host's edit that a call of ours has overwritten which died before its answer, when the webhook of that call is heard
-- before the host's: what Luma showed was known for ours by then, and the host's edit was in no conflict.

create or replace function luma.may_have_sent(event public.canonical_events, link luma.event_links, field text, value jsonb, columns jsonb)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from jsonb_array_elements((link).maybe_sent) sent
    where sent.value ?| array(select jsonb_object_keys(columns))
      and luma.is_same_here(jsonb_populate_record(event, sent.value), field, may_have_sent.value, columns)
  )
$$;
comment on function luma.may_have_sent(public.canonical_events, luma.event_links, text, jsonb, jsonb) is
  'True when an attempt of which nobody heard more may have told Luma this value of the field.';

create or replace function luma.was_known(
  event public.canonical_events, link luma.event_links, field text, value jsonb, columns jsonb
)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from jsonb_array_elements((link).former -> field) f
    where luma.is_same(field, f.value, luma.trace_of(field, was_known.value))
  )
  or luma.may_have_sent(event, link, field, was_known.value, columns)
  -- What is paid for is closed until it has its ticket.
  or field = 'visibility' and was_known.value = '"private"'
    and (coalesce((event).is_ticketed, false) or (event).category is not distinct from 'ticketed')
$$;

create or replace function luma.note_overwritten(event public.canonical_events, link luma.event_links, news jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  f record;
begin
  if link.unheard = '{}' then
    return;
  end if;
  for f in
    select t.field, t.columns, lost.value from luma.fields_told(news) t
    cross join lateral jsonb_array_elements(link.unheard -> t.field) lost
    -- What Luma shows is ours. Where a host said something else again, that is the host's last word.
    where (
        -- What was told longer ago than a webhook can be late has overwritten nothing that comes now.
        luma.may_be_late((link.ours ->> t.field)::timestamptz)
        or coalesce(luma.is_same(t.field, link.maybe_told -> t.field, t.value), false)
        or luma.may_have_sent(event, link, t.field, t.value, t.columns)
      )
      and not luma.differs_there(link, news, t.field, t.value) and not luma.is_same(t.field, lost.value, t.value)
  loop
    perform luma.note_conflict(
      'event', event.id, event.id, f.field,
      (select coalesce(jsonb_object_agg(s.key, s.value), '{}') from jsonb_each(luma.event_state(event)) s where f.columns ? s.key),
      f.value, 'app'
    );
  end loop;
  update luma.event_links l set unheard = l.unheard - array(select t.field from luma.fields_told(news) t)
  where l.event_id = event.id;
end
$$;

select luma.restrict_access();
