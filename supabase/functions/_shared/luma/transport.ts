/**
 * One attempt at one call, under one time limit, ending in a parsed answer or a LumaError.
 * There are no retries here: the outbox owns them, so attempts and delays are visible in one place.
 */
import type { z } from "zod";
import {
  MAX_BODY_BYTES,
  messageIn,
  parseJson,
  type RateLimitState,
  rateLimitState,
  readBody,
  retryAfterSeconds,
} from "./answer.ts";
import { type Deadline, startDeadline } from "./deadline.ts";
import { redact } from "../redact.ts";
import { LumaError } from "./errors.ts";

/** A method and a path of Luma's API, for example `POST /v1/events/create`. */
export type LumaRoute = `${"GET" | "POST"} /${string}`;

/** What a caller can add to any call. */
export interface CallOptions {
  /** Ends the call early; it then fails as `network`. */
  signal?: AbortSignal;
}

/** One call: `schema` checks the answer, and query parameters that are undefined are left out. */
export interface CallRequest<T> extends CallOptions {
  query?: Record<string, string | number | undefined>;
  body?: object;
  schema: z.ZodType<T>;
}

/** How to reach Luma. */
export interface LumaClientOptions {
  /** The calendar's key; it belongs to one calendar. */
  apiKey: string;
  /** `https://public-api.luma.com`, or a simulator's address. */
  baseUrl: string;
  /**
   * Makes the calls to Luma's API, within the time limit (default: the global fetch). A LumaError it throws is
   * passed on; anything else becomes the `cause` of one of kind `network`.
   */
  fetch?: typeof fetch;
  /**
   * Awaited before each call to Luma's API, outside its time limit: takes the rate permit. What it throws is
   * passed on, and the call is not made.
   */
  beforeCall?: (route: LumaRoute) => Promise<void>;
  /** Sends an image's bytes to the upload address (default: the global fetch): no call to Luma's API, so it takes no rate permit. */
  uploadFetch?: typeof fetch;
  /** The limit for one call, reading its body included, in milliseconds (default 15000). */
  timeoutMs?: number;
  /** Told of every answer that carries `X-RateLimit-*` headers, successful or not. */
  onRateLimit?: (state: RateLimitState) => void;
}

