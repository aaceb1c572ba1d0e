/** Sets traps at kill points, on both boundaries, and springs them on the next call that comes there. */
import type { FaultHandle, LumaSimulator } from "../luma-simulator/mod.ts";
import type { Trap } from "./acts.ts";
import {
  brokenAnswer,
  type Instead,
  type Interceptor,
  refusal,
  type RpcCall,
} from "./data_api_proxy.ts";
import { CALLERS, type FunctionName, isRpc } from "./kill_points.ts";

/** What a trap does to the functions. */
export interface Hands {
  /** Kills those of them that run. */
  crash(names: FunctionName[], point: string): Promise<void>;
  /** Stops them until every lease that they hold has run out. */
  freeze(names: FunctionName[]): Promise<void>;
  /** Lets the leases in this call run out. */
  expireLeases(body: string): Promise<void>;
  /** Every call that came through, with its answer. */
  heard(call: RpcCall, answer: string): void;
}

/** How often to look whether a trap at one of Luma's routes was sprung. */
const LOOK_EVERY_MS = 5;

const SLOW_MS = 700;

interface RouteTrap extends Trap {
  fault: FaultHandle;
}

export class Traps implements Interceptor {
  /** How many were set, and sprung: "point when how". */
  readonly set = new Map<string, number>();
  readonly sprung = new Map<string, number>();
  #rpc: Trap[] = [];
  #routes: RouteTrap[] = [];
  #springing = new Set<Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    readonly simulator: () => LumaSimulator,
    readonly hands: Hands,
  ) {}

  arm(trap: Trap): void {
    count(this.set, trap);
    if (isRpc(trap.point)) {
      this.#rpc.push(trap);
      return;
    }
    this.#routes.push({
      ...trap,
      fault: this.simulator().faults.add(routeFault(trap)),
    });
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** Takes every trap away, and waits until none is being sprung. */
  async disarm(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#look();
    this.#rpc = [];
    for (const { fault } of this.#routes.splice(0)) fault.remove();
    await Promise.all(this.#springing);
  }

  async before(call: RpcCall): Promise<Instead> {
    const trap = this.#take(call.name, "before");
    if (!trap) return undefined;
    if (trap.how === "slow") {
      await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    }
    if (trap.how === "stale") await this.hands.expireLeases(call.body);
    return await this.#instead(trap);
  }

  async after(call: RpcCall, answer: string): Promise<Instead> {
    this.hands.heard(call, answer);
    const trap = this.#take(call.name, "after");
    return trap && await this.#instead(trap);
  }

  #take(name: string, when: Trap["when"]): Trap | undefined {
    const at = this.#rpc.findIndex((trap) =>
      trap.point === name && trap.when === when
    );
    const [trap] = at < 0 ? [] : this.#rpc.splice(at, 1);
    if (trap) count(this.sprung, trap);
    return trap;
  }

  async #instead(trap: Trap): Promise<Instead> {
    if (trap.how === "kill") {
      await this.hands.crash(callers(trap), `${trap.point} ${trap.when}`);
      return refusal(503);
    }
    if (trap.how === "lost") return brokenAnswer();
    return trap.how === "refused" ? refusal(503) : undefined;
  }

  /** The simulator holds the call of a trap that was sprung. */
  #look(): void {
    for (const trap of this.#routes.filter(({ fault }) => fault.hits > 0)) {
      this.#routes.splice(this.#routes.indexOf(trap), 1);
      count(this.sprung, trap);
      const done = this.#spring(trap).finally(() => {
        trap.fault.remove();
        this.#springing.delete(done);
      });
      this.#springing.add(done);
    }
  }

  async #spring(trap: RouteTrap): Promise<void> {
    if (trap.how === "kill") {
      await this.hands.crash(callers(trap), `${trap.point} ${trap.when}`);
    }
    if (trap.how === "freeze") await this.hands.freeze(callers(trap));
  }
}

function callers({ point }: Trap): FunctionName[] {
  return CALLERS[point] ?? [];
}

function count(counts: Map<string, number>, { point, when, how }: Trap): void {
  const name = `${point} ${when} ${how}`;
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function routeFault({ point, when, how }: Trap) {
  const [method, path] = point.split(" ") as ["GET" | "POST", string];
  const at = { method, path, when, count: 1 };
  switch (how) {
    case "kill":
      // Held until the function is dead; then it has no effect, or had it.
      return { ...at, hang: true, close: when === "before" };
    case "freeze":
      return { ...at, hang: true };
    case "lost":
      return { ...at, close: true };
    case "refused":
      return { ...at, status: 503 };
    case "limited":
      return { ...at, status: 429, retryAfterS: 1 };
    case "slow":
      return { ...at, latencyMs: SLOW_MS };
    case "stale":
      throw new Error(
        `${how} is for calls that settle a job, not for ${point}`,
      );
  }
}
