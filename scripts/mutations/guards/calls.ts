/** How often Luma may be called, and how a call is made. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const EVERY_MINUTE = onStack(
  "concurrency",
  "no minute holds more calls than the limits, over any number of drains",
);

export const CALLS: Mutation[] = [
  {
    name: "permits-calendar",
    guard: "no calendar gets more calls a minute than it may",
    in: "luma.permits_free",
    from:
      "- coalesce(sum(p.permits) filter (where p.calendar = permits_free.calendar), 0)",
    to: "",
    test: onStack(
      "concurrency",
      "a calendar alone stays within its own limit, whatever is left of the total",
    ),
  },
  {
    name: "permits-total",
    guard: "all calendars together stay within the total",
    in: "luma.permits_free",
    from: "s.calls_per_minute_total - coalesce(sum(p.permits), 0)",
    to: "s.calls_per_minute_total",
    test: EVERY_MINUTE,
  },
  {
    name: "permits-window",
    guard: "a permit counts until its call has left Luma's minute",
    in: "luma.take_permits",
    from: "secs => 60 + luma.permit_ms() / 1000.0",
    to: "secs => 1",
    test: EVERY_MINUTE,
  },
  {
    name: "permits-one-at-a-time",
    guard: "two drains do not get the same last permits",
    in: "luma.take_permits",
    from: "perform luma.lock_permits();",
    to: "",
    test: EVERY_MINUTE,
  },
  {
    name: "limit-distance",
    guard: "the limit that Luma tells is kept at a distance",
    in: "luma.permits_free",
    from: "c.rate_limit - 20",
    to: "c.rate_limit",
    test: onStack(
      "concurrency",
      "the limit that Luma tells is kept at a distance",
    ),
  },
  {
    name: "pull-share",
    guard: "pulls leave most of the minute to what is live",
    in: "luma.take_pull_permit",
    from: "used + 1 <= greatest(1, most * share) and",
    to: "",
    test: onStack(
      "pull_cost",
      "scheduled pulls take a fifth of the minute, asked ones two thirds, and the rest is left to live traffic",
    ),
  },
  {
    name: "permit-used-late",
    guard: "a permit that is used late would leave the minute it counts in",
    in: "supabase/functions/_shared/sync/permits.ts",
    from: "usableUntil > now",
    to: "usableUntil > 0",
    test: ofFunctions(
      "sync/permits",
      "a permit whose time is over is never used",
    ),
  },
  {
    name: "permit-from-the-question",
    guard: "a permit's time runs from before the database was asked",
    in: "supabase/functions/_shared/sync/permits.ts",
    from: "const usableUntil = givenAt + PERMIT_USABLE_MS;",
    to: "const usableUntil = this.#deps.now() + PERMIT_USABLE_MS;",
    test: ofFunctions(
      "sync/permits",
      "a permit's time runs from before the database was asked",
    ),
  },
  {
    name: "pull-permit-late",
    guard: "a pull makes no call on a permit that came too late",
    in: "supabase/functions/_shared/sync/pull.ts",
    from: "now() - askedAt - step.permit_after_ms > PERMIT_USABLE_MS",
    to: "false",
    test: ofFunctions(
      "sync/pull",
      "a permit that came too late is not used, and handed back",
    ),
  },
  {
    name: "call-redirect",
    guard: "no redirect carries the key to another host",
    in: "supabase/functions/_shared/luma/transport.ts",
    from:
      'const init: RequestInit = { method, headers, body, redirect: "manual" };',
    to:
      'const init: RequestInit = { method, headers, body, redirect: "follow" };',
    test: ofFunctions(
      "luma/transport",
      "a redirect is not followed, because it would carry the key elsewhere",
    ),
  },
  {
    name: "call-key-in-words",
    guard: "a key that Luma quotes is in no error",
    in: "supabase/functions/_shared/luma/transport.ts",
    from: 'redact(text.replaceAll(apiKey, "[API key]"))',
    to: "redact(text)",
    test: ofFunctions(
      "luma/transport",
      "a key that Luma quotes while refusing it is taken out",
    ),
  },
  {
    name: "call-post-in-doubt",
    guard: "a POST that Luma answered with 500 counts as perhaps done",
    in: "supabase/functions/_shared/luma/errors.ts",
    from: '(facts.kind !== "http" || (facts.status ?? 0) >= 500)',
    to: 'facts.kind !== "http"',
    test: ofFunctions(
      "luma/transport",
      "a 500 to a POST may have taken effect, to a GET it has not",
    ),
  },
  {
    name: "call-body-bound",
    guard: "an answer without end does not fill the memory",
    in: "supabase/functions/_shared/read_bounded.ts",
    from: "if (size > maxBytes) return null;",
    to: "if (size > maxBytes * 4) return null;",
    test: ofFunctions(
      "luma/answer",
      "a body is read up to the bound and no further",
    ),
  },
  {
    name: "call-list-cut-off",
    guard: "a page that announces more without a cursor is no end of a list",
    in: "supabase/functions/_shared/luma/types.ts",
    from: "!page.has_more || page.next_cursor",
    to: "page",
    test: ofFunctions(
      "luma/client",
      "a page that announces more without a cursor is refused, so that no list is cut off unseen",
    ),
  },
];
