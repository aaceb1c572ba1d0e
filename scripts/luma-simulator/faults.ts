import { z } from "zod";
import { ApiError } from "./errors.ts";
import type { Random } from "./ids.ts";
import { webhookType } from "./schema_fields.ts";
import { validate } from "./validate.ts";

/** Which of the matching requests or webhooks it hits: `count` of them, from the `nth` (1) on. */
const occurrence = {
  calendar: z.string().optional(),
  /** The first match that is hit, counted from 1. */
  nth: z.int().min(1).default(1),
  /** How many are hit; without it all, until the fault is removed. */
  count: z.int().min(1).optional(),
  /** The share of them that is hit, by chance; 0.05 is one in twenty. */
  chance: z.number().gt(0).max(1).default(1),
};

const requestFault = z.strictObject({
  on: z.literal("request").default("request"),
  method: z.enum(["GET", "POST"]).optional(),
  /** The whole path, or its start with a `*` at the end. */
  path: z.string().startsWith("/").optional(),
  key: z.string().optional(),
  /** A text that the raw body holds, for example a guest's e-mail. */
  contains: z.string().min(1).optional(),
  ...occurrence,
  /** Whether status, close and hang strike before the request has its effect, or after it. */
  when: z.enum(["before", "after"]).default("before"),
  /** Waits this long before anything else, in milliseconds. */
  latencyMs: z.number().min(0).optional(),
  /** Answers this status with `{ message }`. */
  status: z.int().min(400).max(599).optional(),
  message: z.string().optional(),
  /** Sent as Retry-After, in seconds. */
  retryAfterS: z.number().min(0).optional(),
  /** Closes the connection without an answer. */
  close: z.boolean().default(false),
  /** Holds the request until the fault is released or removed. */
  hang: z.boolean().default(false),
});

const webhookFault = z.strictObject({
  on: z.literal("webhook"),
  type: webhookType.exclude(["*"]).optional(),
  ...occurrence,
  /** Never sends it. */
  drop: z.boolean().default(false),
  /** Sends it this many more times, with the same Webhook-Id. */
  duplicate: z.int().min(0).default(0),
  delayMs: z.number().min(0).default(0),
  /** Lets the endpoint's next webhook go first; alone, it leaves after a second. */
  reorder: z.boolean().default(false),
  /** Holds it until the fault is released or removed. */
  hold: z.boolean().default(false),
});

export type RequestFault = z.output<typeof requestFault>;
export type WebhookFault = z.output<typeof webhookFault>;
/** What a test writes: only the matchers and effects it cares for; `on` is "request" when left out. */
export type Fault = z.input<typeof requestFault> | z.input<typeof webhookFault>;

/** `input` with its defaults. @throws ApiError 400 that names what is wrong with it. */
export function checkedFault(input: unknown): RequestFault | WebhookFault {
  // Chosen by hand, because the error of a union of both would not name the field.
  const { on } = validate(z.looseObject({ on: z.string().optional() }), input);
  const fault = validate(on === "webhook" ? webhookFault : requestFault, input);
  const effects = fault.on === "webhook"
    ? ["drop", "duplicate", "delayMs", "reorder", "hold"] as const
    : ["latencyMs", "status", "close", "hang"] as const;
  if (effects.some((effect) => Reflect.get(fault, effect))) return fault;
  throw new ApiError(
    400,
    `a fault on a ${fault.on} needs an effect: one of ${effects.join(", ")}`,
  );
}

/** A fault that is set; keep it to wait for it, or to let go of what it holds. */
export interface FaultHandle {
  readonly id: string;
  readonly fault: RequestFault | WebhookFault;
  /** How many requests or webhooks it has hit. */
  readonly hits: number;
  /** Resolves when it has hit `hits` times; with `when: "after"` the effect has happened by then. */
  waitForHit(hits?: number, timeoutMs?: number): Promise<void>;
  /** Lets what it holds now go on, and takes the fault away. */
  remove(): void;
  /** Lets what it holds now go on; later matches are held again. */
  release(): void;
}

class ActiveFault implements FaultHandle {
  hits = 0;
  #matches = 0;
  #held: (() => void)[] = [];
  #waiting: { hits: number; resolve: () => void }[] = [];

  constructor(
    readonly id: string,
    readonly fault: RequestFault | WebhookFault,
    readonly remove: () => void,
    private readonly random: Random,
  ) {}

  /** Counts a match; true when this one is to be hit. */
  strikes(): boolean {
    this.#matches += 1;
    const { nth, count = Infinity, chance } = this.fault;
    return this.#matches >= nth && this.#matches < nth + count &&
      this.random() < chance;
  }

  hit(): void {
    this.hits += 1;
    for (const waiter of this.#waiting) {
      if (this.hits >= waiter.hits) waiter.resolve();
    }
  }

  hold(): Promise<void> {
    return new Promise((resolve) => this.#held.push(resolve));
  }

  release(): void {
    for (const go of this.#held.splice(0)) go();
  }

  waitForHit(hits = 1, timeoutMs = 10_000): Promise<void> {
    if (this.hits >= hits) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(
          new Error(
            `Fault ${this.id} was hit ${this.hits} of ${hits} times within ${timeoutMs} ms: ${
              JSON.stringify(this.fault)
            }`,
          ),
        );
      }, timeoutMs);
      this.#waiting.push({
        hits,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }
}

export type { ActiveFault };

/** The faults that are set, in the order they were added; the first that strikes is the one applied. */
export class Faults {
  #active: ActiveFault[] = [];
  #last = 0;

  constructor(private readonly random: Random) {}

  add(fault: RequestFault | WebhookFault): FaultHandle {
    const id = `fault-${++this.#last}`;
    const active = new ActiveFault(id, fault, () => {
      this.#active = this.#active.filter((other) => other !== active);
      active.release();
    }, this.random);
    this.#active.push(active);
    return active;
  }

  clear(): void {
    for (const active of [...this.#active]) active.remove();
  }

  list(): FaultHandle[] {
    return [...this.#active];
  }

  forRequest(request: {
    method: string;
    path: string;
    key: string | null;
    calendar: string | null;
    body: string;
  }): { active: ActiveFault; fault: RequestFault } | undefined {
    for (const active of this.#active) {
      const { fault } = active;
      if (fault.on !== "request") continue;
      const matches = same(fault.method, request.method) &&
        samePath(fault.path, request.path) &&
        same(fault.key, request.key) &&
        same(fault.calendar, request.calendar) &&
        request.body.includes(fault.contains ?? "");
      if (matches && active.strikes()) return { active, fault };
    }
    return undefined;
  }

  forWebhook(
    type: string,
    calendar: string,
  ): { active: ActiveFault; fault: WebhookFault } | undefined {
    for (const active of this.#active) {
      const { fault } = active;
      if (fault.on !== "webhook") continue;
      const matches = same(fault.type, type) && same(fault.calendar, calendar);
      if (matches && active.strikes()) return { active, fault };
    }
    return undefined;
  }
}

function same(wanted: string | undefined, actual: string | null): boolean {
  return wanted === undefined || wanted === actual;
}

function samePath(wanted: string | undefined, actual: string): boolean {
  return wanted?.endsWith("*")
    ? actual.startsWith(wanted.slice(0, -1))
    : same(wanted, actual);
}
