-- What is kept of errors names no person and shows no secret. Luma quotes what it refuses, and the app's own triggers may
-- raise whatever they like, so a text is cleaned where it is written, whoever writes it.

create or replace function luma.redacted(message text)
returns text language sql immutable set search_path = '' as $$
  select regexp_replace(
    regexp_replace(
      regexp_replace(
        regexp_replace(
          message,
          '\y(sb_secret_|sb_publishable_|sbp_|whsec_|secret-)[\w-]{8,}', '\1…', 'g'
        ),
        -- zara@example.com becomes z…@example.com.
        '([^\s@<>"''`(),;:=\[\]{}\\|/?&])[^\s@<>"''`(),;:=\[\]{}\\|/?&]*(@|%40)([^\s@<>"''`(),;:=\[\]{}\\|/?&]+\.[^\s@<>"''`(),;:=\[\]{}\\|/?&]+)',
        '\1…\2\3', 'g'
      ),
      -- +91 98765 43210 becomes +…10. Without a + only ten digits by themselves, because ids have more.
      '(?<!\d)\+\d[\d\s().-]{5,}(\d\d)', '+…\1', 'g'
    ),
    '(?<![\w.-])\d{5}[ -]?\d{3}(\d\d)(?![\w-]|\.\d)', '…\1', 'g'
  )
$$;
comment on function luma.redacted(text) is
  'A text without e-mail addresses, phone numbers and secrets; what is left tells whose they may be to somebody who knows them. The same rules as in redact.ts.';

create or replace function luma.redact_column()
returns trigger language plpgsql set search_path = '' as $$
declare
  was jsonb := to_jsonb(new) -> tg_argv[0];
  cleaned jsonb := case jsonb_typeof(was)
    when 'array' then (select coalesce(jsonb_agg(luma.redacted(line)), '[]') from jsonb_array_elements_text(was) line)
    else to_jsonb(luma.redacted(was #>> '{}'))
  end;
begin
  if cleaned = was then
    return new;
  end if;
  return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], cleaned));
end
$$;
comment on function luma.redact_column() is 'Trigger: luma.redacted() for the column that is its argument, a text or an array of texts.';

do $$
declare
  kept record;
begin
  for kept in
    select * from (values
      ('attempts', 'error'), ('sync_outbox', 'last_error'), ('missed_changes', 'error'), ('webhook_inbox', 'error'),
      ('pull_runs', 'problems'), ('calendar_state', 'problem'), ('bell', 'problem'), ('covers', 'error')
    ) k (in_table, in_column)
  loop
    execute format(
      'create or replace trigger redact_error before insert or update of %2$I on luma.%1$I
       for each row when (new.%2$I is not null) execute function luma.redact_column(%2$L)',
      kept.in_table, kept.in_column
    );
    -- What was written before.
    execute format('update luma.%1$I set %2$I = %2$I where %2$I is not null and %2$I::text ~ ''@|%%40|\+\d|\d{5}[ -]?\d{5}''', kept.in_table, kept.in_column);
  end loop;
end
$$;

-- A dry run shows what would be sent; it used to show guests as they are.
update luma.attempts a
set calls = (select jsonb_agg(case when c ->> 'route' like '%/guests/%' then c - 'body' else c end order by n) from jsonb_array_elements(a.calls) with ordinality x (c, n))
where a.outcome = 'dry_run' and a.entity = 'rsvp' and exists (
  select from jsonb_array_elements(a.calls) c where c #>> '{body,guests,0,email}' !~ '^.…@' or c #>> '{body,guest_id}' ~ '^[^…]+@'
);
comment on column luma.attempts.calls is
  'Calls to Luma, in order: [{"route", "at", "ms", "status"}]; in dry_run the calls that would be made, with their bodies, in which guests are shortened (redact.ts).';

select luma.restrict_access();
