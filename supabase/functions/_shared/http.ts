/** What every function does with a request before its own work. */
import { timingSafeEqual } from "node:crypto";
import { type Env, EnvError, readEnv } from "./env.ts";

/** Serves a function. The environment is read for each request; what is wrong with it is the answer, 503. */
export function serve(
  handle: (request: Request, env: Env) => Promise<Response>,
): void {
  Deno.serve((request) => {
    try {
      return handle(request, readEnv());
    } catch (error) {
      if (!(error instanceof EnvError)) throw error;
      console.error(error.message);
      return json({ error: error.message }, 503);
    }
  });
}

/** A JSON answer. */
export function json(body: unknown, status = 200): Response {
  return Response.json(body, { status });
}

/**
 * Refuses a request that is not a POST (405) or does not carry the sync secret in `x-luma-sync-secret` (401);
 * null lets it pass.
 */
export function refuse(request: Request, syncSecret: string): Response | null {
  if (!sameSecret(request.headers.get("x-luma-sync-secret"), syncSecret)) {
    const error =
      "The header x-luma-sync-secret must hold the value of LUMA_SYNC_SECRET; in the database it is the Vault entry luma_sync_secret.";
    return json({ error }, 401);
  }
  if (request.method !== "POST") {
    return json({ error: `Use POST, not ${request.method}.` }, 405);
  }
  return null;
}

/** Compares without telling by its time how much of a guess was right. */
export function sameSecret(given: string | null, expected: string): boolean {
  const encoder = new TextEncoder();
  const a = encoder.encode(given ?? "");
  const b = encoder.encode(expected);
  return expected !== "" && a.length === b.length && timingSafeEqual(a, b);
}

/** Keeps the function alive for work that follows its answer, where the platform would retire it. */
export function runInBackground(work: Promise<unknown>): void {
  const runtime = (globalThis as {
    EdgeRuntime?: { waitUntil(work: Promise<unknown>): void };
  }).EdgeRuntime;
  runtime?.waitUntil(work);
}
