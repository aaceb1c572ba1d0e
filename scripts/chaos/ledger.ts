/**
 * Who wrote what last, since both sides were last known to agree: what must be on both sides in the end, or have lost to
 * the other side's word and be in luma.conflicts.
 */
export type Side = "app" | "luma";

export interface Written {
  app?: unknown;
  luma?: unknown;
  /**
   * A word of the other side's that was there, as it seems, when a side wrote. Statuses of guests repeat, so it may as
   * well have been an older one: this may win yet, but need not be in luma.conflicts if it does not.
   */
  perhaps?: unknown;
}

/** One field of an event, or one person's place on its list: "<event> <field or user>". */
export class Ledger {
  readonly written = new Map<string, Written>();
  readonly #log = new Map<string, string[]>();

  /** `before`: what this side said until now. If that is what the other one wrote, it has arrived. */
  note(side: Side, key: string, value: unknown, before: unknown): void {
    const written = { ...this.written.get(key) };
    const other = side === "app" ? "luma" : "app";
    if (written[other] === before) {
      written.perhaps = written[other];
      delete written[other];
    }
    this.written.set(key, { ...written, [side]: value });
    const at = new Date().toISOString().slice(14, 23);
    const line = `${at} ${side}: ${before} -> ${value}`;
    this.#log.set(key, [...this.#log.get(key) ?? [], line]);
  }

  /** How often the most written key was written. */
  get mostWrites(): number {
    return Math.max(0, ...[...this.#log.values()].map(({ length }) => length));
  }

  story(key: string): string {
    return (this.#log.get(key) ?? []).join("; ");
  }

  forgetEvent(event: number): void {
    for (const key of this.written.keys()) {
      if (key.startsWith(`${event} `)) this.written.delete(key);
    }
  }
}
