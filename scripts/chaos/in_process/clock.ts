/** Time that passes only when it is told to: timers, dates and time limits of everything in this process. */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";

/** Whose timer it is: a function that is dead or frozen hears none. */
export interface Owner {
  isDead: boolean;
  /** By the clock, in milliseconds. */
  frozenUntil: number;
}

interface Timer {
  id: number;
  at: number;
  every: number | null;
  owner: Owner | undefined;
  ring: () => void;
}

type Callback = (...args: unknown[]) => void;

/** Turns of the event loop without anything new, after which nothing more comes by itself. */
const QUIET_TURNS = 3;

export class VirtualClock {
  /** Of the machine's wall clock, as the functions see it, against the true time. */
  skewMs = 0;
  readonly #owners = new AsyncLocalStorage<Owner | undefined>();
  readonly #timers = new Map<number, Timer>();
  #ids = 0;
  #busy = 0;
  #activity = 0;
  #onIdle = () => {};
  #restore: (() => void) | undefined;

  /** `now`: epoch milliseconds. */
  constructor(public now: number) {}

  /** Runs work whose timers belong to `owner`; undefined: to nobody who can die. */
  as<T>(owner: Owner | undefined, work: () => T): T {
    return this.#owners.run(owner, work);
  }

  /** Work that takes real time, for which the clock waits. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const done = this.hold();
    try {
      return await work();
    } finally {
      done();
    }
  }

  /** The clock waits until the answered function is called. */
  hold(): () => void {
    this.#busy++;
    let isHeld = true;
    return () => {
      if (isHeld) this.#busy--;
      isHeld = false;
      this.#activity++;
      if (this.#busy === 0) this.#onIdle();
    };
  }

  after(ms: number, work: () => void): number {
    return this.#add(work, ms, null);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets so much time pass, and all that happens in it. `isOver` ends it early. */
  async advance(ms: number, isOver: () => boolean = () => false) {
    const until = this.now + ms;
    await this.#quiet();
    while (!isOver()) {
      const next = this.#next();
      if (!next || next.at > until) {
        this.now = until;
        return;
      }
      this.now = Math.max(this.now, next.at);
      this.#ring(next);
      await this.#quiet();
    }
  }

  /** Puts this clock in the place of the machine's. */
  install(): void {
    const wall = () => this.wall;
    const target: Record<string, unknown> = globalThis as never;
    const names = [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "Date",
    ];
    const machine = names.map((name) => [name, target[name]] as const);
    const machineTimeout = AbortSignal.timeout;
    const MachineDate = Date;
    const clear = (id?: number) => void this.#timers.delete(Number(id));
    Object.assign(target, {
      setTimeout: (work: Callback, ms = 0, ...args: unknown[]) =>
        this.#add(() => work(...args), ms, null),
      setInterval: (work: Callback, ms = 0, ...args: unknown[]) =>
        this.#add(() => work(...args), ms, Math.max(1, ms)),
      clearTimeout: clear,
      clearInterval: clear,
      Date: class extends MachineDate {
        constructor(...args: [] | [string | number | Date]) {
          // Several numbers are passed on as they are.
          super(...(args.length > 0 ? args : [wall()]) as [number]);
        }
        static override now(): number {
          return wall();
        }
      },
    });
    AbortSignal.timeout = (ms) => {
      const controller = new AbortController();
      this.#add(
        () => controller.abort(new DOMException("Timed out", "TimeoutError")),
        ms,
        null,
      );
      return controller.signal;
    };
    this.#restore = () => {
      for (const [name, value] of machine) target[name] = value;
      AbortSignal.timeout = machineTimeout;
    };
  }

  uninstall(): void {
    this.#restore?.();
    this.#timers.clear();
  }

  /** What the machine's wall clock says. */
  get wall(): number {
    return this.now + this.skewMs;
  }

  #add(work: () => void, ms: number, every: number | null): number {
    const owner = this.#owners.getStore();
    const ring = owner ? () => this.as(owner, work) : work;
    const id = ++this.#ids;
    this.#timers.set(id, {
      id,
      at: this.now + Math.max(0, ms),
      every,
      owner,
      ring,
    });
    this.#activity++;
    return id;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers.values()) {
      if (!next || timer.at < next.at) next = timer;
    }
    return next;
  }

  #ring(timer: Timer): void {
    const { owner } = timer;
    if (owner && !owner.isDead && owner.frozenUntil > this.now) {
      timer.at = owner.frozenUntil;
      return;
    }
    if (timer.every === null || owner?.isDead) this.#timers.delete(timer.id);
    else timer.at = this.now + timer.every;
    if (!owner?.isDead) timer.ring();
  }

  /** Until everybody waits for a timer. */
  async #quiet(): Promise<void> {
    let seen = -1;
    for (let turns = 0; turns < QUIET_TURNS; turns++) {
      if (this.#busy > 0) {
        await new Promise<void>((resolve) => this.#onIdle = resolve);
      }
      await new Promise<void>((resolve) => setImmediate(() => resolve()));
      if (this.#busy > 0 || seen !== this.#activity) turns = -1;
      seen = this.#activity;
    }
  }
}
