/** From Luma: what is signed, once, in whatever order it comes; and the rules of who wins. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const SIGNATURE = "supabase/functions/_shared/luma/signature.ts";
const RECEIVE = "supabase/functions/_shared/sync/receive.ts";
const FIVE_MINUTES = ofFunctions(
  "luma/signature",
  "five minutes off are accepted in both directions, and no second more",
);
const BOTH_EDITED = onStack(
  "luma_merge",
  "of fields that were edited on both sides ours keeps the app's and Luma's keeps Luma's, from one webhook",
);

export const RECEIVING: Mutation[] = [
  {
    name: "signature",
    guard: "what Luma has not signed is refused",
    in: SIGNATURE,
    from: "if (signature.v1.some((given) => sameSecret(given, expected))) {",
    to: "if (signature.v1.some((given) => given && expected)) {",
    test: ofFunctions(
      "luma/signature",
      "another secret's signature, one secret without whsec_, and no secret at all are refused",
    ),
  },
  {
    name: "signature-of-time",
    guard: "the time is signed too, so that no old delivery looks new",
    in: SIGNATURE,
    from: "const prefix = encoder.encode(`${time}.`);",
    to: "const prefix = encoder.encode(time && `.`);",
    test: ofFunctions(
      "luma/signature",
      "a body or a time that was changed is refused",
    ),
  },
  {
    name: "signature-past",
    guard: "an old delivery is not played again",
    in: SIGNATURE,
    from: "Math.abs(ageSeconds) > toleranceSeconds",
    to: "-ageSeconds > toleranceSeconds",
    test: FIVE_MINUTES,
  },
  {
    name: "signature-future",
    guard: "no signature is good for longer because it is dated ahead",
    in: SIGNATURE,
    from: "Math.abs(ageSeconds) > toleranceSeconds",
    to: "ageSeconds > toleranceSeconds",
    test: FIVE_MINUTES,
  },
  {
    name: "signature-several",
    guard: "of several signatures one that fits is enough",
    in: SIGNATURE,
    from: "signature.v1.some(",
    to: "signature.v1.every(",
    test: ofFunctions(
      "luma/signature",
      "of several v1, one that fits is enough, in any place and letter case, beside other schemes",
    ),
  },
  {
    name: "signature-one-time",
    guard: "a header with two times is refused",
    in: SIGNATURE,
    from: "time !== undefined && second === undefined &&",
    to: "time !== undefined &&",
    test: ofFunctions(
      "luma/signature",
      "a missing header and malformed ones are refused with what they should be",
    ),
  },
  {
    name: "webhook-size",
    guard: "a stranger's body without end is not read to its end",
    in: RECEIVE,
    from: "await readBounded(request.body, MAX_BODY_BYTES);",
    to: "await readBounded(request.body, MAX_BODY_BYTES * 1000);",
    test: ofFunctions(
      "sync/receive",
      "a body of 1 MB is taken, and one byte more is refused with 413",
    ),
  },
  {
    name: "webhook-id",
    guard:
      "a delivery without an id, which could not be told from its repeat, is refused",
    in: RECEIVE,
    from: "if (id && id.length <= 255) return id;",
    to: "if (id.length <= 255) return id;",
    test: ofFunctions(
      "sync/receive",
      "a missing or endless Webhook-Id is refused with 400",
    ),
  },
  {
    name: "webhook-stored-first",
    guard: "what was not stored is not acknowledged",
    in: RECEIVE,
    from: "return problem(message, 500);",
    to: "return problem(message, 200);",
    test: ofFunctions(
      "sync/receive",
      "when the database fails, the answer is 500 so that Luma delivers again, and the log has the reason",
    ),
  },
  {
    name: "webhook-storable",
    guard: "what Postgres cannot hold does not come again for ever",
    in: RECEIVE,
    from: "JSON.parse(text, (_key, value) => storable(value))",
    to: "JSON.parse(text)",
    test: ofFunctions(
      "sync/receive",
      "what Postgres cannot hold is taken out of texts, or one guest's name would come again for ever",
    ),
  },
  {
    name: "webhook-depth",
    guard: "what overflows a stack is refused, not taken for an outage",
    in: RECEIVE,
    from: "if (isDeeper(value, MAX_DEPTH)) {",
    to: "if (isDeeper(value, Infinity)) {",
    test: ofFunctions(
      "sync/receive",
      "a body of 100 levels is taken, one more is refused with 400, as are half a million",
    ),
    failsWith: /AssertionError|RangeError/,
  },
  {
    name: "inbox-once",
    guard: "a delivery that comes twice is applied once",
    in: "public.luma_receive_webhook",
    from: "if times > 1 then",
    to: "if false then",
    test: onStack(
      "webhook_inbox",
      "a delivery is stored once, repeats are counted, and strange types are kept",
    ),
  },
  {
    name: "inbox-mode",
    guard: "unless the mode is live, what is told waits",
    in: "public.luma_receive_webhook",
    from: "if luma.mode() <> 'live' then",
    to: "if false then",
    test: onStack(
      "luma_deliveries",
      "with the mode off deliveries are kept, and applied when it goes live",
    ),
  },
  {
    name: "inbox-keeps-failures",
    guard: "a delivery that cannot be applied is kept, with the reason",
    in: "luma.apply_delivery",
    from: "    when others then\n",
    to: "    when division_by_zero then\n",
    test: onStack(
      "luma_deliveries",
      "a delivery that cannot be applied stays with the reason, is tried again, given up, and replayed by luma.retry",
    ),
    failsWith: /AssertionError|0 rows, expected one/,
  },
  {
    name: "late-event",
    guard: "of two words about an event the older one does not stay",
    in: "luma.apply_event",
    from: "if source = 'webhook' and differing <> '{}' and (",
    to: "if false and (",
    test: onStack(
      "luma_event_order",
      "three edits of an event that both sides have known for days, told in every order",
    ),
  },
  {
    name: "late-guest",
    guard: "of two words about a guest the older one does not stay",
    in: "luma.apply_guest",
    from: "    if guest.luma_base is not null\n",
    to: "    if false and guest.luma_base is not null\n",
    test: onStack(
      "luma_guest_order",
      "all orders of a guest's deliveries, with repeats and with reads in between, end in what Luma holds (ORDER_SEED=1)",
    ),
  },
  {
    name: "cancelled-stays-cancelled",
    guard: "what is told late of a cancelled event does not bring it back",
    in: "luma.apply_event",
    from:
      "elsif exists (select from luma.removed_events r where r.luma_event_id = luma_id) then",
    to: "elsif false then",
    test: onStack(
      "luma_events",
      "of an event that is cancelled before its creation is told there is never an approved row",
    ),
  },
  {
    name: "other-calendars",
    guard: "another calendar's events do not become rows",
    in: "luma.apply_event",
    from:
      "where c.luma_key = apply_event.calendar and c.luma_calendar_id <> news ->> 'calendar_id'",
    to: "where false",
    test: onStack(
      "luma_events",
      "an event of another platform, of another calendar, a new member and an unknown type are stored and change nothing",
    ),
  },
  {
    name: "conflict-of-event",
    guard: "of the app's events the app's edit of a field stays",
    in: "luma.merge_event",
    from: "elsif changed_here and not luma_leads then",
    to: "elsif false then",
    test: BOTH_EDITED,
  },
  {
    name: "conflict-is-noted",
    guard: "the edit that does not stay is in luma.conflicts",
    in: "luma.merge_event",
    from:
      "perform luma.note_conflict('event', event.id, event.id, f.field, mine, f.value, 'app');\n      -- From here on",
    to: "-- From here on",
    test: BOTH_EDITED,
  },
  {
    name: "conflict-of-rsvp",
    guard: "of an RSVP's status the later change stays",
    in: "luma.merge_rsvps",
    from: "and written_at > (",
    to: "and false and written_at > (",
    test: onStack(
      "luma_guest_conflicts",
      "a guest of whom all was quiet and whom the app changed after Luma did is as the app says",
    ),
  },
  {
    name: "merge-by-field",
    guard: "edits of different fields both stay",
    in: "luma.merge_event",
    from: "where luma.differs_there(link, news, t.field, t.value) loop",
    to: "where true loop",
    test: onStack(
      "luma_merge",
      "the title edited there while the description is edited here: both survive",
    ),
  },
  {
    name: "taken-back-event",
    guard:
      "an edit that has stayed against a host's is sent, too, when it is taken back",
    in: "luma.merge_event",
    from: "link.row_base := link.row_base || f.columns;",
    to: "",
    test: onStack(
      "luma_late_edit",
      "an edit that stays against a host's, and is then taken back, is taken back on Luma too",
    ),
  },
  {
    name: "taken-back-rsvp",
    guard:
      "a status that has stayed against a host's is sent, too, when it is taken back",
    in: "luma.merge_rsvps",
    from: "    guest.row_base := told;\n    perform luma.enqueue",
    to: "    perform luma.enqueue",
    test: onStack(
      "luma_guest_conflicts",
      "a status that stays against a host's, and is then taken back, is taken back on Luma too",
    ),
  },
  {
    name: "words-of-the-dead",
    guard: "what a call of ours has overwritten that died is in luma.conflicts",
    in: "luma.note_overwritten",
    from:
      "        or luma.may_have_sent(event, link, t.field, t.value, t.columns)\n",
    to: "",
    test: onStack(
      "luma_late_edit",
      "what an update of a run that died has overwritten is in luma.conflicts, told after our own",
    ),
  },
  {
    name: "guests-of-the-dead",
    guard:
      "the status that a call of ours has overwritten that was never answered is in luma.conflicts",
    in: "luma.apply_guest",
    from: "    or guest.in_doubt and told = any (guest.maybe_sent);",
    to: ";",
    test: onStack(
      "luma_guest_conflicts",
      "a guest whose status a call that was never answered has overwritten is in luma.conflicts, told after our own, after quiet days",
    ),
  },
  {
    name: "doubt-until-known",
    guard:
      "what was told before a call that died does not end the doubt about it",
    in: "luma.merge_rsvps",
    from: "  if told = said and guest.in_doubt and not is_read\n",
    to: "  if false and told = said and guest.in_doubt and not is_read\n",
    test: onStack(
      "luma_guest_conflicts",
      "a webhook from before a call that died does not end the doubt about it",
    ),
  },
];
