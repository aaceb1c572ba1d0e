/**
 * Makes one event on Luma what its row says.
 *
 *   1. find    the Luma event: linked, or created by an earlier attempt whose answer was lost (by its slug). If the row
 *              was edited since, what that attempt told is agreed on first, and the rest is the next job's
 *   2. create  it under the stored slug, or update the fields that changed
 *   3. ticket  for a paid event, which stays private until it has one
 *   4. tag, which is changed before an update
 *
 * May be killed between any two lines: the next attempt finds what there is, and every step says how things
 * should be, so that repeating it changes nothing.
 */
import type { LumaClient } from "../luma/client.ts";
import { hasStatus } from "../luma/errors.ts";
import type { EventChanges } from "../luma/inputs.ts";
import type { LumaEvent } from "../luma/types.ts";
import type { Result, Store } from "../store.ts";
import { type Cover, type CoverDeps, resolveCover } from "./cover.ts";
import type { EventJob, EventState } from "./job.ts";
import { LeaseLost } from "./leases.ts";
import * as mapping from "./mapping.ts";
import { ensureTag } from "./tags.ts";
import { ensureTicket } from "./tickets.ts";

/** What pushing needs from outside. */
export interface PushDeps {
  client: LumaClient;
  store: Pick<Store, "created" | "createAgain" | "slugTaken">;
  /** Null in dry_run: no image is uploaded. */
  covers: CoverDeps | null;
}

/** Pushes a job and answers what to acknowledge. Throws LumaError, RowError, NextRun, LeaseLost. */
export async function pushEvent(
  job: EventJob,
  deps: PushDeps,
): Promise<Result> {
  const found = await find(job, deps);
  const { state } = job;
  if (found.id !== null && job.created_from && state !== null) {
    return takeOver(found.id, job.created_from);
  }
  if (state === null || !state.shown) return await hide(job, found, deps);
  if (found.id === null) {
    if (job.maybe_created && !await deps.store.createAgain(job.lease)) {
      throw new LeaseLost();
    }
    return await create(job, found.slug, state, deps);
  }
  return found.created
    ? await adopt(job, found.id, found.cover, state, deps)
    : await update(job, found.id, job.changed, state, deps);
}

/** Where the event is on Luma. `created`: by an earlier attempt, from the very state that the row has now. */
interface Found {
  slug: string;
  id: string | null;
  created: boolean;
  /** The cover it was seen to have. */
  cover: string | null;
}

async function find(job: EventJob, deps: PushDeps): Promise<Found> {
  const { slug, luma_event_id: id, luma_cover: cover } = job;
  if (id !== null || !job.maybe_created) {
    // Linked by its webhook, while nothing was agreed on yet: what our own create call has made.
    const created = id !== null && job.changed === null && job.maybe_created &&
      job.create_matches;
    return { slug, id, created, cover };
  }
  return { ...await lookUp(job, slug, deps), created: job.create_matches };
}

/** Looks our slug up. An event under it that is not ours costs us the slug. */
async function lookUp(
  job: EventJob,
  slug: string,
  { client, store }: PushDeps,
): Promise<Omit<Found, "created">> {
  const id = await client.lookupSlug(slug);
  if (id === null) return { slug, id, cover: null };
  const event = await ours(client, id);
  if (event) {
    if (!await store.created(job.lease, slug, id)) throw new LeaseLost();
    return { slug, id, cover: event.cover_url ?? null };
  }
  const other = await store.slugTaken(job.lease);
  if (other === null) throw new LeaseLost();
  return { slug: other, id: null, cover: null };
}

/** The event, or null when it is another calendar's: 403, or 404 as if it did not exist. */
async function ours(client: LumaClient, id: string): Promise<LumaEvent | null> {
  try {
    return await client.getEvent(id);
  } catch (error) {
    if (hasStatus(error, 403, 404)) return null;
    throw error;
  }
}

