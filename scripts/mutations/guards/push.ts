/** To Luma: each row is one event, told what has changed, and nothing twice. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const PUSH_EVENT = "supabase/functions/_shared/sync/push_event.ts";
const KILLED_AFTER_CREATE = onStack(
  "faults",
  "a drain killed after the create reached Luma leaves one event",
);

export const PUSH: Mutation[] = [
  {
    name: "base",
    guard: "a row that says what was agreed on costs no call",
    in: "luma.needs_push",
    from: "then l.row_base is distinct from luma.event_state(e)",
    to: "then true",
    test: onStack(
      "backfill",
      "repeating a backfill, also while it runs or after a crash, sends nothing twice",
    ),
  },
  {
    name: "base-by-field",
    guard: "an update sends what has changed, and overwrites nothing else",
    in: "luma.changed_fields",
    from: "where s.value is distinct from base -> s.key",
    to: "where true",
    test: onStack("push", "an update sends only what changed"),
  },
  {
    name: "trigger-columns",
    guard: "counts and other columns enqueue nothing",
    in: "luma.enqueue_event",
    from: "  if tg_op = 'UPDATE' then\n    if not (\n",
    to: "  if tg_op = 'UPDATE' then\n    if false and not (\n",
    test: onStack(
      "push",
      "counts and edits that change nothing enqueue nothing",
    ),
  },
  {
    name: "doubt",
    guard: "what may have been sent counts as a change when it is taken back",
    in: "luma.doubt",
    from: "set row_base = l.row_base - c.fields - case",
    to: "set row_base = l.row_base - case",
    test: onStack(
      "faults",
      "an edit whose answer was lost and that is taken back does not stay on Luma",
    ),
  },
  {
    name: "create-is-remembered",
    guard: "before a create call it is written down that there may be one",
    in: "luma.event_job",
    from: "'maybe_created', link.create_lease is not null",
    to: "'maybe_created', false",
    test: KILLED_AFTER_CREATE,
  },
  {
    name: "create-looks-first",
    guard: "before a create is repeated, its slug is looked up",
    in: PUSH_EVENT,
    from: "if (id !== null || !job.maybe_created) {",
    to: "if (id !== null || job.slug) {",
    test: KILLED_AFTER_CREATE,
  },
  {
    name: "create-again-fenced",
    guard: "who has lost the lease makes no second create call",
    in: PUSH_EVENT,
    from:
      "if (job.maybe_created && !await deps.store.createAgain(job.lease)) {",
    to:
      "if (job.maybe_created && !await deps.store.createAgain(job.lease) && false) {",
    test: ofFunctions(
      "sync/push_event",
      "whoever has lost the lease stops before the next call",
    ),
  },
  {
    name: "create-state",
    guard: "what a lost create call was made of is not forgotten",
    in: "luma.allow_create",
    from: "case when l.create_lease is null then state else l.create_state end",
    to: "state",
    test: onStack(
      "faults",
      "an edit after a lost answer reaches the event that was created",
    ),
  },
  {
    name: "created-from",
    guard: "a host's edit of an event whose create was never answered survives",
    in: "luma.event_job",
    from: "'created_from', case when link.create_lease is not null",
    to: "'created_from', case when false and link.create_lease is not null",
    test: onStack(
      "luma_create_race",
      "edits on both sides after a create call whose function died both survive, and of the same field the app's does",
    ),
  },
  {
    name: "slug-is-ours",
    guard: "an event of another calendar under our slug is not taken for ours",
    in: PUSH_EVENT,
    from: "if (hasStatus(error, 403, 404)) return null;",
    to: "if (hasStatus(error, 403, 404)) return { id } as LumaEvent;",
    test: ofFunctions(
      "sync/push_event",
      "a slug that another calendar's event has is given up, whenever that is found out",
    ),
    failsWith: /AssertionError|LumaError/,
  },
  {
    name: "create-or-adopt",
    guard: "a create that is refused because ours is there becomes an update",
    in: PUSH_EVENT,
    from: "if (!hasStatus(error, 400, 409, 422)) throw error;",
    to: "if (error) throw error;",
    test: ofFunctions(
      "sync/push_event",
      "a create that is refused because ours is there already becomes an update",
    ),
    failsWith: /AssertionError|LumaError/,
  },
  {
    name: "link-not-overwritten",
    guard: "a link that has its Luma event keeps it",
    in: "luma.link_created_event",
    from: "and l.luma_event_id is null and l.create_lease is not null",
    to: "",
    test: onStack(
      "webhook_inbox",
      "only the event of a create call of ours is linked, and no link is overwritten",
    ),
  },
  {
    name: "paid-is-closed",
    guard: "nobody registers for free before there is a ticket to pay for",
    in: PUSH_EVENT,
    from: 'visibility: price ? "private" as const : fields.visibility,',
    to: "visibility: fields.visibility,",
    test: ofFunctions(
      "sync/push_event",
      "a paid event is private until it has its ticket",
    ),
  },
  {
    name: "paid-is-closed-on-change",
    guard: "an event that becomes a paid one is closed until it has its ticket",
    in: PUSH_EVENT,
    from: "const closed = reprice && price !== null;",
    to: "const closed = false;",
    test: ofFunctions(
      "sync/push_event_update",
      "a free event that becomes a paid one is never open without its ticket",
    ),
  },
  {
    name: "price-lost",
    guard: "an event that has lost its price is closed",
    in: PUSH_EVENT,
    from: 'await client.updateEvent(id, { visibility: "private" });',
    to: "",
    test: ofFunctions(
      "sync/push_event",
      "an event that is there but has lost its price is closed before that is reported",
    ),
  },
  {
    name: "hidden-is-private",
    guard: "what is not approved is not public on Luma",
    in: "supabase/functions/_shared/sync/mapping.ts",
    from: 'if (!state.shown) return "private";',
    to: "",
    test: ofFunctions(
      "sync/mapping",
      "an event is seen as its column says while it is shown, and private otherwise",
    ),
  },
  {
    name: "host-address-kept",
    guard: "a host's own address is not overwritten",
    in: "luma.record_push",
    from:
      "coalesce(nullif(trim(e.external_rsvp_url), ''), 'https://luma.com/' || l.slug)",
    to: "'https://luma.com/' || l.slug",
    test: onStack("push", "a host's own address is not overwritten"),
  },
  {
    name: "time-zone",
    guard: "Luma is told IANA time zones only",
    in: "supabase/functions/_shared/sync/mapping.ts",
    from: "if (!/^[a-z]+\\/|^(utc|gmt)$/i.test(name)) throw new RangeError();",
    to: "",
    test: ofFunctions(
      "sync/mapping",
      "a time zone that is none is replaced, and named",
    ),
  },
  {
    name: "state-in-utc",
    guard: "a session's time zone makes no row differ",
    in: "luma.event_state",
    from: " set timezone = 'UTC'",
    to: "",
    test: onStack(
      "database",
      "equal rows have equal states in every time zone",
    ),
  },
  {
    name: "cover-once",
    guard: "one image is uploaded once, whoever needs it first",
    in: "public.luma_cover_begin",
    from: "elsif cover.busy_until > clock_timestamp() then",
    to: "elsif false then",
    test: onStack(
      "concurrency",
      "one image is uploaded once, however many events and drains want it",
    ),
  },
  {
    name: "cover-that-kills",
    guard: "an image that kills the function is given up",
    in: "public.luma_cover_begin",
    from: "elsif cover.tries >= 3 then",
    to: "elsif false then",
    test: onStack(
      "rows",
      "an image that kills the function three times is given up, and the event goes on without it",
    ),
  },
  {
    name: "tags-of-the-dead",
    guard: "a tag that a run that died has put on is taken off again",
    in: "luma.event_job",
    from: "when link.row_base is null or link.row_base ? 'culture' then '[]'",
    to: "when true then '[]'",
    test: onStack(
      "faults",
      "a tag that a killed drain has put on does not stay beside that of the culture which came after it",
    ),
  },
];
