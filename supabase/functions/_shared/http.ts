/** What every function does with a request before its own work. */
import { createHash, timingSafeEqual } from "node:crypto";
import { resolveHost } from "./covers/private_address.ts";
import { type Env, EnvError, readEnv, readVars, type Vars } from "./env.ts";
import { introduction } from "./introduce.ts";
import { reasonOf, redact } from "./redact.ts";
import { StoreError } from "./store.ts";

/**
 * Serves a function. The environment is read for each request; what is wrong with it is the answer, 503. To
 * `GET ?about=1` with the sync secret the function introduces itself.
 */
export function serve(
  name: string,
  handle: (request: Request, env: Env) => Promise<Response>,
): void {
  Deno.serve(async (request) => {
    try {
      const vars = readVars();
      const env = readEnv(vars);
      return introduce(name, request, vars, env.syncSecret) ??
        await handle(request, env);
    } catch (error) {
      log(reasonOf(error));
      if (error instanceof EnvError) return problem(error.message, 503);
      // A defect. Deno's own handler would log the error as it is.
      return problem(
        "Something went wrong; the reason is in the function's log.",
        500,
      );
    }
  });
}

/** Answers `GET ?about=1` with the sync secret: who the function is, or 401 when it is another one. Null otherwise. */
export function introduce(
  name: string,
  request: Request,
  vars: Vars,
  syncSecret: string,
): Response | null {
  const given = request.headers.get("x-luma-sync-secret");
  if (request.method !== "GET" || given === null) return null;
  if (!new URL(request.url).searchParams.has("about")) return null;
  return sameSecret(given, syncSecret)
    ? json(introduction(name, vars, syncSecret, new Date()))
    : refuse(request, syncSecret);
}

/** A line in the function's log, where all of it goes: whoever reads the log learns no one's address or number. */
export function log(message: string): void {
  console.error(redact(message));
}

/** A JSON answer. */
export function json(body: unknown, status = 200): Response {
  return Response.json(body, { status });
}

/** An answer that says what is wrong, to whoever asked: a stranger perhaps, and logs keep it. */
export function problem(error: string, status: number): Response {
  return json({ error: redact(error) }, status);
}

/**
 * Refuses a request that is not a POST (405) or does not carry the sync secret in `x-luma-sync-secret` (401);
 * null lets it pass.
 */
export function refuse(request: Request, syncSecret: string): Response | null {
  if (!sameSecret(request.headers.get("x-luma-sync-secret"), syncSecret)) {
    const error =
      "The header x-luma-sync-secret must hold the value of LUMA_SYNC_SECRET; in the database it is the Vault entry luma_sync_secret.";
    return problem(error, 401);
  }
  if (request.method !== "POST") {
    return problem(`Use POST, not ${request.method}.`, 405);
  }
  return null;
}

/** Compares without telling by its time how much of a guess was right, nor how long it has to be. */
export function sameSecret(given: string | null, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given ?? ""), digest(expected)) &&
    expected !== "";
}

/** Keeps the function alive for work that follows its answer, where the platform would retire it. */
export function runInBackground(work: Promise<unknown>): void {
  const runtime = (globalThis as {
    EdgeRuntime?: { waitUntil(work: Promise<unknown>): void };
  }).EdgeRuntime;
  runtime?.waitUntil(work);
}

/** Answers 202 at once and lets the run go on; with ?wait=1 its summary when it is over, or 503 without the database. */
export async function answerRun(
  request: Request,
  run: Promise<unknown>,
): Promise<Response> {
  if (new URL(request.url).searchParams.get("wait") !== "1") {
    runInBackground(run.catch((error) => log(reasonOf(error))));
    return json({ started: true }, 202);
  }
  try {
    return json(await run);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return problem(error.message, 503);
  }
}

/** The outside world of a run, as the platform has it. */
export const PLATFORM = {
  fetch,
  resolve: resolveHost,
  now: () => performance.now(),
  sleep: (ms: number) =>
    new Promise<void>((resolve) => setTimeout(resolve, ms)),
  log,
};
