/** The world on the real stack: real processes, real time. */
import { type Stack, startStack } from "../stack/mod.ts";
import type { Config, LumaAct, Trap } from "./acts.ts";
import { Crashes } from "./crashes.ts";
import { type DataApiProxy, startDataApiProxy } from "./data_api_proxy.ts";
import type { FunctionName } from "./kill_points.ts";
import { actOnLuma } from "./luma_acts.ts";
import { Traps } from "./traps.ts";
import { databaseIsBack, impatient, until } from "./wait.ts";
import { FREEZE_MS, World } from "./world.ts";

/** Luma's own takes longer and gives up in the end; here only what a fault drops is lost. */
const WEBHOOK_RETRIES_MS = [200, 500, ...Array(120).fill(1_000)];

const ALL: FunctionName[] = ["luma-drain", "luma-pull", "luma-webhook"];

export class StackWorld extends World {
  readonly crashes = new Crashes(() => performance.now());
  readonly traps: Traps;
  readonly #deadRuns = new Set<string>();
  readonly #runs = new Set<string>();

  private constructor(
    readonly stack: Stack,
    config: Config,
    readonly proxy: DataApiProxy,
  ) {
    super(config);
    this.traps = new Traps(() => stack.simulator, {
      crash: (names, point) => this.crash(names, point),
      freeze: (names) => this.freeze(names),
      expireLeases: (body) => this.expireLeases(body),
      heard: (call, answer) => {
        this.crashes.heard(call, answer);
        if (call.name === "luma_drain_start") this.#runs.add(runOf(answer));
      },
    });
  }

  static async start(config: Config, postgres?: string): Promise<StackWorld> {
    // The functions call the proxy from their first request on.
    const at: { world?: StackWorld } = {};
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
      const world = new StackWorld(stack, config, proxy);
      at.world = world;
      await world.configure();
      await world.prepare();
      return world;
    } catch (error) {
      await proxy.stop();
      throw error;
    }
  }

  newId(): string {
    return crypto.randomUUID();
  }

  async pause(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  until = until;

  arm(trap: Trap): void {
    this.traps.arm(trap);
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

  functionsUp(): void {
    this.stack.functions.start();
  }

  async functionsDown(): Promise<void> {
    await this.crash(ALL, "");
    await this.stack.functions.stop();
  }

  async crashDatabase(
    signal: "SIGQUIT" | "SIGINT",
    meanwhile: LumaAct[],
  ): Promise<void> {
    const { stack } = this;
    await stack.stopPostgres(signal);
    for (const act of meanwhile) await actOnLuma(this, act, true);
    await stack.startPostgres();
    await databaseIsBack(stack);
  }

  async terminate(): Promise<void> {
    await this.stack.admin`
      select pg_terminate_backend(pid) from pg_stat_activity
      where usename = 'authenticator' or application_name like 'pg_net%'`;
  }

  async wipeNet(): Promise<void> {
    // What is being sent just now is gone anyway.
    await this.stack.admin`
      delete from net.http_request_queue where id in (select id from net.http_request_queue for update skip locked)`;
  }

  async cron(on: boolean): Promise<void> {
    const { cron } = this.stack;
    await (on ? cron.resume() : cron.pause());
  }

  stepClock(): never {
    throw new Error("The real stack has the clock of this machine: use --fast");
  }

  async endFaults(): Promise<void> {
    const { stack } = this;
    await this.traps.disarm();
    stack.functions.start();
    // So that time can be made to pass between two drains.
    await stack.net.pause();
    await stack.cron.pause();
    await this.crash(ALL, "");
    await databaseIsBack(stack);
    await until("no call of a dead function is under way", async () => {
      const [busy] = await stack.admin`
        select count(*)::int as calls from pg_stat_activity where usename = 'authenticator' and state <> 'idle'`;
      return busy!.calls === 0;
    });
  }

  async ask(name: FunctionName, body?: string): Promise<void> {
    const { functionsUrl, syncSecret } = this.stack;
    const response = await fetch(`${functionsUrl}/${name}?wait=1`, {
      method: "POST",
      headers: { "x-luma-sync-secret": syncSecret },
      body: body ?? null,
      client: impatient,
    });
    await this.heardAnswer(name, response);
  }

  async webhooksIdle(): Promise<void> {
    let isIdle = false;
    this.stack.simulator.webhooksIdle().then(() => isIdle = true);
    await until("every webhook is delivered", () => isIdle, 120);
  }

  /** For what dead drains have left, and for what waits to be tried again, time passes. */
  async passTime(): Promise<void> {
    await this.makeDue([...this.#deadRuns]);
    this.crashes.forget();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.traps.disarm();
    // Whoever still calls the proxy would be waited for.
    await this.stack.functions.stop();
    await this.proxy.stop();
    await this.stack.stop();
  }
}

function runOf(answer: string): string {
  return /"run_id"\s*:\s*"([^"]+)"/.exec(answer)?.[1] ?? "";
}
