/** The pull: heals what was missed, and takes nothing for gone that is not. */
import { type Mutation, onStack } from "../mutation.ts";

export const PULL: Mutation[] = [
  {
    name: "vanished-when-whole",
    guard: "who is missing from a list is out only if all of it was read",
    in: "luma.finished_list",
    from: "if run.is_whole and not run.is_dry then",
    to: "if not run.is_dry then",
    test: onStack(
      "pull_bad_input",
      "a guest who cannot be read or written stops none of the others, and vanishes for nobody",
    ),
  },
  {
    name: "vanished-not-just-sent",
    guard: "who was added while the list was read is not missing",
    in: "luma.look_for_vanished",
    from: "and not luma.was_guest_sent_since(g, listed_from)",
    to: "",
    test: onStack(
      "pull_guests",
      "a guest who came while the list was read is not missed, and a pull during a push waits for it",
    ),
  },
  {
    name: "page-older-than-sent",
    guard: "a page that is older than what was sent since takes nothing back",
    in: "luma.apply_listed_event",
    from:
      "if greatest(link.told_at, link.heard_at) >= asked_at or luma.was_sent_since('event', link.event_id, asked_at) then",
    to: "if false then",
    test: onStack(
      "pull",
      "a page that is older than what we have sent since takes nothing back: the event is read again",
    ),
  },
  {
    name: "known-costs-nothing",
    guard: "what is known already costs no write",
    in: "luma.is_known",
    from: "select not coalesce((news ->> 'gone')::boolean, false)\n",
    to: "select false and not coalesce((news ->> 'gone')::boolean, false)\n",
    test: onStack("pull", "a pull of 2,000 unchanged events writes no row"),
  },
  {
    name: "endless-list",
    guard: "a list whose cursor never ends is left",
    in: "luma.took_page",
    from: "ids <@ run.seen or run.pages >= 2000",
    to: "run.pages >= 2000",
    test: onStack(
      "pull_bad_input",
      "a list whose cursor never ends is left when a page brings nothing new, and what it brought stays",
    ),
  },
  {
    name: "unread-entry-not-missing",
    guard: "an entry that cannot be read is not taken for missing",
    in: "luma.took_page",
    from:
      "-- Whatever it is: it may be what seems to be missing in the end.\n    run.is_whole := false;",
    to: "null;",
    test: onStack(
      "pull_bad_input",
      "a guest who cannot be read or written stops none of the others, and vanishes for nobody",
    ),
  },
  {
    name: "dry-run-writes-nothing",
    guard: "a comparison of both sides writes no row",
    in: "luma.rehearse_entry",
    from: "raise exception using errcode = 'LM002', message = 'rehearsed';",
    to: "null;",
    test: onStack(
      "drift",
      "a comparison tells what differs, which side is ahead and what would be done, and the repair does just that",
    ),
  },
  {
    name: "one-pull-a-calendar",
    guard: "two pulls of a calendar are one after the other",
    in: "luma.waiting_pulls",
    from: "and a.started_at is not null and a.ended_at is null",
    to: "and false",
    test: onStack(
      "pull",
      "two pulls of a calendar at once are one after the other; asking again while one waits asks for one",
    ),
    failsWith: /AssertionError|pull_runs_one_at_a_time/,
  },
  {
    name: "pull-fence",
    guard: "a pull that was taken over by another function ends",
    in: "public.luma_pull_step",
    from: "and r.lease = luma_pull_step.lease and r.ended_at is null",
    to: "and r.ended_at is null",
    test: onStack(
      "pull",
      "a pull that another function has taken over is over for the first one",
    ),
    failsWith: /AssertionError|PostgresError: null value in column "event_id"/,
  },
  {
    name: "pull-resumes",
    guard: "a killed pull goes on where it was",
    in: "public.luma_pull_begin",
    from: "set lease = gen_random_uuid(), alive_until",
    to:
      "set cursor = null, seen = '{}', lease = gen_random_uuid(), alive_until",
    test: onStack(
      "pull",
      "a pull that was killed in a call goes on with that call, and lists no page twice",
    ),
  },
  {
    name: "ended-row-not-adopted",
    guard: "a row that an admin has ended is not adopted",
    in: "luma.adoptable_row",
    from: "where e.submission_status not in ('cancelled', 'rejected', 'draft')",
    to: "where true",
    test: onStack(
      "adoption_cases",
      "a row that an admin has ended is not adopted, and one that is not approved changes nothing on Luma until it is",
    ),
  },
  {
    name: "pull-waits-for-no-claim",
    guard: "a step of a pull and a claim do not wait for each other",
    in: "public.luma_pull_step",
    from: "if not luma.try_lock_permits() then",
    to: "if false then",
    test: onStack(
      "pull",
      "a step of a pull, which may have rows locked, does not wait for a claim that is handing out permits",
    ),
    failsWith: /canceling statement due to lock timeout/,
  },
];
