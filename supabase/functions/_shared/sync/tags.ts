/** The event's culture as a tag of its Luma calendar. */
import type { LumaClient } from "../luma/client.ts";
import { LumaError } from "../luma/errors.ts";

type Client = Pick<
  LumaClient,
  "applyEventTag" | "unapplyEventTag" | "createEventTag"
>;

/**
 * Takes the old tag off and puts the new one on; null is none. A tag is decoration: when Luma refuses it,
 * the answer is a warning and not a failure. Throws LumaError when Luma cannot be reached.
 */
export async function ensureTag(
  client: Client,
  eventId: string,
  tag: string | null,
  previous: string | null,
): Promise<string[]> {
  const warnings: string[] = [];
  const refusal = async (call: Promise<unknown>): Promise<boolean> => {
    try {
      await call;
      return false;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      warnings.push(error.message);
      return true;
    }
  };
  if (previous && previous !== tag) {
    await refusal(client.unapplyEventTag(previous, [eventId]));
  }
  // A culture that the calendar has no tag for yet is refused: make the tag, then try once more.
  if (
    tag && await refusal(client.applyEventTag(tag, [eventId])) &&
    !await refusal(client.createEventTag({ name: tag })) &&
    !await refusal(client.applyEventTag(tag, [eventId]))
  ) {
    return [];
  }
  return warnings;
}

function isRefusal(error: unknown): error is LumaError {
  return error instanceof LumaError && error.kind === "http" &&
    [400, 404, 409, 422].includes(error.status ?? 0);
}
