/**
 * The signature of Luma's webhooks.
 *
 * `Webhook-Signature: t=<Unix seconds>,v1=<hex>`, where the hex is HMAC-SHA256 over `<t>.<raw body>`, and the
 * key is the webhook's secret as it is, `whsec_` included. This is not in Luma's OpenAPI document; several
 * receivers in production agree on it. Should Luma change it, this is the only file to change.
 */
import { Buffer } from "node:buffer";
import { sameSecret } from "../http.ts";

/** What verifySignature() needs. */
export interface SignedDelivery {
  /** The bytes as they came: JSON that was parsed and written again has another signature. */
  body: Uint8Array;
  /** `Webhook-Signature`. */
  header: string | null;
  /** Secrets that are in force, none of them empty; several while one is replaced by another. */
  secrets: readonly string[];
  now: Date;
  /** How far Luma's clock and ours may be apart, and how old a delivery may be. */
  toleranceSeconds?: number;
}

/** Whose signature it is, or why it is not accepted, in words for the sender. */
export type Verified =
  | { ok: true; secretIndex: number; sentAt: Date }
  | { ok: false; reason: string };

/** Checks the signature of a delivery: which secret made it, and that it is not an old one sent again. */
export async function verifySignature(
  { body, header, secrets, now, toleranceSeconds = 300 }: SignedDelivery,
): Promise<Verified> {
  if (!header) {
    return refused("The header Webhook-Signature is missing.");
  }
  const signature = parse(header);
  if (!signature) {
    return refused(
      "The header Webhook-Signature must be like t=<Unix seconds>,v1=<64 hex digits>.",
    );
  }
  const sentAt = new Date(Number(signature.time) * 1000);
  const ageSeconds = Math.floor((now.getTime() - sentAt.getTime()) / 1000);
  if (Math.abs(ageSeconds) > toleranceSeconds) {
    const apart = ageSeconds > 0
      ? `${ageSeconds} seconds old`
      : `${-ageSeconds} seconds in the future`;
    return refused(
      `The signature is ${apart}; at most ${toleranceSeconds} seconds are accepted.`,
    );
  }
  // One HMAC for each secret, however many v1 a stranger sends: the body may be large.
  for (const [secretIndex, secret] of secrets.entries()) {
    const expected = await digest(secret, signature.time, body);
    if (signature.v1.some((given) => sameSecret(given, expected))) {
      return { ok: true, secretIndex, sentAt };
    }
  }
  return refused(
    "The signature fits no webhook secret: LUMA_<CALENDAR KEY>_WEBHOOK_SECRET must be what Luma shows as the webhook's secret, whsec_ included.",
  );
}

/** The header that Luma would send with this body. For tests. */
export async function sign(
  { body, secret, at }: { body: Uint8Array; secret: string; at: Date },
): Promise<string> {
  const time = String(Math.floor(at.getTime() / 1000));
  return `t=${time},v1=${await digest(secret, time, body)}`;
}

function refused(reason: string): Verified {
  return { ok: false, reason };
}

/** Null when malformed. Schemes other than v1 are passed over: a sender may add a newer one beside it. */
function parse(header: string): { time: string; v1: string[] } | null {
  const times: string[] = [];
  const v1: string[] = [];
  for (const part of header.split(",")) {
    const [, scheme, value] = /^\s*(\w+)=(\S+)\s*$/.exec(part) ?? [];
    if (scheme === undefined || value === undefined) return null;
    if (scheme === "t") times.push(value);
    if (scheme === "v1") v1.push(value.toLowerCase());
  }
  const [time, second] = times;
  const isWellFormed = time !== undefined && second === undefined &&
    /^\d{1,12}$/.test(time) && v1.length > 0 &&
    v1.every((hex) => /^[0-9a-f]{64}$/.test(hex));
  return isWellFormed ? { time, v1 } : null;
}

async function digest(
  secret: string,
  time: string,
  body: Uint8Array,
): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode(secret),
    algorithm,
    false,
    ["sign"],
  );
  const prefix = encoder.encode(`${time}.`);
  const message = new Uint8Array(prefix.length + body.length);
  message.set(prefix);
  message.set(body, prefix.length);
  return Buffer.from(await crypto.subtle.sign("HMAC", key, message)).toString(
    "hex",
  );
}
