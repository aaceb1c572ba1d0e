const MINUTE_MS = 60_000;

/** The most of these moments, in epoch milliseconds, that any minute holds. */
export function mostInAMinute(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  let from = 0;
  return sorted.reduce((most, time, at) => {
    while (sorted[from]! <= time - MINUTE_MS) from++;
    return Math.max(most, at - from + 1);
  }, 0);
}

/** What one request was granted, as the `X-RateLimit-*` headers tell it. */
export interface Permit {
  allowed: boolean;
  headers: Record<string, string>;
}

interface Window {
  startedAt: number;
  count: number;
  /** Epoch milliseconds; 0 when the key is not blocked. */
  blockedUntil: number;
}

/**
 * Luma's limit: so many requests a minute for each key, GET and POST together; the request that
 * goes over it is refused and blocks the key for one minute. Reset is Unix seconds: the end of the
 * window, or of the block.
 */
export class RateLimiter {
  #windows = new Map<string, Window>();

  constructor(
    private readonly limit: number,
    private readonly now: () => number,
  ) {}

  take(key: string): Permit {
    const now = this.now();
    const window = this.#windowAt(key, now);
    if (now < window.blockedUntil) return this.#refused(window, now);
    window.count += 1;
    if (window.count > this.limit) {
      window.blockedUntil = now + MINUTE_MS;
      return this.#refused(window, now);
    }
    const reset = window.startedAt + MINUTE_MS;
    return {
      allowed: true,
      headers: this.#headers(this.limit - window.count, reset),
    };
  }

  reset(): void {
    this.#windows.clear();
  }

  #windowAt(key: string, now: number): Window {
    const known = this.#windows.get(key);
    const over = known === undefined ||
      (known.blockedUntil > 0
        ? now >= known.blockedUntil
        : now >= known.startedAt + MINUTE_MS);
    if (!over) return known;
    const fresh = { startedAt: now, count: 0, blockedUntil: 0 };
    this.#windows.set(key, fresh);
    return fresh;
  }

  #refused(window: Window, now: number): Permit {
    const retryAfter = Math.ceil((window.blockedUntil - now) / 1000);
    return {
      allowed: false,
      headers: {
        ...this.#headers(0, window.blockedUntil),
        "retry-after": String(retryAfter),
      },
    };
  }

  #headers(remaining: number, resetMs: number): Record<string, string> {
    return {
      "x-ratelimit-limit": String(this.limit),
      "x-ratelimit-remaining": String(remaining),
      "x-ratelimit-reset": String(Math.ceil(resetMs / 1000)),
    };
  }
}
