/** Reading what Luma answers: bodies within a bound, its error messages, and its rate-limit headers. */

import { readBounded } from "../read_bounded.ts";

/**
 * The largest body taken from Luma. A page of events with long descriptions stays far below it; without a
 * bound, one runaway answer would end an Edge Function at its memory limit.
 */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** What Luma's `X-RateLimit-*` headers say about the key's window of one minute; null where a header is missing. */
export interface RateLimitState {
  limit: number | null;
  remaining: number | null;
  /** The end of the window, or of the block on a 429. */
  resetAt: Date | null;
}

/** The body as text, or null when it is longer than MAX_BODY_BYTES (the rest is not read). */
export async function readBody(response: Response): Promise<string | null> {
  const bytes = await readBounded(response.body, MAX_BODY_BYTES);
  return bytes && new TextDecoder().decode(bytes);
}

/** The JSON value in a text, or undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const MAX_MESSAGE_LENGTH = 500;

/**
 * Luma's own words in the body of an error, cut to 500 characters, or null. Luma's document does not describe
 * errors; `message` is the field in use. A page of HTML (from a proxy in between) says nothing to an admin.
 */
export function messageIn(body: string): string | null {
  const json = parseJson(body);
  const said = json === undefined ? body.trim() : fieldOf(json);
  if (typeof said !== "string" || !said || said.startsWith("<")) return null;
  return said.slice(0, MAX_MESSAGE_LENGTH);
}

function fieldOf(json: unknown): unknown {
  if (typeof json === "string") return json;
  if (typeof json !== "object" || json === null) return null;
  if ("message" in json) return json.message;
  return "error" in json ? json.error : null;
}

/** Retry-After in whole seconds from `now`: the header holds seconds or an HTTP date. Null when it holds neither. */
export function retryAfterSeconds(
  header: string | null,
  now: Date,
): number | null {
  if (header === null) return null;
  const value = header.trim();
  if (/^\d+$/.test(value)) return Number(value);
  const at = Date.parse(value);
  if (Number.isNaN(at)) return null;
  return Math.max(0, Math.ceil((at - now.getTime()) / 1000));
}

/** The rate-limit headers of an answer, or null when it has none of them. */
export function rateLimitState(
  headers: Headers,
  now: Date,
): RateLimitState | null {
  const limit = count(headers.get("x-ratelimit-limit"));
  const remaining = count(headers.get("x-ratelimit-remaining"));
  const reset = count(headers.get("x-ratelimit-reset"));
  if (limit === null && remaining === null && reset === null) return null;
  return { limit, remaining, resetAt: reset === null ? null : at(reset, now) };
}

function count(header: string | null): number | null {
  return header !== null && /^\d+$/.test(header.trim()) ? Number(header) : null;
}

/** Luma does not say what X-RateLimit-Reset counts: Unix milliseconds, Unix seconds and seconds to go differ by size. */
function at(reset: number, now: Date): Date {
  if (reset > 1e11) return new Date(reset);
  return new Date(reset > 1e9 ? reset * 1000 : now.getTime() + reset * 1000);
}
