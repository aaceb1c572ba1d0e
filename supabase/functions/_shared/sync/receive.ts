/**
 * Receives Luma's webhooks.
 *
 *   1. check   method, size, signature over the raw bytes, shape: cheap things first
 *   2. read    what it says to the app's rows
 *   3. store   and apply, in one call to the database, which decides what follows
 *   4. answer  200, or 500 when it could not be stored, so that Luma delivers again
 *
 * A delivery may come twice, late or out of order. What cannot be read or applied now is stored all the same, and
 * luma-drain comes back to it.
 */
import { z } from "zod";
import type { Env } from "../env.ts";
import { json, problem } from "../http.ts";
import { readBounded } from "../read_bounded.ts";
import { reasonOf } from "../redact.ts";
import { storable } from "../storable.ts";
import { verifySignature } from "../luma/signature.ts";
import { type DeliveryNews, type Store, StoreError } from "../store.ts";
import { newsOf } from "./from_luma.ts";

/** The largest body that is read. A strange sender must not fill the function's memory before its signature is checked. */
export const MAX_BODY_BYTES = 1024 * 1024;

/**
 * The deepest body that is taken; Luma nests a handful of objects and lists. What reads, writes and stores JSON calls
 * itself for each level, here and in Postgres, and where that ends depends on the moment: it would look like an outage,
 * and Luma would deliver again for hours.
 */
export const MAX_DEPTH = 100;

/** The type of a delivery that only tries the way here: `deno task doctor` signs and sends one. Nothing is stored of it. */
export const PING = "luma-sync.ping";

/** What receiving needs from outside. */
export interface ReceiveDeps {
  env: Pick<Env, "webhookSecrets">;
  store: Pick<Store, "receiveWebhook">;
  now: () => Date;
  /** Is told why a delivery was not stored. */
  log: (message: string) => void;
}

/** A request that is not accepted, with the status to answer. */
class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/**
 * Answers a delivery: `{result: "applied" | "stored" | "seen"}`, to a ping `{pong, calendar}`, or `{error}` with 400, 401, 405, 413, 500 or 503. Neither
 * an answer nor the log ever holds a secret or a payload.
 */
export async function receiveWebhook(
  request: Request,
  deps: ReceiveDeps,
): Promise<Response> {
  try {
    return json(await receive(request, deps));
  } catch (error) {
    if (error instanceof Refusal) {
      deps.log(`Refused with ${error.status}: ${error.message}`);
      return problem(error.message, error.status);
    }
    if (!(error instanceof StoreError)) throw error;
    deps.log(error.message);
    const message =
      "The delivery could not be stored; deliver it again. The reason is in the function's log.";
    return problem(message, 500);
  }
}

async function receive(
  request: Request,
  { env, store, now }: ReceiveDeps,
): Promise<Record<string, unknown>> {
  if (request.method !== "POST") {
    throw new Refusal(405, `Use POST, not ${request.method}.`);
  }
  const secrets = [...env.webhookSecrets].flatMap(([calendar, ofCalendar]) =>
    ofCalendar.map((secret) => ({ calendar, secret }))
  );
  if (secrets.length === 0) {
    throw new Refusal(
      503,
      "No webhook secret is set. Set the function secret LUMA_<CALENDAR KEY>_WEBHOOK_SECRET, for example LUMA_BLR_WEBHOOK_SECRET, to the secret of that calendar's webhook on Luma.",
    );
  }
  const body = await readBounded(request.body, MAX_BODY_BYTES);
  if (!body) {
    throw new Refusal(413, `The body is larger than ${MAX_BODY_BYTES} bytes.`);
  }
  const verified = await verifySignature({
    body,
    header: request.headers.get("webhook-signature"),
    secrets: secrets.map(({ secret }) => secret),
    now: now(),
  });
  if (!verified.ok) throw new Refusal(401, verified.reason);
  const envelope = parseEnvelope(body);
  const { calendar } = secrets[verified.secretIndex]!;
  if (envelope.type === PING) return { pong: true, calendar };
  const result = await store.receiveWebhook({
    webhook_id: webhookId(request),
    calendar,
    type: envelope.type,
    payload_json: JSON.stringify(envelope),
    sent_at: verified.sentAt.toISOString(),
    news: readNews(envelope),
  });
  return { result };
}

/** Luma OpenAPI, webhooks: every delivery is `{type, data}`. */
const Envelope = z.looseObject({
  type: z.string().min(1),
  data: z.record(z.string(), z.unknown()),
});
type Envelope = z.infer<typeof Envelope>;

function parseEnvelope(body: Uint8Array): Envelope {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    value = JSON.parse(text);
  } catch {
    // The parser's own message would quote the payload.
    throw new Refusal(400, "The body is not JSON in UTF-8.");
  }
  if (isDeeper(value, MAX_DEPTH)) {
    throw new Refusal(
      400,
      `The body goes deeper than ${MAX_DEPTH} objects and lists in each other.`,
    );
  }
  const result = Envelope.safeParse(
    JSON.parse(text, (_key, value) => storable(value)),
  );
  if (result.success) return result.data;
  throw new Refusal(
    400,
    `The body is not like {"type": "event.created", "data": {…}}: ${
      z.prettifyError(result.error)
    }`,
  );
}

function isDeeper(value: unknown, levels: number): boolean {
  return typeof value === "object" && value !== null && (levels === 0 ||
    Object.values(value).some((inside) => isDeeper(inside, levels - 1)));
}

function webhookId(request: Request): string {
  const id = request.headers.get("webhook-id")?.trim() ?? "";
  // 255 is also the limit of luma.webhook_inbox; Luma's ids are far shorter.
  if (id && id.length <= 255) return id;
  throw new Refusal(
    400,
    id
      ? `The header Webhook-Id is ${id.length} characters long; at most 255 are taken.`
      : "The header Webhook-Id is missing.",
  );
}

/** What a delivery says. What is not as Luma documents it is an error to store, not a reason to refuse it. */
export function readNews(
  { type, data }: Pick<Envelope, "type" | "data">,
): DeliveryNews {
  try {
    return newsOf(type, data);
  } catch (error) {
    return { error: reasonOf(error) };
  }
}
