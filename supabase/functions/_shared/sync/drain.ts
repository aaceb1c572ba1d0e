/**
 * One run of the drain: claim, read what is unclear, push, settle, until nothing is left or the time is up.
 *
 * Many runs may be under way at once: the database gives each job to one of them (lease), gives permits for
 * calls to all of them together, and takes a settlement only from the holder of the lease. A run that dies
 * leaves leases that expire; nothing else has to be cleaned up.
 */
import type { Resolve } from "../covers/private_address.ts";
import { createLumaClient, type LumaClient } from "../luma/client.ts";
import { hasStatus } from "../luma/errors.ts";
import type { EventChanges } from "../luma/inputs.ts";
import type { Env } from "../env.ts";
import type { CallRecord, Result, Store } from "../store.ts";
import { NextRun } from "./cover.ts";
import { dryRunFetch } from "./dry_run.ts";
import { toFailure } from "./failure.ts";
import { toldFields } from "./from_luma.ts";
import type { Claim, EventJob, GuestsJob, Job, LooksJob } from "./job.ts";
import { LeaseLost, Leases } from "./leases.ts";
import { CALL_TIMEOUT_MS, RUN_BUDGET_MS } from "./limits.ts";
import { OutOfTime, Permits } from "./permits.ts";
import { pushEvent } from "./push_event.ts";
import { pushGuests } from "./push_guests.ts";
import { readEvent } from "./read_event.ts";
import { readGuests } from "./read_guests.ts";
import { readNews } from "./receive.ts";
import { settle, settleGuests } from "./settle_guests.ts";

/** What a run needs from outside. */
export interface DrainDeps {
  env: Env;
  store: Store;
  fetch: typeof fetch;
  /** Finds a host's addresses, of those that covers come from. */
  resolve?: Resolve;
  /** A monotonic clock, in milliseconds. */
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  log: (message: string) => void;
}

/** What a run did, counted in events, RSVPs and guests read; `ended` is why it stopped. */
export interface DrainSummary {
  mode: "off" | "dry_run" | "live";
  done: number;
  failed: number;
  released: number;
  calls: number;
  ended: "empty" | "time" | "next_run";
  problems: string[];
}

/** Jobs worked on at once: enough to use a calendar's 180 calls a minute at over a second a call. */
const CONCURRENCY = 6;

/** Jobs held at once, with those that wait for permits: they need neither time nor network. */
const MAX_HELD = 30;

/** RSVPs that would have to wait longer for a permit are given back: others may be sent meanwhile. */
const GUEST_PATIENCE_MS = 1_000;

/** Well within a lease. */
const RENEW_EVERY_MS = 5_000;

/** How long to look away while writers are committing. */
const PAUSE_MS = 25;

/** How long to look away while one calendar waits for permits. */
const LOOK_AGAIN_MS = 250;

/** How often to look for what is due in a moment. */
const SOON_MS = 200;

/** Runs the drain. Throws StoreError when the database cannot be reached at the start. */
export async function drain(deps: DrainDeps): Promise<DrainSummary> {
  const start = await deps.store.drainStart([...deps.env.apiKeys.keys()]);
  for (const problem of start.problems) deps.log(problem);
  const run = new Run(deps, start.run_id, start.lease_seconds * 1000, {
    mode: start.mode,
    done: 0,
    failed: 0,
    released: 0,
    calls: 0,
    ended: "empty",
    problems: start.problems,
  });
  return await run.work();
}

class Run {
  readonly #deadline: number;
  readonly #calendars: string[];
  readonly #permits: Permits;
  readonly #leases: Leases;
  readonly #inFlight = new Set<Promise<void>>();
  #conversions = 1;
  #applying: Promise<void> | null = null;

