/** The one error that leaves the Luma client, and how each kind reads. */

/**
 * - `timeout`: no complete answer in time (the body counts too)
 * - `network`: no complete answer, for any other reason, including the caller's own abort
 * - `http`: Luma answered with a status outside 200 to 299
 * - `invalid_response`: a 2xx whose body is too large, not JSON, or not the shape the product relies on
 */
export type LumaErrorKind = "timeout" | "network" | "http" | "invalid_response";

/** What the client knows about a failed call. */
export interface LumaErrorFacts {
  kind: LumaErrorKind;
  /** Method and path, for example `POST /v1/events/create`. */
  route: string;
  /** What went wrong, for kinds other than `http`; it completes the sentence that starts with the route. */
  detail?: string;
  status?: number | null;
  lumaMessage?: string | null;
  retryAfterSeconds?: number | null;
  /** False when the request certainly never left, so nothing can have happened on Luma (default true). */
  sent?: boolean;
  cause?: unknown;
}

/**
 * A call to Luma that failed. The message names the route, the status and Luma's own words, and never
 * contains the API key, so it may be logged and shown to admins.
 */
export class LumaError extends Error {
  override readonly name = "LumaError";
  readonly kind: LumaErrorKind;
  /** The HTTP status, or null when no whole answer came. */
  readonly status: number | null;
  /** Method and path, for example `POST /v1/events/create`. */
  readonly route: string;
  /** What Luma said about it, or null. */
  readonly lumaMessage: string | null;
  /** Seconds to wait according to Retry-After, whole and not negative, or null. */
  readonly retryAfterSeconds: number | null;
  /** True when the request may have taken effect on Luma: look before repeating it. */
  readonly maybeApplied: boolean;

  constructor(facts: LumaErrorFacts) {
    super(describe(facts), { cause: facts.cause });
    this.kind = facts.kind;
    this.status = facts.status ?? null;
    this.route = facts.route;
    this.lumaMessage = facts.lumaMessage ?? null;
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null;
    this.maybeApplied = facts.sent !== false &&
      facts.route.startsWith("POST ") &&
      (facts.kind !== "http" || (facts.status ?? 0) >= 500);
  }
}

function describe(facts: LumaErrorFacts): string {
  if (facts.kind !== "http") {
    const answered = facts.status ? ` answered ${facts.status} but` : "";
    return `${facts.route}${answered} ${facts.detail ?? "failed"}`;
  }
  const said = facts.lumaMessage ? `: ${facts.lumaMessage}` : "";
  return `${facts.route} answered ${facts.status}${said}`;
}

/** True for an answer of Luma's with one of these HTTP statuses. */
export function hasStatus(
  error: unknown,
  ...statuses: number[]
): error is LumaError {
  return error instanceof LumaError && error.kind === "http" &&
    statuses.includes(error.status ?? 0);
}