async function create(
  job: EventJob,
  slug: string,
  state: EventState,
  deps: PushDeps,
): Promise<Result> {
  const { fields, warnings } = mapping.toLumaEvent(state);
  const price = mapping.ticketPrice(state);
  const cover = await coverFor(job, state, deps);
  const input = {
    ...withoutEmpty(fields),
    cover_url: cover.url,
    slug,
    // Nobody may register for free before there is a ticket to pay for.
    visibility: price ? "private" as const : fields.visibility,
  };
  let id;
  try {
    id = (await deps.client.createEvent(input)).id;
  } catch (error) {
    if (!hasStatus(error, 400, 409, 422)) throw error;
    // Refused: perhaps because a call that we thought lost has taken the slug meanwhile.
    const found = await lookUp(job, slug, deps);
    if (found.id !== null) {
      return await update(job, found.id, null, state, deps);
    }
    if (found.slug === slug) throw error;
    return await create(job, found.slug, state, deps);
  }
  if (price || tagOf(job, state)) {
    // More calls follow: after a crash in one of them the event must be known.
    if (!await deps.store.created(job.lease, slug, id)) throw new LeaseLost();
  }
  const completed = await complete(job, id, state, deps);
  return done(id, { ...input, ...completed.sent }, [
    ...warnings,
    ...cover.warnings,
    ...textOf(completed),
  ], cover);
}

/**
 * Goes on with an event that an earlier attempt created from this very state. Only the cover may be another:
 * it depends on which images could be fetched then.
 */
async function adopt(
  job: EventJob,
  id: string,
  seen: string | null,
  state: EventState,
  deps: PushDeps,
): Promise<Result> {
  const { fields, warnings } = mapping.toLumaEvent(state);
  const cover = await coverFor(job, state, deps);
  if (cover.url && cover.url !== seen) {
    await deps.client.updateEvent(id, { cover_url: cover.url });
  }
  const completed = await complete(job, id, state, deps);
  const sent = {
    ...withoutEmpty(fields),
    ...(cover.url && { cover_url: cover.url }),
    ...completed.sent,
  };
  const result = done(id, sent, [
    ...warnings,
    ...cover.warnings,
    ...textOf(completed),
  ], cover);
  // Between that attempt and this one a host may have edited it.
  return { ...result, look: true };
}

/** What a create call does not complete, so that it is still to be told. */
const AFTER_CREATE = [
  "visibility",
  "cover_image_url",
  "culture",
  "category",
  "is_ticketed",
  "ticket_price",
  "ticket_currency",
];

/**
 * An earlier attempt created the event, and the row was edited since. Told what that attempt told, the database can
 * tell a host's edit from ours: the next job reads the event, and sends what is different by then.
 */
function takeOver(id: string, from: EventState): Result {
  const { visibility: _, ...sent } = withoutEmpty(
    mapping.toLumaEvent(from).fields,
  );
  return {
    ...done(id, sent, []),
    pending: AFTER_CREATE,
    look: true,
    from_create: true,
  };
}

/** A new event is told only what there is to say. */
function withoutEmpty(fields: mapping.LumaEventFields["fields"]) {
  return {
    ...fields,
    description_md: fields.description_md || undefined,
    meeting_url: fields.meeting_url || undefined,
    max_capacity: fields.max_capacity ?? undefined,
  };
}

/** What follows a create: the ticket of a paid event, then its visibility, and the tag. */
async function complete(
  job: EventJob,
  id: string,
  state: EventState,
  { client }: PushDeps,
): Promise<Result> {
  const price = mapping.ticketPrice(state);
  const { visibility } = mapping.toLumaEvent(state).fields;
  if (price) {
    await ensureTicket(client, id, price);
    await client.updateEvent(id, { visibility });
  }
  const warnings = await ensureTag(client, id, tagOf(job, state), null);
  return done(id, { visibility }, warnings);
}

