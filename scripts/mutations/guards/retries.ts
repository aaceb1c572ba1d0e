/** What failed: how soon it is tried again, and when not. */
import { type Mutation, onStack } from "../mutation.ts";

const RATE_LIMITED = onStack(
  "faults",
  "a 429 pauses the calendar for Retry-After and counts no attempt",
);
export const RETRIES: Mutation[] = [
  {
    name: "retry-cap",
    guard: "retries are never further apart than the setting says",
    in: "luma.retry_delay",
    from:
      "least(s.retry_cap_seconds, s.retry_base_seconds * 2 ^ least(attempts, 30))",
    to: "(s.retry_base_seconds * 2 ^ least(attempts, 30))",
    test: onStack(
      "database",
      "retry delays double up to the cap, with full jitter",
    ),
  },
  {
    name: "retry-jitter",
    guard: "jobs that failed together do not come back together",
    in: "luma.retry_delay",
    from: "random()",
    to: "1",
    test: onStack(
      "database",
      "retry delays double up to the cap, with full jitter",
    ),
  },
  {
    name: "dead-letter",
    guard: "what Luma refuses for good is not tried for ever",
    in: "luma.sort_failure",
    from: "  else 'dead'\nend;",
    to: "  else 'retry'\nend;",
    test: onStack(
      "rows",
      "a refusal of Luma is a dead letter with Luma's words, and luma.retry sends it again",
    ),
  },
  {
    name: "own-errors-bounded",
    guard: "an error of our own code is no endless loop",
    in: "luma.sort_failure",
    from: "case when attempts >= 8 then 'dead' else 'retry' end",
    to: "'retry'",
    test: onStack(
      "database",
      "every failure has its sort, for good or for now",
    ),
  },
  {
    name: "rate-limited-pauses",
    guard: "a 429 is the calendar's trouble and no attempt of the job",
    in: "luma.sort_failure",
    from: "when status = 429 then 'rate_limited'",
    to: "when status = 429 then 'retry'",
    test: RATE_LIMITED,
  },
  {
    name: "retry-after",
    guard: "a calendar pauses for as long as Luma's Retry-After says",
    in: "luma.settle_failure",
    from: "coalesce((failure ->> 'retry_after')::double precision, 60)",
    to: "0",
    test: RATE_LIMITED,
  },
  {
    name: "key-stops-calendar",
    guard: "a refused key stops its calendar and keeps the jobs",
    in: "luma.sort_failure",
    from: "when status in (401, 403) then 'stopped'",
    to: "when status in (401, 403) then 'dead'",
    test: onStack(
      "faults",
      "a wrong key keeps the jobs, stops the calendar, and says what to do",
    ),
  },
  {
    name: "forbidden-event",
    guard: "a 403 of one event does not stop its calendar",
    in: "supabase/functions/_shared/sync/failure.ts",
    from: 'if (works) return { ...failure, kind: "refused" };',
    to: "",
    test: onStack(
      "faults",
      "a 403 for one event does not stop its calendar",
    ),
  },
  {
    name: "paused-calendar",
    guard: "a paused or stopped calendar is called for nothing",
    in: "luma.calendar_ready",
    from: "(s.stopped_at is not null or s.paused_until > now())",
    to: "false",
    test: onStack(
      "rows",
      "a paused calendar is called for nothing until it is resumed",
    ),
  },
  {
    name: "mode-off",
    guard: "in mode off nobody is rung for and nothing is sent",
    in: "luma.due_jobs",
    from: "(select luma.mode()) <> 'off'",
    to: "true",
    test: onStack(
      "push",
      "in mode off nothing is sent, and going live sends it",
    ),
  },
];
