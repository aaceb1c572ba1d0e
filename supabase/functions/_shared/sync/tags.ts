/** The event's culture as a tag of its Luma calendar. */
import type { LumaClient } from "../luma/client.ts";
import { hasStatus } from "../luma/errors.ts";

type Client = Pick<
  LumaClient,
  "applyEventTag" | "unapplyEventTag" | "createEventTag"
>;

/**
 * Takes the old tag off, and those that may be there, and puts the new one on; null is none. A tag is decoration: when
 * Luma refuses it, the answer is a warning and not a failure. Throws LumaError when Luma cannot be reached.
 */
export async function ensureTag(
  client: Client,
  eventId: string,
  tag: string | null,
  previous: string | null,
  maybeThere: readonly string[] = [],
): Promise<string[]> {
  const warnings: string[] = [];
  if (previous && previous !== tag) {
    warnings.push(
      ...await refusal(client.unapplyEventTag(previous, [eventId])),
    );
  }
  for (const other of maybeThere) {
    // Luma may not even know it: then it is not there.
    if (other !== tag && other !== previous) {
      await refusal(client.unapplyEventTag(other, [eventId]));
    }
  }
  if (!tag) return warnings;
  const apply = () => refusal(client.applyEventTag(tag, [eventId]));
  if ((await apply()).length === 0) return warnings;
  // The calendar has no such tag yet. Another event of the same culture may be making it right now: then
  // ours is refused, and the tag is there all the same.
  const notMade = await refusal(client.createEventTag({ name: tag }));
  const notApplied = await apply();
  return notApplied.length === 0
    ? warnings
    : [...warnings, ...notMade, ...notApplied];
}

/** What Luma said if it refused the call, else nothing. */
async function refusal(call: Promise<unknown>): Promise<string[]> {
  try {
    await call;
    return [];
  } catch (error) {
    if (!hasStatus(error, 400, 404, 409, 422)) throw error;
    return [error.message];
  }
}