  constructor(
    readonly deps: DrainDeps,
    readonly id: string,
    leaseMs: number,
    readonly summary: DrainSummary,
  ) {
    const { store, now, sleep } = deps;
    this.#deadline = now() + RUN_BUDGET_MS;
    this.#calendars = [...deps.env.apiKeys.keys()];
    this.#permits = new Permits({
      store,
      now,
      sleep,
      deadline: this.#deadline,
    });
    this.#leases = new Leases({ store, runId: id, leaseMs, now });
  }

  async work(): Promise<DrainSummary> {
    const heartbeat = setInterval(
      // A missed beat shows when a lease is about to be used.
      () => this.#leases.renew().catch(() => {}),
      RENEW_EVERY_MS,
    );
    try {
      while (await this.#step());
      await Promise.all([...this.#inFlight, this.#applying]);
      if (this.summary.ended !== "empty") await this.#end(true);
    } finally {
      clearInterval(heartbeat);
    }
    return this.summary;
  }

  /** One round; false when the run is over. */
  async #step(): Promise<boolean> {
    if (this.summary.ended === "next_run") return false;
    if (this.deps.now() >= this.#deadline) {
      this.summary.ended = "time";
      return false;
    }
    this.#permits.giveBack();
    // Those who wait for one calendar's permits take no room from another calendar.
    const room = Math.min(
      CONCURRENCY - (this.#inFlight.size - this.#permits.waiting),
      MAX_HELD - this.#inFlight.size,
    );
    const claim = room > 0 ? await this.#claim(room) : null;
    if (claim?.jobs.length) return true;
    if (this.#inFlight.size > 0 || this.#applying) {
      // With room left, look again soon: a change may come in while a slow call is under way.
      await Promise.race([
        ...this.#inFlight,
        ...(this.#applying ? [this.#applying] : []),
        ...(room > 0 ? [this.deps.sleep(250)] : []),
      ]);
      return true;
    }
    // Work that waits for permits is work: such a run cannot end.
    const end = claim?.wait_ms == null ? await this.#end(false) : "work";
    if (end === "ended") return false;
    const pause = claim?.wait_ms ?? (end === "soon" ? SOON_MS : PAUSE_MS);
    const left = this.#deadline - this.deps.now();
    // Another calendar, which has permits, may get work meanwhile: as long as this run is active nobody rings.
    await this.deps.sleep(Math.min(pause, left, LOOK_AGAIN_MS));
    return true;
  }

  async #end(force: boolean) {
    const { calls, ended: reason } = this.summary;
    return await this.deps.store.drainEnd(
      this.id,
      this.#calendars,
      { calls, reason },
      force,
    );
  }

  async #claim(room: number): Promise<Claim> {
    const askedAt = this.deps.now();
    const claim = await this.deps.store.claim(this.id, this.#calendars, room);
    for (const [calendar, count] of Object.entries(claim.permits)) {
      this.#permits.add(calendar, count, askedAt + claim.permits_after_ms);
    }
    this.#leases.add(claim.jobs.flatMap(leasesOf), askedAt);
    for (const job of claim.jobs) {
      const work = this.#work(job, claim.mode === "dry_run").finally(() => {
        leasesOf(job).forEach((lease) => this.#leases.drop(lease));
        this.#inFlight.delete(work);
      });
      this.#inFlight.add(work);
    }
    // Beside the calls: a backlog must not hold them up.
    if (claim.deliveries_due) this.#applying ??= this.#applyDeliveries();
    return claim;
  }

  /** What came by webhook and could not be applied at once, in small transactions. */
  async #applyDeliveries(): Promise<void> {
    const { store, now, log } = this.deps;
    try {
      let more = true;
      while (more && now() < this.#deadline) {
        const deliveries = await store.applyDeliveries();
        for (const unread of deliveries.unread) {
          // Another version of these functions has received it.
          await store.readDelivery(unread.webhook_id, readNews(unread));
        }
        more = deliveries.more;
      }
    } catch (error) {
      // They stay in the inbox.
      log(error instanceof Error ? error.message : String(error));
    } finally {
      this.#applying = null;
    }
  }

  async #work(job: Job, dryRun: boolean): Promise<void> {
    try {
      if (job.entity === "event") await this.#pushEvent(job, dryRun);
      else if (job.entity === "guests") await this.#pushGuests(job, dryRun);
      else await this.#readGuests(job);
    } catch (error) {
      // The database is out of reach, or the lease was lost: there is nobody to tell, and the lease expires.
      const reason = error instanceof Error ? error.message : String(error);
      this.deps.log(`${job.entity} ${job.id}: ${reason || "lease lost"}`);
    }
  }

  async #pushGuests(job: GuestsJob, dryRun: boolean): Promise<void> {
    const { store, sleep, log } = this.deps;
    const clientFor = (calls: CallRecord[]) => this.#client(job, calls, dryRun);
    const results = await pushGuests(job, clientFor);
    const client = clientFor([]);
    await settleGuests(job, results, { client, store, sleep, log, dryRun });
    const count = (outcome: string) =>
      results.filter((result) => result.outcome === outcome).length;
    this.summary.done += count("done");
    this.summary.failed += count("failed");
    this.summary.released += count("released");
  }

  async #readGuests(job: LooksJob): Promise<void> {
    const calls: CallRecord[] = [];
    const client = this.#client(job, calls, false);
    const read = await readGuests(job, client, calls);
    await settle(job.id, read, this.deps);
    const count = (outcome: string) =>
      read.filter((settlement) => settlement.outcome === outcome).length;
    this.summary.done += count("read");
    this.summary.failed += count("failed");
    this.summary.released += count("released");
  }

  /** What is left to be sent after the event was read, if it had to be; null for nothing. Throws LeaseLost. */
  async #upToDate(
    job: EventJob,
    client: LumaClient,
  ): Promise<EventJob | null> {
    const { look, luma_event_id } = job;
    if (!look || luma_event_id === null) return job;
    const news = await readEvent({ ...job, luma_event_id }, client);
    const read = await this.deps.store.eventRead(job.lease, news);
    if (!read) throw new LeaseLost();
    return read.job;
  }

  async #pushEvent(claimed: EventJob, dryRun: boolean): Promise<void> {
    const calls: CallRecord[] = [];
    // Should the answers be lost, what comes back by webhook is known to be ours.
    const maybeTold: EventChanges = {};
    const luma = this.#client(claimed, calls, dryRun);
    const client: LumaClient = {
      ...luma,
      updateEvent: (id, changes, options) => {
        Object.assign(maybeTold, changes);
        return luma.updateEvent(id, changes, options);
      },
    };
    const { store } = this.deps;
    const { lease } = claimed;
    try {
      const job = await this.#upToDate(claimed, client);
      const result: Result = job === null
        ? { outcome: "nothing_to_do" }
        : await pushEvent(job, {
          client,
          // In dry_run nothing is created, so there is nothing to remember.
          store: dryRun
            ? {
              created: () => Promise.resolve(true),
              createAgain: () => Promise.resolve(true),
              slugTaken: () => Promise.resolve(claimed.slug),
            }
            : store,
          covers: dryRun ? null : this.#covers(),
        });
      if (dryRun) result.outcome = "dry_run";
      const told = result.sent && { sent: toldFields(result.sent) };
      if (await store.acknowledge(lease, { ...result, ...told }, calls)) {
        this.summary.done++;
      }
    } catch (error) {
      if (error instanceof LeaseLost) throw error;
      if (mayBeGone(error, claimed)) {
        // A host has deleted it, perhaps: what reading it says decides.
        return await this.#pushEvent({ ...claimed, look: true }, dryRun);
      }
      if (error instanceof NextRun || error instanceof OutOfTime) {
        if (error instanceof NextRun) this.summary.ended = "next_run";
        await store.release([lease]);
        this.summary.released++;
        return;
      }
      const failure = await toFailure(error, claimed.calendar, client);
      await store.fail(lease, failure, calls, toldFields(maybeTold));
      this.summary.failed++;
      this.deps.log(`${claimed.entity} ${claimed.id}: ${failure.message}`);
    }
  }

  #covers() {
    const { env, store, fetch, resolve, sleep } = this.deps;
    return {
      store,
      fetch,
      resolve,
      sleep,
      appUrl: env.appUrl,
      coverHosts: env.coverHosts,
      mayConvert: () => this.#conversions-- > 0,
    };
  }

  /** A client for one job: every call takes a permit under a lease that outlasts it, and is written down. */
  #client(job: Job, calls: CallRecord[], dryRun: boolean): LumaClient {
    const { env, fetch } = this.deps;
    const apiKey = env.apiKeys.get(job.calendar);
    if (!apiKey) {
      throw new Error(
        `no key for calendar ${job.calendar}, yet it was claimed`,
      );
    }
    const options = { apiKey, baseUrl: env.lumaUrl };
    if (dryRun) {
      return createLumaClient({ ...options, fetch: dryRunFetch(calls) });
    }
    return createLumaClient({
      ...options,
      fetch: recording(this.#counted(fetch), calls),
      uploadFetch: fetch,
      timeoutMs: CALL_TIMEOUT_MS,
      beforeCall: async () => {
        let usableUntil: number;
        do {
          usableUntil = await this.#permits.take(
            job.calendar,
            job.entity === "event" ? Infinity : GUEST_PATIENCE_MS,
          );
          await this.#leases.ensure(leasesOf(job), CALL_TIMEOUT_MS);
          // Prolonging the lease may have taken longer than the permit is good for.
        } while (this.deps.now() >= usableUntil);
      },
      onRateLimit: ({ limit }) => this.#noteLimit(job.calendar, limit),
    });
  }

  #counted(fetchFn: typeof fetch): typeof fetch {
    return (input, init) => {
      this.summary.calls++;
      return fetchFn(input, init);
    };
  }

  readonly #limits = new Map<string, number>();

  /** Tells the database of a limit that this run has not seen yet. */
  #noteLimit(calendar: string, limit: number | null): void {
    if (!limit || this.#limits.get(calendar) === limit) return;
    this.#limits.set(calendar, limit);
    this.deps.store.noteRateLimit(calendar, limit).catch((error) =>
      this.deps.log(error.message)
    );
  }
}

function mayBeGone(error: unknown, job: EventJob): boolean {
  return hasStatus(error, 404) && job.luma_event_id !== null && !job.look;
}

function leasesOf(job: Job): string[] {
  return job.entity === "event"
    ? [job.lease]
    : job.guests.map((guest) => guest.lease);
}

/** A fetch that writes down each call: route, when, how long, and the status if there was one. */
function recording(fetchFn: typeof fetch, calls: CallRecord[]): typeof fetch {
  return async (input, init) => {
    const started = performance.now();
    const call: CallRecord = {
      route: `${init?.method ?? "GET"} ${new URL(String(input)).pathname}`,
      at: new Date().toISOString(),
      ms: 0,
      status: null,
    };
    calls.push(call);
    try {
      const response = await fetchFn(input, init);
      call.status = response.status;
      return response;
    } finally {
      call.ms = Math.round(performance.now() - started);
    }
  };
}
