/** Guests: each once, in few calls, with no mail that nobody expects. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const PUSH_GUESTS = "supabase/functions/_shared/sync/push_guests.ts";

export const GUESTS: Mutation[] = [
  {
    name: "guest-once-a-call",
    guard: "two RSVPs with one address are one guest of a call",
    in: "luma.find_companions",
    from: "and not need.busy and need.email <> all (taken)",
    to: "and not need.busy",
    test: onStack(
      "rsvp_rows",
      "two users with one address are one guest, who stays as long as one of them comes, in all orders",
    ),
    failsWith: /AssertionError|luma-drain answered 503: luma_claim/,
  },
  {
    name: "guest-busy",
    guard: "a guest is in one call at a time",
    in: "luma.guest_need",
    from: "where o.lease = guest.lease and o.entity_id <> guest_need.rsvp_id",
    to: "where false",
    test: onStack(
      "rsvp_rows",
      "of two users with one address, one may come and the other leave during the call that adds them",
    ),
  },
  {
    name: "guest-shared-address",
    guard: "a guest stays as long as one of the users with the address comes",
    in: "luma.guest_need",
    from: "order by luma.status_rank(w.status) desc limit 1;",
    to: "limit 1;",
    test: onStack(
      "rsvp_rows",
      "two users with one address are one guest, who stays as long as one of them comes, in all orders",
    ),
  },
  {
    name: "guest-batches",
    guard: "a call adds at most the 100 guests that Luma takes",
    in: "luma.batch_size",
    from: "when 'add' then 100",
    to: "when 'add' then 1000",
    test: onStack("rsvp_burst", "1,000 RSVPs in one statement are ten calls"),
  },
  {
    name: "guest-looked-at-first",
    guard: "whose call may have arrived is looked up before the next one",
    in: PUSH_GUESTS,
    from: "await this.#look(guests.filter((guest) => guest.in_doubt));",
    to: "await this.#look([]);",
    test: ofFunctions(
      "sync/push_guests_doubt",
      "a guest in doubt who is there as wanted needs no more than a look",
    ),
  },
  {
    name: "guest-doubt",
    guard: "after a crash it is known whose call may have arrived",
    in: "luma.doubt",
    from: "set in_doubt = true, row_base = null, lease = null",
    to: "set lease = null",
    test: onStack(
      "rsvp_crashes",
      "guests that could not be settled are looked at, not added again",
    ),
  },
  {
    name: "guest-doubt-on-failure",
    guard: "after a lost answer it is known whose call may have arrived",
    in: "luma.settle_guest",
    from: "if coalesce((result ->> 'maybe_applied')::boolean, true) then",
    to: "if false then",
    test: onStack(
      "rsvp_faults",
      "while the look itself fails nobody is added again",
    ),
  },
  {
    name: "guest-refused-alone",
    guard: "a guest whom Luma refuses keeps nobody else out",
    in: PUSH_GUESTS,
    from: "isRefused = guests.length > 1 && isGuestsFault(error);",
    to: "isRefused = guests.length > 1e9 && isGuestsFault(error);",
    test: ofFunctions(
      "sync/push_guests_add",
      "of a hundred guests one that Luma refuses fails alone, found in a few calls",
    ),
  },
  {
    name: "guest-killer-alone",
    guard: "an RSVP that kills drains takes no other with it",
    in: "luma.find_companions",
    from: "and d.crashes < 2 and lead.crashes < 2",
    to: "",
    test: onStack(
      "rsvp_crashes",
      "what was leased when drains died twice goes alone, and one at a time over all events",
    ),
  },
  {
    name: "guest-waits-for-event",
    guard: "an RSVP waits until its event is shown on Luma, again too",
    in: "luma.takes_guests",
    from: "and (l.row_base ->> 'shown')::boolean",
    to: "",
    test: onStack(
      "rsvp_order",
      "guests are told of an event that is approved again once it is shown again",
    ),
  },
  {
    name: "guest-of-cancelled-event",
    guard: "nobody is told of RSVPs to an event that is cancelled",
    in: "luma.takes_guests",
    from: "and e.submission_status = 'approved'",
    to: "",
    test: onStack(
      "rsvp_order",
      "RSVPs of a cancelled event stay here, and follow when it is approved again",
    ),
  },
  {
    name: "guest-event-over",
    guard: "an event that is over takes no guests",
    in: "luma.takes_guests",
    from: "and not luma.is_over(e)",
    to: "",
    test: onStack(
      "rsvp_order",
      "an event that is over takes no guests until it is moved into the future",
    ),
  },
  {
    name: "guest-no-late-mail",
    guard: "nobody is mailed about a backfill",
    in: "luma.guests_job",
    from: "'send_email', settings.send_email and o.priority < 4,",
    to: "'send_email', settings.send_email,",
    test: onStack(
      "backfill",
      "RSVPs of backfilled events follow without a mail; who has come since going live is mailed",
    ),
  },
  {
    name: "guest-send-email-off",
    guard: "send_email = false mails nobody",
    in: "luma.guests_job",
    from: "'send_email', settings.send_email and o.priority < 4,",
    to: "'send_email', o.priority < 4,",
    test: onStack("rsvp_modes", "send_email = false mails nobody"),
  },
  {
    name: "guest-status-words",
    guard: "who waits for the host's approval is not let in",
    in: "luma.guest_status",
    from: "when rsvp_status in ('going', 'approved') then 'approved'",
    to:
      "when rsvp_status in ('going', 'approved', 'interested', 'pending') then 'approved'",
    test: onStack(
      "rsvp_push",
      "RSVPs go to Luma in one call for each status, with names",
    ),
  },
  {
    name: "guest-unknown-status",
    guard: "a status that nobody knows lets nobody in",
    in: "luma.guest_status",
    from: "else 'declined'",
    to: "else 'approved'",
    test: onStack("rsvp_rows", "no status means not coming"),
  },
  {
    name: "guest-address-form",
    guard: "an address is one guest, however it is written",
    in: "luma.usable_email",
    from: "lower(btrim(email, E' \\t\\r\\n\\f\\u00a0'))",
    to: "email",
    test: onStack(
      "rsvp_rows",
      "an address with spaces and capitals is one guest, in lower case",
    ),
    failsWith: /AssertionError|PostgresError: Add your email/,
  },
  {
    name: "guest-address-shape",
    guard: "an address that is none is never sent",
    in: "luma.usable_email",
    from: "and trimmed !~ '(^\\.|\\.\\.|\\.@)'",
    to: "",
    test: onStack("email_rule", "addresses are checked for their shape"),
  },
  {
    name: "companion-version",
    guard: "a change between verdict and lease is not called sent",
    in: "luma.lease_companions",
    from: "and s.entity_id = c.rsvp_id and s.version = c.version",
    to: "and s.entity_id = c.rsvp_id",
    test: onStack(
      "rsvp_crashes",
      "a companion that has changed since the verdict on it is not sent with the others",
    ),
  },
];
