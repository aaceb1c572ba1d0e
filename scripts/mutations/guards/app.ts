/** The app comes first: its writes go through, at once, whatever is wrong here. */
import { type Mutation, onStack } from "../mutation.ts";

export const APP: Mutation[] = [
  {
    name: "trigger-never-fails",
    guard: "an event is written though our trigger fails",
    in: "luma.enqueue_seen",
    from: "exception when others then",
    to: "exception when division_by_zero then",
    test: onStack(
      "app_first",
      "a failure inside a trigger is recorded, and swept up later",
    ),
    failsWith: /AssertionError|PostgresError/,
  },
  {
    name: "missed-is-recorded",
    guard: "what a failing trigger missed is swept up",
    in: "luma.sweep",
    from: "select luma.diverged_events()\n",
    to: "select luma.diverged_events() where false\n",
    test: onStack(
      "app_first",
      "even without a place to record it, a failing trigger loses no change",
    ),
  },
  {
    name: "kick-never-fails",
    guard: "the app's commit goes on though nobody can be rung for",
    in: "luma.kick_at_commit",
    from: "exception when others then",
    to: "exception when division_by_zero then",
    test: onStack(
      "app_first",
      "the app's write commits while pg_net is broken",
    ),
    failsWith: /AssertionError|PostgresError/,
  },
  {
    name: "empty-vault",
    guard: "an empty Vault is a problem to show, not an error of the app's",
    in: "luma.ring",
    from: "if missing <> '' then",
    to: "if false then",
    test: onStack(
      "app_first",
      "the app's write commits with an empty Vault, and health names what is missing",
    ),
  },
  {
    name: "one-ring",
    guard: "a burst of writes is one ring",
    in: "luma.drain_expected",
    from:
      "or exists (select from luma.bell b where b.rung_at > clock_timestamp() - interval '5 seconds')",
    to: "",
    test: onStack("app_first", "a burst of writes makes one post"),
  },
  {
    name: "ring-not-while-running",
    guard: "while a run is active nobody rings",
    in: "luma.drain_expected",
    from: "r.alive_until > clock_timestamp()",
    to: "false",
    test: onStack(
      "app_first",
      "while a run is active nobody rings, and the run does not end before it saw every commit",
    ),
  },
  {
    name: "last-look",
    guard: "a run does not end while a writer that saw it running commits",
    in: "public.luma_drain_end",
    from: "alone boolean := luma.try_lock_bell(exclusive => true);",
    to: "alone boolean := true;",
    test: onStack(
      "app_first",
      "while a run is active nobody rings, and the run does not end before it saw every commit",
    ),
  },
  {
    name: "echo-of-events",
    guard: "what Luma told is not sent back to it",
    in: "luma.enqueue_event",
    from: "if current_setting('luma.applying', true) = 'on' then",
    to: "if false then",
    test: onStack(
      "luma_events",
      "what Luma tells of an event is written without a word to the outbox",
    ),
  },
  {
    name: "echo-of-rsvps",
    guard: "what Luma told of a guest is not sent back to it",
    in: "luma.enqueue_rsvp",
    from: "if current_setting('luma.applying', true) = 'on' then",
    to: "if false then",
    test: onStack(
      "luma_guests",
      "what Luma tells of guests is written without a word to the outbox",
    ),
  },
  {
    name: "email-rule",
    guard: "nobody RSVPs without an e-mail address",
    in: "luma.check_email",
    from: "if luma.email_missing(new) then",
    to: "if false then",
    test: onStack(
      "email_rule",
      "an RSVP without an e-mail address is refused with the plan's words and a code of its own",
    ),
  },
  {
    name: "email-rule-broken",
    guard: "a broken e-mail rule refuses nobody",
    in: "luma.email_missing",
    from: "exception when others then",
    to: "exception when division_by_zero then",
    test: onStack("email_rule", "a broken rule lets the app's write through"),
    failsWith: /AssertionError|PostgresError/,
  },
  {
    name: "email-rule-host",
    guard: "the app's own row of the host passes",
    in: "luma.email_missing",
    from: "and (rsvp).rsvp_type is distinct from 'host'",
    to: "",
    test: onStack(
      "email_rule",
      "the host's own row passes, and goes to Luma once there is an address",
    ),
    failsWith: /AssertionError|PostgresError/,
  },
  {
    name: "counts-kept",
    guard: "the app's count stays what the app has written",
    in: "luma.show_synced",
    from: "set current_rsvp_count = count_before - external",
    to: "set current_rsvp_count = e.current_rsvp_count",
    test: onStack(
      "rsvp_push",
      "what the sync writes to an RSVP leaves the app's own columns alone",
    ),
  },
  {
    name: "settle-waits-for-nobody",
    guard: "settling waits for no transaction of the app's",
    in: "luma.show_synced",
    from: "where e.id = shown_event_id for no key update skip locked;",
    to: "where e.id = shown_event_id for no key update;",
    test: onStack(
      "rsvp_modes",
      "luma_synced_at that could not be written while the app held the event is written by the sweep",
    ),
  },
];
