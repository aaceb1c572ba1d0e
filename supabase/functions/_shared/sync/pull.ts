/**
 * Pulling: reads Luma's side. The database says which call is next (luma_pull_step) and applies what it brought; the
 * calls are made here. Each calendar's run goes on by itself, and what a killed function leaves the next one continues.
 */
import type { Env } from "../env.ts";
import { createLumaClient, type LumaClient } from "../luma/client.ts";
import { hasStatus, LumaError } from "../luma/errors.ts";
import { LUMA_ROUTES } from "../luma/routes.ts";
import type { PullResult, Store } from "../store.ts";
import { toFailure } from "./failure.ts";
import { goneEvent } from "./from_luma.ts";
import type { PullRun, PullStep } from "./job.ts";
import { type Listed, listedEvent, listedGuest } from "./listed.ts";
import { CALL_TIMEOUT_MS, PERMIT_USABLE_MS, RUN_BUDGET_MS } from "./limits.ts";

/** What a pull needs from outside; `now` is a monotonic clock in milliseconds. */
export interface PullDeps {
  env: Pick<Env, "apiKeys" | "lumaUrl">;
  store: Pick<Store, "pullBegin" | "pullStep" | "pullPause" | "noteRateLimit">;
  fetch: typeof fetch;
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  log: (message: string) => void;
}

/** `ended`: of the runs that this function took, how many are over; the others are handed on, or wait for their calendar. */
export interface PullSummary {
  runs: number;
  ended: number;
  calls: number;
}

/** How long one step may wait, so that the run is known to be alive. */
const MAX_WAIT_MS = 5_000;

/** Luma caps pages by itself; the more a page holds, the fewer calls. */
const PAGE_SIZE = 100;

/** Works on every pull that waits, until they are over or the time is up. Throws StoreError when none can be begun. */
export async function pull(deps: PullDeps): Promise<PullSummary> {
  const deadline = deps.now() + RUN_BUDGET_MS;
  const summary: PullSummary = { runs: 0, ended: 0, calls: 0 };
  // Asked again, because a run may wait for the one before it.
  while (deps.now() < deadline) {
    const runs = await deps.store.pullBegin([...deps.env.apiKeys.keys()]);
    if (runs.length === 0) break;
    summary.runs += runs.length;
    await Promise.all(runs.map((run) => work(run, deps, deadline, summary)));
  }
  return summary;
}

async function work(
  run: PullRun,
  deps: PullDeps,
  deadline: number,
  summary: PullSummary,
): Promise<void> {
  const { store, now, sleep, log } = deps;
  try {
    const client = clientFor(run, deps);
    let result: PullResult = { kind: "none" };
    while (true) {
      const askedAt = now();
      const step = await store.pullStep(run, result);
      if (step.do === "end") {
        summary.ended++;
        return;
      }
      result = { kind: "none" };
      if (step.do === "wait") {
        await sleep(
          Math.min(step.wait_ms, MAX_WAIT_MS, Math.max(0, deadline - now())),
        );
      } else if (
        now() - askedAt - step.permit_after_ms > PERMIT_USABLE_MS
      ) {
        result = { kind: "late" };
      } else {
        summary.calls++;
        result = await makeCall(step, run, client);
      }
      if (now() < deadline) continue;
      // What the last call brought is not lost.
      if (result.kind !== "none") {
        const { do: next } = await store.pullStep(run, result);
        if (next === "end") summary.ended++;
      }
      await store.pullPause(run);
      return;
    }
  } catch (error) {
    // The database is out of reach: the run's lease ends, and somebody goes on with it.
    log(
      `pull of ${run.calendar}: ${
        error instanceof Error ? error.message : error
      }`,
    );
  }
}

type Call = Exclude<PullStep, { do: "wait" | "end" }>;

async function makeCall(
  call: Call,
  run: PullRun,
  client: LumaClient,
): Promise<PullResult> {
  try {
    return await read(call, client);
  } catch (error) {
    return {
      kind: "failed",
      failure: await toFailure(error, run.calendar, client),
    };
  }
}

async function read(call: Call, client: LumaClient): Promise<PullResult> {
  switch (call.do) {
    case "get_calendar":
      return {
        kind: "calendar",
        calendar_id: (await client.getCalendar()).id,
      };
    case "list_events": {
      const { after, cursor } = call;
      const page = await client.listEventEntries({
        after,
        cursor: cursor ?? undefined,
        limit: PAGE_SIZE,
      });
      return pageOf(
        LUMA_ROUTES.listEvents,
        page,
        page.entries.map(listedEvent),
      );
    }
    case "get_event":
      return { kind: "event", entries: [await readEvent(call, client)] };
    case "list_guests": {
      const { luma_event_id: id, cursor } = call;
      const page = await client.listGuestEntries(id, {
        cursor: cursor ?? undefined,
        limit: PAGE_SIZE,
      });
      const entries = page.entries.map((entry) => listedGuest(id, entry));
      return pageOf(LUMA_ROUTES.listGuests, page, entries);
    }
  }
}

function pageOf(
  route: string,
  page: { next_cursor?: string | null; has_more: boolean },
  entries: Listed[],
): PullResult {
  const next_cursor = page.has_more ? page.next_cursor ?? null : null;
  return { kind: "page", route, entries, next_cursor };
}

async function readEvent(
  { luma_event_id: id }: { luma_event_id: string },
  client: LumaClient,
): Promise<Listed> {
  try {
    return listedEvent(await client.getEvent(id));
  } catch (error) {
    if (hasStatus(error, 404)) return { id, news: goneEvent(id) };
    // Read again at once it would be no better, and would hold up all others.
    if (error instanceof LumaError && error.kind === "invalid_response") {
      return { id, error: error.message };
    }
    throw error;
  }
}

/** The permit of each call comes with its step. */
function clientFor({ calendar }: PullRun, deps: PullDeps): LumaClient {
  const { env, fetch, store, log } = deps;
  let known: number | null = null;
  return createLumaClient({
    apiKey: env.apiKeys.get(calendar) ?? "",
    baseUrl: env.lumaUrl,
    fetch,
    timeoutMs: CALL_TIMEOUT_MS,
    onRateLimit: ({ limit }) => {
      if (!limit || limit === known) return;
      known = limit;
      store.noteRateLimit(calendar, limit).catch((error) => log(error.message));
    },
  });
}
