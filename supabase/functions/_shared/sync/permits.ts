/** Permits for single calls to Luma, taken from the database's rate limiter in blocks. */
import type { Store } from "../store.ts";

/** The run's time is up before its call's turn came. */
export class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

/**
 * The database counts a permit from two seconds after it gave it (luma.permit_seconds()); less here, so that
 * a call that leaves at the last moment is still on the wire in time.
 */
const USABLE_MS = 1_500;

/** What the pool needs from outside; `now` is a monotonic clock in milliseconds. */
export interface PermitDeps {
  store: Pick<Store, "takePermits">;
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  /** After this, by the same clock, nobody waits any longer. */
  deadline: number;
}

/** The pool of one run. */
export class Permits {
  readonly #deps: PermitDeps;
  /** By calendar: until when each permit in hand may be used. */
  readonly #inHand = new Map<string, number[]>();
  readonly #refills = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, number>();

  constructor(deps: PermitDeps) {
    this.#deps = deps;
  }

  /** Adds permits that the database was asked for at `askedAt`: their time runs from before the answer. */
  add(calendar: string, count: number, askedAt: number): void {
    const usableUntil = askedAt + USABLE_MS;
    this.#of(calendar).push(...Array<number>(count).fill(usableUntil));
  }

  /** Resolves when one call may be made, and answers until when. Throws OutOfTime. */
  async take(calendar: string): Promise<number> {
    const wait = (change: 1 | -1) =>
      this.#waiting.set(calendar, (this.#waiting.get(calendar) ?? 0) + change);
    wait(1);
    try {
      while (true) {
        const usableUntil = this.#use(calendar);
        if (usableUntil !== null) return usableUntil;
        if (this.#deps.now() >= this.#deps.deadline) throw new OutOfTime();
        await this.#refill(calendar);
      }
    } finally {
      wait(-1);
    }
  }

  #of(calendar: string): number[] {
    const permits = this.#inHand.get(calendar) ?? [];
    this.#inHand.set(calendar, permits);
    return permits;
  }

  #use(calendar: string): number | null {
    const now = this.#deps.now();
    const permits = this.#of(calendar);
    // Those whose time is over are dropped: used late, they would leave the window that they count in.
    for (let permit; (permit = permits.shift()) !== undefined;) {
      if (permit > now) return permit;
    }
    return null;
  }

  /** One request for everybody who waits for this calendar. */
  async #refill(calendar: string): Promise<void> {
    let refill = this.#refills.get(calendar);
    if (!refill) {
      refill = Promise.resolve().then(() => this.#ask(calendar)).finally(() =>
        this.#refills.delete(calendar)
      );
      this.#refills.set(calendar, refill);
    }
    await refill;
  }

  async #ask(calendar: string): Promise<void> {
    const { store, now, sleep, deadline } = this.#deps;
    // Exactly as many as wait: a permit that nobody uses counts in the window all the same.
    const wanted = this.#waiting.get(calendar) ?? 1;
    const askedAt = now();
    const { granted, wait_ms } = await store.takePermits(calendar, wanted);
    this.add(calendar, granted, askedAt);
    if (granted === 0) {
      await sleep(Math.max(0, Math.min(wait_ms, deadline - now())));
    }
  }
}
