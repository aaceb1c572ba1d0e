/** The outbox: who works on what, once, and not for ever. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const STALE_LEASE = onStack("concurrency", "a stale lease can settle nothing");
const RATE_LIMITED = onStack(
  "faults",
  "a 429 pauses the calendar for Retry-After and counts no attempt",
);
const EDIT_DURING_CALL = onStack(
  "push",
  "an edit during the call is not lost",
);

export const QUEUE: Mutation[] = [
  {
    name: "claim-skip-locked",
    guard: "a claim waits for no row that the app is writing",
    in: "luma.pick_job",
    from: "for update skip locked",
    to: "for update",
    test: onStack(
      "rsvp_app_first",
      "a claim passes over the RSVPs that the app is writing",
    ),
  },
  {
    name: "claim-lease-hides",
    guard: "what is leased is due to nobody else until the lease is over",
    in: "luma.pick_job",
    from:
      "due_at = clock_timestamp() + make_interval(secs => (select t.lease_seconds from luma.settings t))",
    to: "due_at = s.due_at",
    test: onStack("concurrency", "a leased job is claimed by nobody else"),
  },
  {
    name: "claim-order",
    guard: "cancellations and RSVPs go before edits and backfills",
    in: "luma.pick_job",
    from: ") else '{1,2,3,4}' end;",
    to: ") else '{4,3,2,1}' end;",
    test: onStack("concurrency", "urgent work is claimed first"),
  },
  {
    name: "lease-expiry",
    guard: "what a dead drain held comes back",
    in: "luma.expire_leases",
    from: "and s.due_at <= now()",
    to: "and false",
    test: onStack(
      "faults",
      "a drain killed after the create reached Luma leaves one event",
    ),
  },
  {
    name: "lease-crashes-bounded",
    guard: "a job that kills every drain is given up",
    in: "luma.expire_leases",
    from: "if o.crashes + 1 >= most_crashes then",
    to: "if false then",
    test: onStack(
      "faults",
      "a job that kills its drains is dead after five of them",
    ),
  },
  {
    name: "fence-acknowledge",
    guard: "who has lost the lease is told so when the job is done",
    in: "public.luma_acknowledge",
    from: "  if o.lease is null then\n    return false;",
    to: "  if o.lease is null then\n    return true;",
    test: STALE_LEASE,
  },
  {
    name: "fence-fail",
    guard: "who has lost the lease is told so when the job has failed",
    in: "public.luma_fail",
    from: "  if o.lease is null then\n    return null;",
    to: "  if o.lease is null then\n    return 'retry';",
    test: STALE_LEASE,
  },
  {
    name: "fence-release",
    guard: "who has lost the lease cannot give its job back",
    in: "public.luma_release",
    from: "where s.lease = any (leases) for update",
    to: "where s.lease is not null for update",
    test: STALE_LEASE,
  },
  {
    name: "fence",
    guard: "each claim is a lease of its own, so that an older one is known",
    in: "luma.pick_job",
    from: "set lease = gen_random_uuid(), leased_by = run_id",
    to: "set lease = s.entity_id, leased_by = run_id",
    test: STALE_LEASE,
  },
  {
    name: "fence-guests",
    guard: "who has lost the lease settles no guest",
    in: "luma.pick_job",
    from: "set lease = gen_random_uuid(), leased_by = run_id",
    to: "set lease = s.entity_id, leased_by = run_id",
    test: onStack("rsvp_crashes", "a stale lease settles no guest"),
  },
  {
    name: "fence-our-clock",
    guard: "no call is begun under a lease that may end during it",
    in: "supabase/functions/_shared/sync/leases.ts",
    from: "if (!enough()) throw new LeaseLost();",
    to: "",
    test: ofFunctions(
      "sync/leases",
      "a lease that the database gave to somebody else is lost, and stays lost",
    ),
  },
  {
    name: "lease-from-the-question",
    guard: "a lease runs from when it was asked for, not from the answer",
    in: "supabase/functions/_shared/sync/leases.ts",
    from: "this.#heldUntil.set(lease, askedAt + this.#deps.leaseMs);",
    to: "this.#heldUntil.set(lease, this.#deps.now() + this.#deps.leaseMs);",
    test: ofFunctions(
      "sync/leases",
      "a lease runs from when it was asked for, not from the answer",
    ),
  },
  {
    name: "done-version",
    guard: "only the version that was sent counts as done",
    in: "luma.finish",
    from: "then s.done_version else o.lease_version end",
    to: "then s.done_version else s.version end",
    test: EDIT_DURING_CALL,
  },
  {
    name: "enqueue-version",
    guard: "a change of a waiting or leased row is a version of its own",
    in: "luma.enqueue_all",
    from: "version = o.version + 1,",
    to: "version = o.version,",
    test: EDIT_DURING_CALL,
  },
  {
    name: "one-in-flight",
    guard: "a change during a call does not hand its job to a second drain",
    in: "luma.enqueue_all",
    from: "when o.lease is not null or o.attempts > 0 then o.due_at",
    to: "when o.attempts > 0 then o.due_at",
    test: onStack(
      "concurrency",
      "a change during a call does not give its job to a second drain",
    ),
  },
  {
    name: "enqueue-keeps-delay",
    guard: "an edit does not end the delay of a job that is failing",
    in: "luma.enqueue_all",
    from: "when o.lease is not null or o.attempts > 0 then o.due_at",
    to: "when o.lease is not null then o.due_at",
    test: onStack(
      "push",
      "an edit does not end the delay of a job that is failing",
    ),
  },
  {
    name: "burst-spacing",
    guard:
      "an edit waits for those that follow it, so that a burst is one call",
    in: "luma.finish",
    from: "(select t.edit_spacing_ms from luma.settings t)",
    to: "0",
    test: onStack(
      "push",
      "an edit right after another waits for those that follow it",
    ),
  },
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
