/** The leases of one run, kept alive while it works. */
import type { Store } from "../store.ts";

/** Somebody else holds the job now: stop, and settle nothing. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** What leases need from outside; `now` is a monotonic clock in milliseconds. */
export interface LeaseDeps {
  store: Pick<Store, "renew">;
  runId: string;
  leaseMs: number;
  now: () => number;
}

/** Knows until when each lease is surely held, by our own clock. */
export class Leases {
  readonly #deps: LeaseDeps;
  readonly #heldUntil = new Map<string, number>();
  #renewing: Promise<void> | null = null;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
  }

  /** Notes leases that the database was asked for at `askedAt`: they run from before the answer. */
  add(leases: string[], askedAt: number): void {
    for (const lease of leases) {
      this.#heldUntil.set(lease, askedAt + this.#deps.leaseMs);
    }
  }

  drop(lease: string): void {
    this.#heldUntil.delete(lease);
  }

  /**
   * Makes sure that the leases are held for another `ms`: a call that lasts longer than its lease could
   * overwrite what the next holder has sent. Throws LeaseLost.
   */
  async ensure(leases: readonly string[], ms: number): Promise<void> {
    const enough = () =>
      leases.every((lease) =>
        (this.#heldUntil.get(lease) ?? 0) - this.#deps.now() >= ms
      );
    if (!enough()) await this.renew();
    if (!enough()) throw new LeaseLost();
  }

  /** Prolongs all leases; those that the database no longer knows as ours are gone. */
  async renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => this.#renewing = null);
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { store, runId, leaseMs, now } = this.#deps;
    const before = [...this.#heldUntil.keys()];
    const askedAt = now();
    const held = new Set(await store.renew(runId));
    for (const lease of before) {
      // A lease that was settled meanwhile has been dropped, and stays so.
      if (!this.#heldUntil.has(lease)) continue;
      if (held.has(lease)) this.#heldUntil.set(lease, askedAt + leaseMs);
      else this.drop(lease);
    }
  }
}