async function update(
  job: EventJob,
  id: string,
  changed: readonly string[] | null,
  state: EventState,
  deps: PushDeps,
): Promise<Result> {
  const has = (test: (changed: readonly string[]) => boolean) =>
    changed === null || test(changed);
  const mapped = mapping.toLumaEvent(state);
  const isOpenEnded = state.ends_at === null;
  const picked = mapping.pickChanged(mapped, changed, isOpenEnded);
  const price = await priceOrHide(id, state, deps);
  const reprice = changed === null
    // A first push that was cut short may have left a paid ticket on what is free now.
    ? price !== null || job.luma_event_id !== null
    : mapping.ticketChanged(changed);
  const cover = has((fields) => mapping.coverChanged(state, fields))
    ? await coverFor(job, state, deps)
    : NO_COVER;
  const changes: EventChanges = { ...picked.changes };
  if (cover.url && cover.url !== job.luma_cover) changes.cover_url = cover.url;
  // First, so that the webhook of the update shows the new tag already.
  const tagWarnings = has((fields) => fields.includes("culture"))
    ? await ensureTag(
      deps.client,
      id,
      tagOf(job, state),
      job.previous_culture,
      job.maybe_cultures,
    )
    : [];
  // An event that becomes a paid one is closed until it has its ticket.
  const closed = reprice && price !== null;
  const first = closed
    ? { ...changes, visibility: "private" as const }
    : changes;
  if (Object.values(first).some((value) => value !== undefined)) {
    await deps.client.updateEvent(id, first, {
      // Without a base this repeats what Luma may have already: no reason to mail anybody.
      suppressNotifications: changed === null || job.quiet ? true : undefined,
    });
  }
  if (reprice) await ensureTicket(deps.client, id, price);
  if (closed) {
    changes.visibility = mapped.fields.visibility;
    await deps.client.updateEvent(id, { visibility: changes.visibility });
  }
  return done(id, changes, [
    ...picked.warnings,
    ...cover.warnings,
    ...tagWarnings,
  ], cover);
}

/** The price. An event that should be paid for but has no usable price is closed before that is reported. */
async function priceOrHide(
  id: string,
  state: EventState,
  { client }: PushDeps,
) {
  try {
    return mapping.ticketPrice(state);
  } catch (error) {
    if (error instanceof mapping.RowError) {
      await client.updateEvent(id, { visibility: "private" });
    }
    throw error;
  }
}

/** Private on Luma, or cancelled there if the settings say so. An event that Luma no longer has is hidden enough. */
async function hide(
  job: EventJob,
  found: Found,
  { client }: PushDeps,
): Promise<Result> {
  if (found.id === null) return { outcome: "nothing_to_do" };
  const changes: EventChanges = { visibility: "private" };
  try {
    if (job.cancel_on_luma) {
      const request = await client.requestCancel(found.id);
      await client.cancelEvent({
        event_id: found.id,
        cancellation_token: request.cancellation_token,
        should_refund: request.is_paid ? true : undefined,
      });
      return { outcome: "removed" };
    }
    await client.updateEvent(found.id, changes);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
    return { outcome: "removed" };
  }
  return done(found.id, changes, []);
}

const NO_COVER: Cover = { url: undefined, warnings: [], pending: false };

async function coverFor(job: EventJob, state: EventState, deps: PushDeps) {
  return deps.covers
    ? await resolveCover(job, state, deps.client, deps.covers)
    : NO_COVER;
}

/** Culture `default` is "Other": no tag says that better than none. */
function tagOf(job: EventJob, state: EventState): string | null {
  return state.culture === "default" ? null : job.culture?.name ?? null;
}

function done(
  id: string,
  sent: Record<string, unknown>,
  warnings: string[],
  { pending } = NO_COVER,
): Result {
  return {
    outcome: "done",
    luma_event_id: id,
    sent,
    warning: warnings.join(" ") || null,
    ...(pending ? { pending: ["cover_image_url"] } : {}),
  };
}

function textOf({ warning }: Result): string[] {
  return warning ? [warning] : [];
}
