/** The system under test, those who act on it, and what they remember: on the real stack, or in one process. */
import type { LumaSimulator, SimEvent } from "../luma-simulator/mod.ts";
import type { Stack } from "../stack/mod.ts";
import type { Config, Field, LumaAct, Trap } from "./acts.ts";
import type { Crashes } from "./crashes.ts";
import type { FunctionName } from "./kill_points.ts";
import { Ledger } from "./ledger.ts";
import type { Rest } from "./rest.ts";

export interface KnownEvent {
  /** The app's row. Of a host's event not known before the row is there. */
  id?: string;
  lumaId?: string;
  /** Deleted by the app, or cancelled on Luma. */
  isOver?: boolean;
}

/** What can be looked at. */
export interface System
  extends Pick<Stack, "sql" | "admin" | "secretKey" | "syncSecret"> {
  readonly simulator: LumaSimulator;
  readonly functions: { logs(): string };
  readonly postgres: { readonly log: string };
}

/** Jobs are leased for so long; what waits for one to run out waits a little longer. */
export const LEASE_S = 15;
export const FREEZE_MS = (LEASE_S + 2) * 1000;

/** How many traps were set, and sprung: "point when how". */
export interface TrapCounts {
  readonly set: Map<string, number>;
  readonly sprung: Map<string, number>;
}

export abstract class World implements AsyncDisposable {
  readonly ledger = new Ledger();
  /** By the number of the act that made them. */
  readonly events = new Map<number, KnownEvent>();
  readonly faults = new Map<string, number>();
  /** What the app had to suffer. */
  readonly appTrouble: string[] = [];
  /** Acts that found nothing to act on, or were not to act: see mayWrite(). */
  skipped = 0;
  withheld = 0;
  appTransactions = 0;
  slowestAppMs = 0;
  /** How it came to rest. */
  rest: Rest | null = null;
  /** What the functions were seen to answer. */
  readonly answers: string[] = [];
  abstract readonly stack: System;
  abstract readonly crashes: Crashes;
  abstract readonly traps: TrapCounts;

  constructor(readonly config: Config) {}

  /** An id for a row of the app's. */
  abstract newId(): string;
  /** Leaves the system alone for so long. */
  abstract pause(ms: number): Promise<void>;
  /** Waits until a condition holds; throws, saying what was waited for, after `seconds`. */
  abstract until(
    what: string,
    holds: () => boolean | Promise<boolean>,
    seconds?: number,
  ): Promise<void>;

  /** Sets a trap for the next call that comes to a kill point. */
  abstract arm(trap: Trap): void;
  /** Kills those of the functions that run. */
  abstract crash(names: FunctionName[], point: string): Promise<void>;
  abstract functionsUp(): void;
  abstract functionsDown(): Promise<void>;
  /** Stops the database, lets Luma go on meanwhile, and starts it again. */
  abstract crashDatabase(
    signal: "SIGQUIT" | "SIGINT",
    meanwhile: LumaAct[],
  ): Promise<void>;
  /** Cuts the connections of the Data API and of pg_net. The app's own are the app's. */
  abstract terminate(): Promise<void>;
  abstract wipeNet(): Promise<void>;
  abstract cron(on: boolean): Promise<void>;
  /** Sets a clock forward or back. */
  abstract stepClock(whose: "functions" | "database", ms: number): void;
  /** Ends what traps, outages and dead functions have left; from here on a drain runs only when it is told to. */
  abstract endFaults(): Promise<void>;
  /** Calls a function, and answers what it says when it is through. Throws when that is no 2xx. */
  abstract ask(name: FunctionName, body?: string): Promise<void>;
  abstract webhooksIdle(): Promise<void>;
  abstract passTime(): Promise<void>;
  abstract [Symbol.asyncDispose](): Promise<void>;

  /** The app's people and cultures, and a sync that is live. */
  protected async prepare(): Promise<void> {
    const { sql } = this.stack;
    await sql`
      insert into public.event_cultures (slug, name, asset_file)
      values ('default', 'Other', 'Default (2).jpg'), ('food', 'Food', 'Food.png'), ('game', 'Gaming', 'Game.png')
      on conflict do nothing`;
    await sql`
      insert into public.users (id, name, email)
      select 'u' || n, 'User ' || n, 'u' || n || '@example.com' from generate_series(1, 5) n`;
    await sql`select luma.set_mode('live')`;
  }

  /** What the history wants, and settings for many crashes in a short time. */
  protected async configure(): Promise<void> {
    const { sql } = this.stack;
    const { callsPerMinute: limit, cancelOnLuma } = this.config;
    const ours = Math.floor(limit * 0.9);
    // A job is not buried for the crashes that are made here, nor does a retry wait for minutes.
    await sql`
      update luma.settings set calls_per_minute = ${ours}, calls_per_minute_total = ${
      2 * ours
    },
        cancel_on_luma = ${cancelOnLuma}, lease_seconds = ${LEASE_S}, max_crashes = 1000,
        retry_base_seconds = 0.5, retry_cap_seconds = 10, edit_spacing_ms = 100, scheduled_pulls = false`;
  }

  count(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  protected async heardAnswer(
    name: FunctionName,
    response: Response,
  ): Promise<void> {
    const answer = await response.text();
    this.answers.push(answer);
    if (!response.ok) {
      throw new Error(`${name} answered ${response.status}: ${answer}`);
    }
  }

  /** Lets the leases in this call run out. */
  async expireLeases(body: string): Promise<void> {
    const leases = body.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ??
      [];
    const { admin } = this.stack;
    await admin`
      update luma.sync_outbox set due_at = now() - interval '1 second' where lease::text = any(${leases})`;
    await admin`select luma.expire_leases()`;
  }

  /** Makes everything due that waits for its time, and the jobs of these drains, which are dead. */
  protected async makeDue(dead: string[]): Promise<void> {
    const { admin } = this.stack;
    await admin`
      update luma.sync_outbox set due_at = now() - interval '1 second'
      where due_at > now() and (lease is null or leased_by::text = any(${dead}))`;
    await admin`update luma.drain_runs set alive_until = now() where ended_at is null and id::text = any(${dead})`;
    await admin`update luma.event_links set guests_due_at = now() where guests_due_at > now()`;
    await admin`update luma.rechecks set due_at = now() where due_at > now()`;
    await admin`update luma.covers set retry_at = now() where retry_at > now()`;
  }

  /** An event that both the app and Luma may know by now; undefined for one that is over, or was never made. */
  async event(number: number): Promise<KnownEvent | undefined> {
    const known = this.events.get(number);
    if (!known || known.isOver) return undefined;
    const { sql } = this.stack;
    if (known.id !== undefined) known.lumaId ??= this.#byRow(known.id)?.id;
    else if (known.lumaId !== undefined) {
      const [row] =
        await sql`select id from public.canonical_events where luma_event_id = ${known.lumaId}`;
      known.id = row?.id;
    }
    return known;
  }

  /** The Luma event that was made for a row, whether or not anybody has heard of it. */
  #byRow(id: string): SimEvent | undefined {
    return this.stack.simulator.events().find(({ slug }) =>
      slug.includes(mark(id))
    );
  }
}

/** The part of a slug that says whose it is: see luma.slug_for(). */
export function mark(rowId: string): string {
  return rowId.replaceAll("-", "").slice(0, 12);
}

/** Luma's name of a field. */
export const LUMA_FIELD: Record<
  Field,
  "name" | "description_md" | "meeting_url" | "end_at"
> = {
  title: "name",
  description: "description_md",
  meeting_url: "meeting_url",
  ends_at: "end_at",
};
