/**
 * Who wrote what last, since both sides were last known to agree: what must be on both sides in the end, or have lost to
 * the other side's word and be in luma.conflicts.
 */
export type Side = "app" | "luma";

export interface Written {
  app?: unknown;
  luma?: unknown;
  /**
   * Words that may win yet, but need not be in luma.conflicts if they do not, because statuses of guests repeat: one that
   * was there, as it seems, when the other side wrote, and one that takes a side back to what it said before. Of what is
   * changed and changed back before anybody has heard of it there is nothing to tell.
   */
  perhaps?: unknown[];
}

/** One field of an event, or one person's place on its list: "<event> <field or user>". */
export class Ledger {
  readonly written = new Map<string, Written>();
  /** What a side said before the first of its words that the other may not have heard. */
  readonly #from = new Map<string, unknown>();
  readonly #said = new Map<string, unknown>();
  readonly #log = new Map<string, string[]>();

  /** `before`: what this side said until now. If that is what the other one wrote, it has arrived. */
  note(side: Side, key: string, value: unknown, before: unknown): void {
    // Said again, it is no news.
    if (value === before) return;
    const written = { ...this.written.get(key) };
    const perhaps = [...written.perhaps ?? []];
    const other = side === "app" ? "luma" : "app";
    if (written[other] === before) {
      perhaps.push(written[other]);
      delete written[other];
    }
    if (this.#said.get(`${other} ${key}`) === before) {
      this.#said.delete(`${other} ${key}`);
    }
    this.#said.set(`${side} ${key}`, value);
    const from = `${side} ${key}`;
    if (written[side] === undefined) this.#from.set(from, before);
    written[side] = value;
    // Back to what it said before, or to what the other one said before its own word: there both had agreed on it.
    if (
      this.#from.get(from) === value ||
      this.#from.get(`${other} ${key}`) === value
    ) {
      perhaps.push(value);
      delete written[side];
    }
    this.written.set(key, { ...written, perhaps });
    const at = new Date().toISOString().slice(14, 23);
    const line = `${at} ${side}: ${before} -> ${value}`;
    this.#log.set(key, [...this.#log.get(key) ?? [], line]);
  }

  /** A side's last word, also if it is one that takes it back to what it said before; undefined once it has arrived. */
  lastWord(side: Side, key: string): unknown {
    return this.#said.get(`${side} ${key}`);
  }

  /** A word that was said, and is the same as nothing: an RSVP of somebody who does not come, say. It may win. */
  allow(key: string, value: unknown): void {
    const written = this.written.get(key);
    this.written.set(key, {
      ...written,
      perhaps: [...written?.perhaps ?? [], value],
    });
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
      if (!key.startsWith(`${event} `)) continue;
      this.written.delete(key);
      this.#said.delete(`app ${key}`);
      this.#said.delete(`luma ${key}`);
    }
  }
}
