/** The oldest items are forgotten beyond this, so that a simulator left running does not grow for ever. */
const MAX_ITEMS = 50_000;

interface Waiter<T> {
  matches: (item: T) => boolean;
  resolve: (item: T) => void;
}

/** An append-only list whose readers can wait for an item to arrive, or to change. */
export class Recorder<T> {
  readonly items: T[] = [];
  #waiters = new Set<Waiter<T>>();

  /** `what` names the items in the error of a wait that ran out of time. */
  constructor(private readonly what: string) {}

  add(item: T): T {
    this.items.push(item);
    if (this.items.length > MAX_ITEMS) this.items.shift();
    this.changed(item);
    return item;
  }

  /** Tells the waiters that an item they may have passed over looks different now. */
  changed(item: T): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.matches(item)) waiter.resolve(item);
    }
  }

  clear(): void {
    this.items.length = 0;
  }

  /** The first item, past or future, that matches; rejects after `timeoutMs`. */
  waitFor(
    matches: (item: T) => boolean,
    timeoutMs: number,
    describe: (item: T) => string,
  ): Promise<T> {
    const found = this.items.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const waiter: Waiter<T> = {
        matches,
        resolve: (item) => {
          this.#waiters.delete(waiter);
          clearTimeout(timer);
          resolve(item);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        const last = this.items.slice(-5).map(describe).join("; ") || "none";
        reject(
          new Error(
            `No ${this.what} matched within ${timeoutMs} ms. Seen: ${this.items.length}, the last: ${last}`,
          ),
        );
      }, timeoutMs);
      this.#waiters.add(waiter);
    });
  }
}
