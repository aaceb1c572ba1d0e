/** The world in one process: the real database, the functions' own code, and a clock and a network of its own. */
import { createSimulator } from "../../luma-simulator/mod.ts";
import { appFile } from "../../stack/app_files.ts";
import { setVaultSecret } from "../../stack/database.ts";
import type { History, LumaAct, Trap } from "../acts.ts";
import { Crashes } from "../crashes.ts";
import { refusal } from "../data_api_proxy.ts";
import { type FunctionName, isRpc } from "../kill_points.ts";
import { actOnLuma } from "../luma_acts.ts";
import { Chooser } from "../random.ts";
import { FREEZE_MS, LEASE_S, type System, World } from "../world.ts";
import { VirtualClock } from "./clock.ts";
import { CronJobs } from "./cron.ts";
import { DataApi } from "../../stack/rpc.ts";
import type { HistoryDatabase } from "./database.ts";
import { Functions } from "./functions.ts";
import { type Arrival, Network } from "./network.ts";
import { NetQueue } from "./net_queue.ts";
import {
  API,
  environment,
  LUMA,
  subscribe,
  WITH_STRANGERS,
} from "./project.ts";
import { TrapSet } from "./trap_set.ts";

/** 2027-03-02, a day after what the migrations wrote. */
const START_MS = 1_803_945_600_000 + 8 * 3_600_000;

const ALL: FunctionName[] = ["luma-drain", "luma-pull", "luma-webhook"];
const WEBHOOK_RETRIES_MS = [200, 500, ...Array(120).fill(1_000)];

/** How long an outage of the database lasts. */
const OUTAGE_MS = 2_000;

type Simulator = ReturnType<typeof createSimulator>;

export class VirtualWorld extends World {
  readonly stack: System & { simulator: Simulator; functions: Functions };
  readonly crashes: Crashes;
  readonly traps = new TrapSet();
  readonly network: Network;
  readonly #clock: VirtualClock;
  readonly #choose: Chooser;
  readonly #database: HistoryDatabase;
  readonly #api: DataApi;
  readonly #cron: CronJobs;
  readonly #net: NetQueue;
  #databaseSkewMs = 0;
  #isDatabaseDown = false;
  /** Calls on their way, and those of them whose connection to the database was cut. */
  readonly #underWay = new Set<Arrival>();
  readonly #cut = new Set<Arrival>();

  private constructor(history: History, database: HistoryDatabase) {
    super(history.config);
    this.#clock = new VirtualClock(START_MS);
    this.#choose = new Chooser(history.seed + 1_000_003);
    this.#database = database;
    this.#api = new DataApi(database.service);
    this.crashes = new Crashes(() => this.#clock.now);
    const functions = new Functions(
      this.#clock,
      () => this.network,
      () => environment(this.stack, this.#secrets),
    );
    const simulator = createSimulator(LUMA, {
      now: () => this.#clock.now,
      seed: history.seed,
      calendars: WITH_STRANGERS,
      rateLimitPerMinute: this.config.callsPerMinute,
      webhookRetryMs: WEBHOOK_RETRIES_MS,
      fetch: (input, init) => this.#deliverWebhook(new Request(input, init)),
    });
    this.stack = {
      sql: database.sql,
      admin: database.admin,
      secretKey: "sb_secret_of_the_world_in_process",
      syncSecret: "sync_secret_of_the_world_in_process",
      simulator,
      functions,
      postgres: database,
    };
    this.network = new Network(this.#clock, this.#choose, {
      answer: (request, arrival) => this.#answer(request, arrival),
      sent: (arrival) => void this.#underWay.add(arrival),
      trap: (arrival, when) => this.#take(arrival, when),
      kill: (process, point) => this.crash([process.name], point),
      expireLeases: (body) => this.expireLeases(body),
    }, FREEZE_MS);
    this.#cron = new CronJobs(this.#clock, (command) => this.#run(command));
    this.#net = new NetQueue(
      database.admin,
      this.#clock,
      (name, request) => functions.handle(name, request),
    );
  }

