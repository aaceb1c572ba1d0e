/** From an exception to what the database is told of it. The database decides what becomes of the job. */
import type { LumaClient } from "../luma/client.ts";
import { LumaError } from "../luma/errors.ts";
import { reasonOf } from "../redact.ts";
import type { Failure } from "../store.ts";
import { RowError } from "./mapping.ts";

/** Describes a failed push. Asks Luma once more when the key itself is in doubt. */
export async function toFailure(
  error: unknown,
  calendar: string,
  client: Pick<LumaClient, "getSelf">,
): Promise<Failure> {
  if (error instanceof RowError) {
    return { kind: "invalid_row", message: reasonOf(error) };
  }
  if (!(error instanceof LumaError)) {
    // A defect of ours, or the database out of reach.
    return { kind: "internal", message: reasonOf(error) };
  }
  const failure: Failure = {
    kind: error.kind,
    status: error.status,
    message: error.message,
    retry_after: error.retryAfterSeconds,
  };
  if (error.status === 401 || error.status === 403) {
    const keyName = `LUMA_${calendar.toUpperCase()}_API_KEY`;
    // 403 can be the key, which stops the calendar, or this one event, which must not.
    if (error.status === 403) {
      const works = await keyWorks(client);
      if (works === null) return { ...failure, kind: "internal" };
      if (works) return { ...failure, kind: "refused" };
    }
    failure.message = `${error.message}. Luma refused the key in ${keyName}: ` +
      `set the right one in .env, run \`deno task setup\` (or \`supabase secrets set\`), then: select luma.resume('${calendar}');`;
  }
  return failure;
}

/** Null when that cannot be told now: then the job is tried again, because neither verdict may be a guess. */
async function keyWorks(
  client: Pick<LumaClient, "getSelf">,
): Promise<boolean | null> {
  try {
    await client.getSelf();
    return true;
  } catch (error) {
    const refused = error instanceof LumaError &&
      (error.status === 401 || error.status === 403);
    return refused ? false : null;
  }
}
