/** Permits for single calls to Luma, taken from the database's rate limiter in blocks. */
import type { Store } from "../store.ts";
import { PERMIT_USABLE_MS } from "./limits.ts";

/** The run's time is up before its call's turn came, or that turn is too far away to hold a job for it. */
export class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

/** What the pool needs from outside; `now` is a monotonic clock in milliseconds. */
export interface PermitDeps {
  store: Pick<Store, "takePermits" | "returnPermits">;
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
  readonly #asking = new Map<string, Promise<void>>();
  /** By calendar: until when there are no permits. */
  readonly #pauses = new Map<string, { until: number; over: Promise<void> }>();
  readonly #waiting = new Map<string, number>();
  #patient = 0;

  constructor(deps: PermitDeps) {
    this.#deps = deps;
  }

  /** Adds permits that were given at `givenAt` at the earliest: their time runs from before the answer. */
  add(calendar: string, count: number, givenAt: number): void {
    const usableUntil = givenAt + PERMIT_USABLE_MS;
    this.#of(calendar).push(...Array<number>(count).fill(usableUntil));
  }

  /** How many calls wait for a permit, however long it takes. */
  get waiting(): number {
    return this.#patient;
  }

  /**
   * Resolves when one call may be made, and answers until when. Throws OutOfTime: also when it would have to
   * wait for longer than `patienceMs`.
   */
  async take(calendar: string, patienceMs = Infinity): Promise<number> {
    const wait = (change: 1 | -1) => {
      this.#waiting.set(calendar, (this.#waiting.get(calendar) ?? 0) + change);
      if (patienceMs === Infinity) this.#patient += change;
    };
    wait(1);
    try {
      while (true) {
        const usableUntil = this.#use(calendar);
        if (usableUntil !== null) return usableUntil;
        if (this.#deps.now() >= this.#deps.deadline) throw new OutOfTime();
        await this.#refill(calendar, patienceMs);
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
    this.giveBack();
    return this.#of(calendar).shift() ?? null;
  }

  /**
   * Drops the permits whose time is over: used late, they would leave the window that they count in. Given back,
   * they are not lost for the minute.
   */
  giveBack(): void {
    const now = this.#deps.now();
    for (const [calendar, permits] of this.#inHand) {
      const good = permits.filter((usableUntil) => usableUntil > now);
      const unused = permits.length - good.length;
      if (unused === 0) continue;
      this.#inHand.set(calendar, good);
      // If that fails they count as used, which is safe.
      this.#deps.store.returnPermits(calendar, unused).catch(() => {});
    }
  }

  /** One request, and one wait, for everybody who waits for this calendar. */
  async #refill(calendar: string, patienceMs: number): Promise<void> {
    if (!this.#pauses.has(calendar)) await this.#askOnce(calendar);
    const pause = this.#pauses.get(calendar);
    if (!pause) return;
    if (pause.until - this.#deps.now() > patienceMs) throw new OutOfTime();
    await pause.over;
  }

  async #askOnce(calendar: string): Promise<void> {
    let asking = this.#asking.get(calendar);
    if (!asking) {
      asking = Promise.resolve().then(() => this.#ask(calendar)).finally(() =>
        this.#asking.delete(calendar)
      );
      this.#asking.set(calendar, asking);
    }
    await asking;
  }

  async #ask(calendar: string): Promise<void> {
    const { store, now, sleep, deadline } = this.#deps;
    // Exactly as many as wait: a permit that nobody uses counts in the window all the same.
    const wanted = this.#waiting.get(calendar) ?? 1;
    const askedAt = now();
    const { granted, after_ms, wait_ms } = await store.takePermits(
      calendar,
      wanted,
    );
    this.add(calendar, granted, askedAt + after_ms);
    if (granted > 0) return;
    const waitMs = Math.max(0, Math.min(wait_ms, deadline - now()));
    const over = sleep(waitMs).then(() => void this.#pauses.delete(calendar));
    this.#pauses.set(calendar, { until: now() + wait_ms, over });
  }
}
