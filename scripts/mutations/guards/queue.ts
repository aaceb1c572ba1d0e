/** The outbox: who works on what, and once. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const STALE_LEASE = onStack("concurrency", "a stale lease can settle nothing");
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
    failsWith: /AssertionError|canceling statement due to statement timeout/,
  },
  {
    name: "claim-lease-hides",
    guard: "what is leased is due to nobody else until the lease is over",
    in: "luma.pick_job",
    from:
      "o.due_at := o.leased_at + make_interval(secs => (select t.lease_seconds from luma.settings t));",
    to: "",
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
    from: "o.lease := gen_random_uuid();",
    to: "o.lease := o.entity_id;",
    test: STALE_LEASE,
  },
  {
    name: "fence-guests",
    guard: "who has lost the lease settles no guest",
    in: "luma.pick_job",
    from: "o.lease := gen_random_uuid();",
    to: "o.lease := o.entity_id;",
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
    name: "claim-looks-at-all",
    guard: "what a long transaction enqueued is claimed when nothing later is",
    in: "public.luma_claim",
    from: "exit when not goes_on or cardinality(claimed) > 0;",
    to: "exit;",
    test: onStack(
      "concurrency",
      "what a long transaction enqueued is claimed though what is due later has been",
    ),
  },
  {
    name: "claim-looks-at-all-in-time",
    guard: "what a long transaction enqueued does not wait for a quiet moment",
    in: "luma.go_on",
    from: " and r.looked_at > clock_timestamp() - interval '1 second'",
    to: "",
    test: onStack(
      "concurrency",
      "what a long transaction enqueued waits for a second at most while more keeps coming",
    ),
  },
  {
    name: "lease-state",
    guard: "what is sent under a lease is written down before the call",
    in: "luma.claim_job",
    from: "o.lease_state := luma.state_to_send(job);",
    to: "",
    test: onStack(
      "concurrency",
      "an event that has nothing to send is never leased, and one that has is leased with it",
    ),
  },
  {
    name: "read-by-index",
    guard:
      "a connection that knew the outbox empty does not read all of it for each job",
    in: "luma.restrict_access",
    from: "if not f.settings @> '{enable_seqscan=off,jit=off}' then",
    to: "if false then",
    test: {
      file: "scripts/bench_test.ts",
      name:
        "a transaction that keeps its snapshot, and plans from when the outbox was empty, cost a claim only the versions of its own rows",
    },
  },
  {
    name: "route-goes-on",
    guard: "routing passes no dead row twice",
    in: "luma.route_jobs",
    from: "perform luma.raise_floor(",
    to: "perform concat(",
    test: {
      file: "scripts/bench_test.ts",
      name:
        "routing under a transaction that keeps its snapshot goes on from where it was",
    },
  },
];
