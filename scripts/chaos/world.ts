/** The system under test, those who act on it, and what they remember. */
import type { SimEvent } from "../luma-simulator/mod.ts";
import { type Stack, startStack } from "../stack/mod.ts";
import type { Config, Field } from "./acts.ts";
import { Crashes } from "./crashes.ts";
import { type DataApiProxy, startDataApiProxy } from "./data_api_proxy.ts";
import { Ledger } from "./ledger.ts";
import type { FunctionName } from "./kill_points.ts";
import type { Rest } from "./rest.ts";
import { Traps } from "./traps.ts";

export interface KnownEvent {
  /** The app's row. Of a host's event not known before the row is there. */
  id?: string;
  lumaId?: string;
  /** Deleted by the app, or cancelled on Luma. */
  isOver?: boolean;
}

/** So long is a lease; what waits for one to run out waits a little longer. */
const LEASE_S = 15;
const FREEZE_MS = (LEASE_S + 2) * 1000;

/** Luma's own takes longer and gives up in the end; here only what a fault drops is lost. */
const WEBHOOK_RETRIES_MS = [200, 500, ...Array(120).fill(1_000)];

export class World implements AsyncDisposable {
  readonly ledger = new Ledger();
  readonly crashes = new Crashes();
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
  readonly traps: Traps;
  readonly #deadRuns = new Set<string>();
  readonly #runs = new Set<string>();

  private constructor(
    readonly stack: Stack,
    readonly config: Config,
    readonly proxy: DataApiProxy,
    traps: (world: World) => Traps,
  ) {
    this.traps = traps(this);
  }

  static async start(config: Config, postgres?: string): Promise<World> {
    // The functions call the proxy from their first request on.
    const at: { world?: World } = {};
    const proxy = startDataApiProxy({
      before: (call) =>
        at.world?.traps.before(call) ?? Promise.resolve(undefined),
      after: (call, answer) =>
        at.world?.traps.after(call, answer) ?? Promise.resolve(undefined),
    });
    try {
      const stack = await startStack({
        seed: false,
        webhooks: true,
        postgres,
        simulator: {
          rateLimitPerMinute: config.callsPerMinute,
          webhookRetryMs: WEBHOOK_RETRIES_MS,
        },
        env: { SUPABASE_URL: proxy.url },
      });
      proxy.target = stack.url;
      const world = new World(
        stack,
        config,
        proxy,
        (world) =>
          new Traps(() => stack.simulator, {
            crash: (names, point) => world.crash(names, point),
            freeze: (names) => world.freeze(names),
            expireLeases: (body) => world.expireLeases(body),
            heard: (call, answer) => {
              world.crashes.heard(call, answer);
              if (call.name === "luma_drain_start") {
                world.#runs.add(runOf(answer));
              }
            },
          }),
      );
      at.world = world;
      await world.#prepare();
      return world;
    } catch (error) {
      await proxy.stop();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    const { sql } = this.stack;
    await sql`
      insert into public.event_cultures (slug, name, asset_file)
      values ('default', 'Other', 'Default (2).jpg'), ('food', 'Food', 'Food.png'), ('game', 'Gaming', 'Game.png')
      on conflict do nothing`;
    await sql`
      insert into public.users (id, name, email)
      select 'u' || n, 'User ' || n, 'u' || n || '@example.com' from generate_series(1, 5) n`;
    const { callsPerMinute: limit, cancelOnLuma } = this.config;
    const ours = Math.floor(limit * 0.9);
    // A job is not buried for the crashes that are made here, nor does a retry wait for minutes.
    await sql`
      update luma.settings set calls_per_minute = ${ours}, calls_per_minute_total = ${
      2 * ours
    },
        cancel_on_luma = ${cancelOnLuma}, lease_seconds = ${LEASE_S}, max_crashes = 1000,
        retry_base_seconds = 0.5, retry_cap_seconds = 10, edit_spacing_ms = 100, scheduled_pulls = false`;
    await sql`select luma.set_mode('live')`;
  }

  count(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  async crash(names: FunctionName[], point: string): Promise<void> {
    const { functions, admin } = this.stack;
    const running = names.filter((name) => functions.pid(name) !== undefined);
    await Promise.all(running.map((name) => functions.kill(name)));
    if (running.includes("luma-drain")) {
      for (const run of this.#runs) this.#deadRuns.add(run);
      this.#runs.clear();
    }
    // The database may be down as well.
    if (running.length > 0) {
      await this.crashes.note(admin, point).catch(() => {});
    }
  }

  async freeze(names: FunctionName[]): Promise<void> {
    const { functions } = this.stack;
    const pids = names.flatMap((name) => functions.pid(name) ?? []);
    const signal = (name: Deno.Signal) => {
      for (const pid of pids) {
        try {
          Deno.kill(pid, name);
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error; // Killed meanwhile.
        }
      }
    };
    signal("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, FREEZE_MS));
    signal("SIGCONT");
  }

  async expireLeases(body: string): Promise<void> {
    const leases = body.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ??
      [];
    const { admin } = this.stack;
    await admin`
      update luma.sync_outbox set due_at = now() - interval '1 second' where lease::text = any(${leases})`;
    await admin`select luma.expire_leases()`;
  }

  /** For what dead drains have left, and for what waits to be tried again, time passes. */
  async passTime(): Promise<void> {
    const { admin } = this.stack;
    const dead = [...this.#deadRuns];
    await admin`
      update luma.sync_outbox set due_at = now() - interval '1 second'
      where due_at > now() and (lease is null or leased_by::text = any(${dead}))`;
    await admin`update luma.drain_runs set alive_until = now() where ended_at is null and id::text = any(${dead})`;
    await admin`update luma.event_links set guests_due_at = now() where guests_due_at > now()`;
    await admin`update luma.rechecks set due_at = now() where due_at > now()`;
    await admin`update luma.covers set retry_at = now() where retry_at > now()`;
    this.crashes.forget();
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.traps.disarm();
    // Whoever still calls the proxy would be waited for.
    await this.stack.functions.stop();
    await this.proxy.stop();
    await this.stack.stop();
  }
}

/** The part of a slug that says whose it is: see luma.slug_for(). */
export function mark(rowId: string): string {
  return rowId.replaceAll("-", "").slice(0, 12);
}

function runOf(answer: string): string {
  return /"run_id"\s*:\s*"([^"]+)"/.exec(answer)?.[1] ?? "";
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
