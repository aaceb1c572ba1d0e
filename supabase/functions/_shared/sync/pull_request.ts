/** What the body of a request to luma-pull asks for. */
import { z } from "zod";
import { readBounded } from "../read_bounded.ts";
import { storable } from "../storable.ts";

/** Which pull is asked for; all null is every calendar. */
export interface PullRequest {
  calendar: string | null;
  event: string | null;
  dry: boolean;
}

/** A request is two ids. */
const MAX_BODY_BYTES = 10_000;

/** Postgres takes no text with U+0000 or half a surrogate pair. */
const id = z.string().min(1).refine(
  (text) => storable(text) === text,
  "has characters that no id has",
);

const Body = z.strictObject({
  calendar: id.nullish(),
  event: id.nullish(),
  all: z.boolean().optional(),
  dry: z.boolean().optional(),
});

/** `request` null: nothing new is asked for (no body, or `{}`, which is what pg_net sends). `error`: it cannot be read. */
export async function pullRequest(
  request: Request,
): Promise<{ request: PullRequest | null } | { error: string }> {
  const body = await readBounded(request.body, MAX_BODY_BYTES);
  if (!body) {
    return { error: `The body is larger than ${MAX_BODY_BYTES} bytes.` };
  }
  const text = new TextDecoder().decode(body).trim();
  let value: unknown;
  try {
    value = JSON.parse(text || "{}");
  } catch {
    return { error: "The body is not JSON." };
  }
  const result = Body.safeParse(value);
  if (!result.success) {
    return {
      error: `The body is not like {"calendar": "blr"} or {"event": "evt-…"}: ${
        z.prettifyError(result.error)
      }`,
    };
  }
  const { calendar = null, event = null, all = false, dry = false } =
    result.data;
  const asks = all || dry || calendar !== null || event !== null;
  return { request: asks ? { calendar, event, dry } : null };
}