  static async start(
    history: History,
    database: HistoryDatabase,
  ): Promise<VirtualWorld> {
    const world = new VirtualWorld(history, database);
    await database.reset(() => world.#prepareOnce());
    await database.admin`select setval('chaos.chance', ${
      history.seed * 1_000_000 + 1
    })`;
    world.#clock.install();
    try {
      await world.#setUp();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What all histories begin with. */
  async #prepareOnce(): Promise<void> {
    const { sql, syncSecret } = this.stack;
    await this.#setDatabaseClock();
    await setVaultSecret(sql, "luma_functions_url", `${API}/functions/v1`);
    await setVaultSecret(sql, "luma_sync_secret", syncSecret);
    await this.prepare();
  }

  #secrets = new Map<string, readonly string[]>();

  async #setUp(): Promise<void> {
    const { simulator } = this.stack;
    await this.#setDatabaseClock();
    this.#secrets = await subscribe(simulator);
    simulator.clearRequests();
    await this.configure();
    await this.#cron.start(this.#database.admin);
    await this.#afterwards();
  }

  newId(): string {
    const hex = Array.from(
      { length: 32 },
      () => this.#choose.below(16).toString(16),
    ).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  async pause(ms: number): Promise<void> {
    await this.#net.look();
    await this.#clock.advance(ms);
    await this.#setDatabaseClock();
  }

  async until(
    what: string,
    holds: () => boolean | Promise<boolean>,
    seconds = 60,
  ): Promise<void> {
    const deadline = this.#clock.now + seconds * 1000;
    while (!await holds()) {
      if (this.#clock.now > deadline) {
        throw new Error(`After ${seconds} s still not so: ${what}`);
      }
      await this.pause(50);
    }
  }

  arm(trap: Trap): void {
    this.traps.arm(trap);
  }

  async crash(names: FunctionName[], point: string): Promise<void> {
    const { functions, admin } = this.stack;
    const running = functions.running(names);
    functions.kill(running);
    if (running.length > 0) await this.crashes.note(admin, point);
  }

  functionsUp(): void {
    this.stack.functions.isDown = false;
  }

  async functionsDown(): Promise<void> {
    await this.crash(ALL, "");
    this.stack.functions.isDown = true;
  }

  async crashDatabase(
    signal: "SIGQUIT" | "SIGINT",
    meanwhile: LumaAct[],
  ): Promise<void> {
    await this.terminate();
    if (signal === "SIGQUIT") {
      // Unlogged tables come back empty.
      await this.stack
        .admin`truncate net.http_request_queue, net._http_response`;
    }
    this.#isDatabaseDown = true;
    for (const act of meanwhile) await actOnLuma(this, act, true);
    await this.pause(OUTAGE_MS);
    this.#isDatabaseDown = false;
  }

  terminate(): Promise<void> {
    for (const arrival of this.#underWay) this.#cut.add(arrival);
    this.#net.isCut = true;
    return Promise.resolve();
  }

  async wipeNet(): Promise<void> {
    await this.stack.admin`delete from net.http_request_queue`;
  }

  cron(on: boolean): Promise<void> {
    this.#cron.isPaused = !on;
    return Promise.resolve();
  }

  stepClock(whose: "functions" | "database", ms: number): void {
    if (whose === "functions") this.#clock.skewMs += ms;
    else this.#databaseSkewMs += ms;
  }

  async endFaults(): Promise<void> {
    this.traps.disarm();
    this.#clock.skewMs = 0;
    this.#databaseSkewMs = 0;
    this.functionsUp();
    this.#net.isPaused = true;
    this.#cron.isPaused = true;
    await this.crash(ALL, "");
    // What dead functions have sent arrives.
    await this.pause(5_000);
  }

  async ask(name: FunctionName, body?: string): Promise<void> {
    let response: Response | undefined;
    this.stack.functions.handle(name, this.#request(name, body, "?wait=1"))
      .then((answer) => response = answer);
    await this.#advanceTo(
      `${name} has answered`,
      () => response !== undefined,
      120,
    );
    await this.heardAnswer(name, response!);
  }

  async webhooksIdle(): Promise<void> {
    let isIdle = false;
    this.stack.simulator.webhooksIdle().then(() => isIdle = true);
    await this.#advanceTo("every webhook is delivered", () => isIdle, 300);
  }

  /** Longer than a lease; what waits longer is made due. */
  async passTime(): Promise<void> {
    await this.pause((LEASE_S + 5) * 1000);
    await this.makeDue([]);
    this.crashes.forget();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stack.functions.kill(ALL);
    this.#clock.uninstall();
    return Promise.resolve();
  }

  /** As until(), for what is seen without asking the database. */
  async #advanceTo(what: string, isSo: () => boolean, seconds: number) {
    await this.#net.look();
    await this.#clock.advance(seconds * 1000, isSo);
    await this.#setDatabaseClock();
    if (!isSo()) throw new Error(`After ${seconds} s still not so: ${what}`);
  }

  #request(name: FunctionName, body: string | undefined, query = ""): Request {
    return new Request(`${API}/functions/v1/${name}${query}`, {
      method: "POST",
      headers: { "x-luma-sync-secret": this.stack.syncSecret },
      body: body ?? null,
    });
  }

  async #answer(request: Request, arrival: Arrival): Promise<Response | null> {
    this.#underWay.delete(arrival);
    const url = new URL(request.url);
    if (url.origin === LUMA) return await this.stack.simulator.handle(request);
    if (!isRpc(arrival.point)) {
      return appFile(url.pathname) ?? refusal(404);
    }
    if (this.#isDatabaseDown || this.#cut.delete(arrival)) return refusal(503);
    await this.#setDatabaseClock();
    const answer = await this.#api.call(arrival.point, arrival.body);
    if (arrival.point === "luma_claim") {
      this.crashes.heard(
        { name: arrival.point, body: arrival.body },
        await answer.clone().text(),
      );
    }
    await this.#afterwards();
    return answer;
  }

  #take(arrival: Arrival, when: Trap["when"]): Trap | undefined {
    const trap = this.traps.take(arrival, when);
    if (trap) this.network.note(`${trap.point} ${when}: ${trap.how}`);
    return trap;
  }

  /** A job of pg_cron's. */
  async #run(command: string): Promise<void> {
    if (this.#isDatabaseDown) return;
    await this.#setDatabaseClock();
    await this.stack.sql.unsafe(command);
    await this.#afterwards();
  }

  /** What was just committed may have rung. */
  async #afterwards(): Promise<void> {
    await this.#net.look();
  }

  async #setDatabaseClock(): Promise<void> {
    const { admin } = this.#database;
    await admin`select setval('chaos.clock', ${
      this.#clock.now + this.#databaseSkewMs
    })`;
  }

  async #deliverWebhook(request: Request): Promise<Response> {
    await this.#clock.sleep(this.network.latency("webhook"));
    const answer = await this.stack.functions.handle("luma-webhook", request);
    await this.#clock.sleep(this.network.latency("webhook"));
    return answer;
  }
}
