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

-- Rather fail, and be repeated, than wait with the app's writes queueing behind. Less than deadlock_timeout, so that it is
-- never a write of somebody else that fails; and in the order in which these tables are written.
set lock_timeout = '800ms';
do $$
declare
  kept record;
begin
  for kept in
    select * from (values
      (1, 'webhook_inbox', 'error'), (2, 'pull_runs', 'problems'), (3, 'sync_outbox', 'last_error'), (4, 'bell', 'problem'),
      (5, 'attempts', 'error'), (6, 'calendar_state', 'problem'), (7, 'missed_changes', 'error'), (8, 'covers', 'error'),
      (9, 'alert_outbox', 'problem')
    ) k (place, in_table, in_column) order by place
  loop
    execute format(
      'create or replace trigger redact_error before insert or update of %2$I on luma.%1$I
       for each row when (new.%2$I is not null) execute function luma.redact_column(%2$L)',
      kept.in_table, kept.in_column
    );
  end loop;
end
$$;
reset lock_timeout;

comment on column luma.attempts.calls is
  'Calls to Luma, in order: [{"route", "at", "ms", "status"}]; in dry_run the calls that would be made, with their bodies, in which guests are shortened (redact.ts).';

select luma.restrict_access();
