/** Where the story is played: the stack, the terminal, and the timeline of what came to Luma. */
import type { Stack } from "../stack/mod.ts";
import type { Terminal } from "./terminal.ts";
import {
  callLines,
  newestAttempt,
  type TimelineRow,
  timelineRow,
} from "./timeline.ts";
import { StoryError, waitFor } from "./wait.ts";

export interface StageOptions {
  /** With the seed's rows, and the mode off. */
  stack: Stack;
  out: Terminal;
  /** How long each wait may take. */
  timeoutMs: number;
}

/** What the chapters of the story share. */
export class Stage {
  readonly timeline: TimelineRow[] = [];
  readonly stack: Stack;
  readonly out: Terminal;

  readonly timeoutMs: number;

  constructor(private readonly options: StageOptions) {
    this.stack = options.stack;
    this.out = options.out;
    this.timeoutMs = options.timeoutMs;
  }

  /** How many calls to Luma the last change took. */
  get lastCalls(): number {
    return this.timeline.at(-1)?.calls.length ?? 0;
  }

  /** Makes a change, waits until Luma shows it and nothing is left to send, and adds it to the timeline. */
  async follow<T>(
    change: string,
    write: () => Promise<void>,
    what: string,
    look: () => T | undefined | Promise<T | undefined>,
  ): Promise<T> {
    const { sql } = this.stack;
    const before = await newestAttempt(sql);
    const sentAt = Date.now();
    await write();
    const committedAt = Date.now();
    const found = await waitFor(what, this.options, look);
    await this.#rest();
    const row = await timelineRow(sql, before, { change, sentAt, committedAt });
    for (const line of callLines(row.calls)) this.out.does(`  ${line}`);
    this.timeline.push(row);
    return found;
  }

  /** Something happens on Luma, or here; answers after how many milliseconds the app's rows show it. */
  async watch(
    what: string,
    act: () => unknown,
    look: () => Promise<true | undefined>,
  ): Promise<number> {
    const started = performance.now();
    await act();
    await waitFor(what, this.options, look);
    const ms = Math.round(performance.now() - started);
    await this.#rest();
    return ms;
  }

  /** Waits until nothing is on its way between the two. */
  async #rest(): Promise<void> {
    const { sql, simulator } = this.stack;
    await waitFor("both sides to be at rest", this.options, async () => {
      await simulator.webhooksIdle();
      // An event that has just come to Luma still brings its RSVPs.
      const [health] = await sql<{ busy: boolean }[]>`
        select waiting > 0 or in_flight > 0 as busy from luma.health`;
      return health?.busy ? undefined : true;
    });
  }

  /** Runs the drain and waits for its end, which proves more than that nothing came yet. */
  async drain(): Promise<void> {
    const { functionsUrl, syncSecret } = this.stack;
    const response = await fetch(`${functionsUrl}/luma-drain?wait=1`, {
      method: "POST",
      headers: { "x-luma-sync-secret": syncSecret },
    });
    const answer = await response.text();
    expect(response.ok, `luma-drain answered ${response.status}: ${answer}`);
  }
}

/** Throws StoryError unless the condition holds. */
export function expect(condition: unknown, otherwise: string): void {
  if (!condition) throw new StoryError(otherwise);
}
