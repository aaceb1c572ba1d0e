/**
 * One calendar's webhook subscriptions on Luma.
 *
 * register() looks, takes the steps that what it saw calls for, and looks again, until there is nothing left to
 * do. Runs at the same time end with one subscription: each looks after its own create, all keep the oldest, and
 * so only others are deleted.
 */
import type { LumaClient } from "../../supabase/functions/_shared/luma/client.ts";
import { hasStatus } from "../../supabase/functions/_shared/luma/errors.ts";
import type { WebhookChanges } from "../../supabase/functions/_shared/luma/inputs.ts";
import type {
  Webhook,
  WebhookEventType,
} from "../../supabase/functions/_shared/luma/types.ts";
import { Problem } from "./problem.ts";

/** What the function luma-webhook is told about. */
export const EVENT_TYPES: WebhookEventType[] = [
  "event.created",
  "event.updated",
  "event.canceled",
  "guest.registered",
  "guest.updated",
  "ticket.registered",
  "calendar.event.added",
  "calendar.person.subscribed",
];

/** One is enough, two when something was to do, a few more while somebody else registers too. */
const MAX_LOOKS = 6;

/** What is registered now, and what was done for it: nothing, when it was so before. */
export interface Registration {
  webhook: Webhook;
  steps: string[];
}

/** All of the calendar's subscriptions, in Luma's order. */
export async function listAll(luma: LumaClient): Promise<Webhook[]> {
  const found: Webhook[] = [];
  let cursor: string | undefined;
  do {
    const page = await luma.listWebhooks(cursor ? { cursor } : {});
    found.push(...page.entries);
    const next = page.has_more ? page.next_cursor ?? undefined : undefined;
    if (next !== undefined && next === cursor) {
      throw new Problem(
        "Luma's list of webhooks does not end: it answers the same next_cursor twice.",
      );
    }
    cursor = next;
  } while (cursor !== undefined);
  return found;
}

/** True when both lead to the same place: letter case of the host and slashes at the end do not count. */
export function isSameAddress(one: string, other: string): boolean {
  const [a, b] = [normal(one), normal(other)];
  return a !== null && a === b;
}

function normal(address: string): string | null {
  const url = URL.parse(address);
  if (!url) return null;
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url.href.replace(/\/+$/, "");
}

/** Ends with one subscription for `address`, active and with all event types. */
export async function register(
  luma: LumaClient,
  address: string,
  knownSecrets: readonly string[],
): Promise<Registration> {
  const steps: string[] = [];
  let createdId: string | undefined;
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const ours = await listOurs(luma, address);
    const kept = choose(ours, knownSecrets);
    if (!kept) {
      // A second create could be a second subscription, if Luma's list is only late.
      if (createdId) throw lost(createdId);
      createdId = await create(luma, address);
      steps.push(`created ${createdId}`);
      continue;
    }
    const taken = await tidy(luma, kept, ours);
    if (taken.length === 0) return { webhook: kept, steps };
    steps.push(...taken);
  }
  throw new Problem(
    "The subscriptions changed each time they were looked at: somebody else registers, too. Run it again when nobody does.",
  );
}

/** What register() would do now, and the subscription that it would keep. */
export async function inspect(
  luma: LumaClient,
  address: string,
  knownSecrets: readonly string[],
): Promise<{ kept: Webhook | undefined; lacks: string[] }> {
  const ours = await listOurs(luma, address);
  const kept = choose(ours, knownSecrets);
  if (!kept) return { kept, lacks: ["subscribe luma-webhook"] };
  const { status, event_types } = lacking(kept);
  return {
    kept,
    lacks: [
      ...ours.filter(({ id }) => id !== kept.id)
        .map(({ id }) => `delete ${id}, which is for the same address`),
      ...(status ? [`activate ${kept.id}`] : []),
      ...(event_types ? [`set the event types of ${kept.id}`] : []),
    ],
  };
}

/** Removes all subscriptions for `address`, and answers their ids. */
export async function unregister(
  luma: LumaClient,
  address: string,
): Promise<string[]> {
  const ours = await listOurs(luma, address);
  for (const { id } of ours) await unlessGone(luma.deleteWebhook(id));
  return ours.map(({ id }) => id);
}

async function listOurs(luma: LumaClient, address: string) {
  return (await listAll(luma)).filter(({ url }) => isSameAddress(url, address));
}

async function create(luma: LumaClient, url: string): Promise<string> {
  const { id } = await luma.createWebhook({ url, event_types: EVENT_TYPES });
  return id;
}

/** The one whose deliveries are accepted already, else the oldest, which is the same one for everybody. */
function choose(ours: Webhook[], knownSecrets: readonly string[]) {
  const known = knownSecrets
    .map((secret) => ours.find((webhook) => webhook.secret === secret))
    .find((webhook) => webhook !== undefined);
  const createdAt = (webhook: Webhook) =>
    Date.parse(`${webhook["created_at"]}`);
  // Without times, Luma's order stays.
  return known ??
    ours.toSorted((a, b) => createdAt(a) - createdAt(b) || 0).at(0);
}

/** Deletes all but `kept`, and mends it; what was done. */
async function tidy(luma: LumaClient, kept: Webhook, ours: Webhook[]) {
  const steps: string[] = [];
  for (const { id } of ours) {
    if (id === kept.id) continue;
    await unlessGone(luma.deleteWebhook(id));
    steps.push(`deleted ${id}, which was for the same address`);
  }
  const changes = lacking(kept);
  if (Object.keys(changes).length > 0) {
    await unlessGone(luma.updateWebhook({ id: kept.id, ...changes }));
    if (changes.status) steps.push(`activated ${kept.id}`);
    if (changes.event_types) steps.push(`set the event types of ${kept.id}`);
  }
  return steps;
}

function lacking(webhook: Webhook): Omit<WebhookChanges, "id"> {
  const types = new Set(webhook.event_types);
  const hasTypes = types.has("*") ||
    types.size === EVENT_TYPES.length &&
      EVENT_TYPES.every((type) => types.has(type));
  return {
    ...(hasTypes ? {} : { event_types: EVENT_TYPES }),
    ...(webhook.status === "active" ? {} : { status: "active" }),
  };
}

/** Another run may have deleted it just before. */
async function unlessGone(call: Promise<unknown>): Promise<void> {
  await call.catch((error) => {
    if (!hasStatus(error, 404)) throw error;
  });
}

function lost(id: string): Problem {
  return new Problem(
    `${id} was created, but Luma's list does not have it: somebody deleted it, or the list is late. Wait a minute, then run it again.`,
  );
}