/** Sends what the client's methods ask for. */
export interface Transport {
  /** Makes one call to Luma's API and answers what `schema` makes of the body. Throws LumaError. */
  call<T>(route: LumaRoute, request: CallRequest<T>): Promise<T>;
  /** Sends bytes to an upload address, without the key. Throws LumaError. */
  put(
    url: string,
    bytes: Uint8Array<ArrayBuffer>,
    contentType: string,
    options: CallOptions,
  ): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 15_000;

/** Throws a TypeError that names the option when the key or the address cannot be used. */
export function createTransport(options: LumaClientOptions): Transport {
  const { apiKey, onRateLimit, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  checkKey(apiKey);
  const base = checkedBase(options.baseUrl);
  const send = options.fetch ?? fetch;
  const upload = options.uploadFetch ?? fetch;
  // Luma may quote what it refuses, the key or a guest, and our errors are logged and kept.
  const clean = (text: string) => redact(text.replaceAll(apiKey, "[API key]"));

  return {
    async call<T>(route: LumaRoute, request: CallRequest<T>): Promise<T> {
      const [method, path] = route.split(" ") as [string, string];
      const url = base + path + search(request.query);
      const headers = new Headers({
        "accept": "application/json",
        "x-luma-api-key": apiKey,
      });
      if (request.body) headers.set("content-type", "application/json");
      const body = request.body && JSON.stringify(request.body);
      // A redirect is not followed: it would carry the key to another host.
      const init: RequestInit = { method, headers, body, redirect: "manual" };
      const context = { route, timeoutMs, clean, caller: request.signal };
      await options.beforeCall?.(route);
      return await attempt(context, async (deadline) => {
        const response = await deadline.race(
          send(url, { ...init, signal: deadline.signal }),
        );
        const state = rateLimitState(response.headers, new Date());
        if (state) onRateLimit?.(state);
        if (!response.ok) throw await httpError(context, response, deadline);
        const text = await deadline.race(readBody(response));
        return parseAnswer(route, response.status, text, request.schema);
      });
    },

    put(url, bytes, contentType, { signal }) {
      const route = "PUT upload_url";
      const init: RequestInit = {
        method: "PUT",
        headers: { "content-type": contentType },
        body: bytes,
        redirect: "manual",
      };
      const context = { route, timeoutMs, clean, caller: signal };
      return attempt(context, async (deadline) => {
        const response = await deadline.race(
          upload(url, { ...init, signal: deadline.signal }),
        );
        if (!response.ok) throw await httpError(context, response, deadline);
        await response.body?.cancel();
      });
    },
  };
}

/** What the parts of one attempt share. */
interface Attempt {
  route: string;
  timeoutMs: number;
  caller: AbortSignal | undefined;
  /** Takes out what must not be told. */
  clean: (text: string) => string;
}

async function attempt<T>(
  { route, timeoutMs, caller, clean }: Attempt,
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  if (caller?.aborted) {
    const detail = "was aborted by the caller before it was sent";
    const cause = caller.reason;
    throw new LumaError({ kind: "network", route, detail, sent: false, cause });
  }
  const deadline = startDeadline(route, timeoutMs, caller);
  try {
    return await work(deadline);
  } catch (cause) {
    if (cause instanceof LumaError) throw cause;
    const detail = `failed before a complete answer: ${clean(reasonIn(cause))}`;
    throw new LumaError({ kind: "network", route, detail, cause });
  } finally {
    deadline.stop();
  }
}

function reasonIn(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Deno's "fetch failed" tells the reason in its cause, with an address in which a guest's e-mail can stand.
  const { message } = error.cause instanceof Error ? error.cause : error;
  return message.replaceAll(/\?[^\s)]*/g, "");
}

async function httpError(
  { route, clean }: Attempt,
  response: Response,
  deadline: Deadline,
): Promise<LumaError> {
  // The status decides what happens next, so it must survive a body that hangs or breaks off.
  const body = await deadline.race(readBody(response)).catch(() => null);
  return new LumaError({
    kind: "http",
    route,
    status: response.status,
    lumaMessage: messageIn(clean(body ?? "")),
    retryAfterSeconds: retryAfterSeconds(
      response.headers.get("retry-after"),
      new Date(),
    ),
  });
}

function parseAnswer<T>(
  route: string,
  status: number,
  text: string | null,
  schema: z.ZodType<T>,
): T {
  const invalid = (detail: string) =>
    new LumaError({ kind: "invalid_response", route, status, detail });
  if (text === null) {
    throw invalid(`the body is longer than ${MAX_BODY_BYTES} bytes`);
  }
  const json = parseJson(text);
  if (json === undefined) throw invalid("the body is not JSON");
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  // Paths and expected types only: the values may be people's data.
  const issues = parsed.error.issues.slice(0, 3).map((issue) =>
    `${issue.path.join(".") || "body"}: ${issue.message}`
  );
  throw invalid(`the body is not as documented: ${issues.join("; ")}`);
}

function search(query: CallRequest<unknown>["query"] = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) params.set(name, String(value));
  }
  return params.size ? `?${params}` : "";
}

function checkKey(apiKey: string): void {
  // fetch refuses other characters with an error of its own that does not say where they came from.
  if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new TypeError(
      "apiKey must be one word of printable ASCII: check the calendar's API key secret for an empty value, a space or a line end",
    );
  }
}

function checkedBase(baseUrl: string): string {
  const url = URL.parse(baseUrl);
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new TypeError(
      `baseUrl is "${baseUrl}" but must be an http(s) address such as https://public-api.luma.com`,
    );
  }
  return baseUrl.replace(/\/+$/, "");
}
