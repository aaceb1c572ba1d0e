/** The network in process: every call of a function, on its way there and back, with what becomes of it. */
import type { Trap } from "../acts.ts";
import { brokenAnswer, refusal } from "../data_api_proxy.ts";
import { CALLERS, type FunctionName, isRpc } from "../kill_points.ts";
import type { Chooser } from "../random.ts";
import type { Owner, VirtualClock } from "./clock.ts";

/** One request that a function works on. */
export interface Process extends Owner {
  readonly name: FunctionName;
  readonly number: number;
  /** Called once, when it makes its first call or ends: until then it works without asking anybody. */
  started: () => void;
}

/** A call that came to its place. */
export interface Arrival {
  process: Process;
  /** The kill point, or the address of what is none: an image. */
  point: string;
  body: string;
}

export interface Places {
  /** What is behind an address; null breaks the connection. */
  answer(request: Request, arrival: Arrival): Promise<Response | null>;
  /** A call has left its function. */
  sent(arrival: Arrival): void;
  /** What is planned for this call, or set as a trap. */
  trap(arrival: Arrival, when: Trap["when"]): Trap | undefined;
  kill(process: Process, point: string): Promise<void>;
  expireLeases(body: string): Promise<void>;
}

const SLOW_MS = 700;

/** How often the runtime repeats a POST whose connection broke, as its own fetch may do once. */
const REPEATED = 0.3;

export class Network {
  /** What happened, in order: the same for the same seed. */
  readonly schedule: string[] = [];
  /** How much longer a call takes, by its point or address. */
  delayMs: (point: string) => number = () => 0;

  constructor(
    readonly clock: VirtualClock,
    readonly choose: Chooser,
    readonly places: Places,
    readonly freezeMs: number,
  ) {}

  /** The fetch of one function. */
  fetchOf(process: Process): typeof fetch {
    return async (input, init) => {
      const request = new Request(input, init);
      const body = request.method === "GET" || request.method === "PUT"
        ? ""
        : await request.clone().text();
      process.started();
      const signal = init?.signal;
      const arrival = { process, point: pointOf(request), body };
      this.places.sent(arrival);
      const answered = Promise.withResolvers<Response>();
      const onAbort = () => answered.reject(signal?.reason);
      if (signal?.aborted) onAbort();
      signal?.addEventListener("abort", onAbort);
      // What is on the wire is no longer its function's.
      this.clock.as(undefined, () => {
        this.clock.after(this.latency(arrival.point), () => {
          // Dead before it was sent, or after: both happen.
          if (process.isDead && this.choose.chance(0.5)) return;
          void this.clock.during(() => this.#arrive(request, arrival, answered))
            .catch((error) => answered.reject(error));
        });
      });
      return answered.promise;
    };
  }

  latency(point: string): number {
    const choose = this.choose;
    if (choose.chance(0.02)) return 300 + choose.below(1_500);
    if (isRpc(point)) return 1 + choose.below(12);
    return 15 + choose.below(120) + this.delayMs(point) / 2;
  }

  note(what: string): void {
    this.schedule.push(`${this.clock.now} ${what}`);
  }

  async #arrive(
    request: Request,
    arrival: Arrival,
    answered: PromiseWithResolvers<Response>,
  ): Promise<void> {
    const { process, point, body } = arrival;
    this.note(`${process.name} ${process.number}: ${point}`);
    const { places } = this;
    const repeat = request.clone();
    const before = places.trap(arrival, "before");
    if (before?.how === "kill") {
      return await places.kill(process, `${point} before`);
    }
    if (before?.how === "stale") await places.expireLeases(body);
    const stopped = before && insteadOf(before);
    if (stopped !== undefined) {
      return this.#deliver(arrival, stopped, answered);
    }
    const slowly = before?.how === "slow" ? SLOW_MS : 0;
    let answer = await places.answer(request, arrival);
    const after = places.trap(arrival, "after");
    if (after?.how === "kill") {
      return await places.kill(process, `${point} after`);
    }
    if (after?.how === "freeze") {
      process.frozenUntil = this.clock.now + this.freezeMs;
    }
    const instead = after && insteadOf(after);
    if (instead === null && request.method === "POST" && !isRpc(point)) {
      // What has no answer is repeated, and the second answer is all that the function ever sees.
      const again = this.choose.chance(REPEATED);
      answer = again ? await places.answer(repeat, arrival) : null;
    } else if (instead !== undefined) answer = instead;
    this.#deliver(arrival, answer, answered, slowly);
  }

  /** Null: the connection is reset. */
  #deliver(
    { process, point }: Arrival,
    answer: Response | null,
    answered: PromiseWithResolvers<Response>,
    slowlyMs = 0,
  ): void {
    const deliver = () => {
      if (process.isDead) return;
      if (process.frozenUntil > this.clock.now) {
        this.clock.after(process.frozenUntil - this.clock.now, deliver);
      } else if (answer) answered.resolve(answer);
      else answered.reject(new TypeError("connection reset by peer"));
    };
    this.clock.after(slowlyMs + this.latency(point), deliver);
  }
}

/** What the function gets; undefined: what it asked for. */
function insteadOf({ point, how }: Trap): Response | null | undefined {
  switch (how) {
    case "lost":
      return isRpc(point) ? brokenAnswer() : null;
    case "refused":
      return refusal(503);
    case "limited":
      return Response.json({ message: "slow down" }, {
        status: 429,
        headers: { "retry-after": "1" },
      });
    default:
      return undefined;
  }
}

function pointOf(request: Request): string {
  const { pathname } = new URL(request.url);
  const rpc = /^\/rest\/v1\/rpc\/(\w+)$/.exec(pathname)?.[1];
  return rpc ?? `${request.method} ${pathname}`;
}

export function isPoint(point: string): boolean {
  return point in CALLERS;
}
