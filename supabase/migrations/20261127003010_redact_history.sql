-- What was kept before errors were redacted. Apart from the triggers, whose locks must not be held for so long, and the
-- outbox last, because the app's writes may want its rows.

-- A dry run shows what would be sent; it used to show guests as they are.
update luma.attempts a
set calls = (
  select jsonb_agg(case when c ->> 'route' like '%/guests/%' then c - 'body' else c end order by n)
  from jsonb_array_elements(a.calls) with ordinality x (c, n)
)
where a.outcome = 'dry_run' and a.entity = 'rsvp' and exists (
  select from jsonb_array_elements(a.calls) c
  where c #>> '{body,guests,0,email}' !~ '^.…@' or c #>> '{body,guest_id}' ~ '^[^…]+@'
);

-- The triggers do the rest. Nearly all errors have nothing to take out.
update luma.attempts a set error = a.error where a.error <> luma.redacted(a.error);
update luma.webhook_inbox w set error = w.error where w.error <> luma.redacted(w.error);
update luma.pull_runs r set problems = r.problems
where r.ended_at is not null and r.problems::text <> luma.redacted(r.problems::text);
update luma.calendar_state s set problem = s.problem where s.problem <> luma.redacted(s.problem);
update luma.missed_changes m set error = m.error where m.error <> luma.redacted(m.error);
update luma.covers c set error = c.error where c.error <> luma.redacted(c.error);
update luma.sync_outbox o set last_error = o.last_error
where (o.entity, o.entity_id) in (
  select s.entity, s.entity_id from luma.sync_outbox s
  where s.last_error <> luma.redacted(s.last_error) for update skip locked
);
