/** The Edge Functions in process: their own handlers, with another outside world. */
import type { Env } from "../../../supabase/functions/_shared/env.ts";
import {
  answerRun,
  problem,
} from "../../../supabase/functions/_shared/http.ts";
import {
  reasonOf,
  redact,
} from "../../../supabase/functions/_shared/redact.ts";
import { createStore } from "../../../supabase/functions/_shared/store.ts";
import { drain } from "../../../supabase/functions/_shared/sync/drain.ts";
import { pull } from "../../../supabase/functions/_shared/sync/pull.ts";
import { pullRequest } from "../../../supabase/functions/_shared/sync/pull_request.ts";
import { receiveWebhook } from "../../../supabase/functions/_shared/sync/receive.ts";
import type { FunctionName } from "../kill_points.ts";
import type { VirtualClock } from "./clock.ts";
import type { Network, Process } from "./network.ts";

export class Functions {
  isDown = false;
  readonly #alive = new Map<Process, (response: Response) => void>();
  readonly #log: string[] = [];
  #numbers = 0;

  constructor(
    private readonly clock: VirtualClock,
    private readonly network: () => Network,
    private readonly env: () => Env,
  ) {}

  logs(): string {
    return this.#log.join("\n");
  }

  /** Which of them work on something. */
  running(names: FunctionName[]): FunctionName[] {
    const working = [...this.#alive.keys()].map(({ name }) => name);
    return names.filter((name) => working.includes(name));
  }

  /** Answers a request, as the platform does: also when the function dies over it. */
  handle(name: FunctionName, request: Request): Promise<Response> {
    if (this.isDown) return Promise.resolve(platformError(503, "BOOT_ERROR"));
    const process: Process = {
      name,
      number: ++this.#numbers,
      isDead: false,
      frozenUntil: 0,
      // Checking a signature takes real time.
      started: this.clock.hold(),
    };
    this.network().note(`${name} ${process.number} starts`);
    return new Promise((resolve) => {
      this.#alive.set(process, resolve);
      this.clock.as(process, () => this.#work(process, request)).then(
        resolve,
        (error) => {
          this.#say(process, String(error));
          resolve(platformError(500, "WORKER_ERROR"));
        },
      );
    });
  }

  /** Ends those that run, at once: they are never heard of again, and their callers get an error. */
  kill(names: FunctionName[]): void {
    for (const [process, resolve] of this.#alive) {
      if (!names.includes(process.name)) continue;
      process.isDead = true;
      process.started();
      this.#alive.delete(process);
      this.network().note(`${process.name} ${process.number} is killed`);
      resolve(platformError(500, "WORKER_ERROR"));
    }
  }

  async #work(process: Process, request: Request): Promise<Response> {
    const env = this.env();
    const fetch = this.network().fetchOf(process);
    const store = createStore(env, fetch);
    const log = (text: string) => this.#say(process, text);
    const now = () => this.clock.now;
    const ended = () => {
      process.started();
      this.#alive.delete(process);
    };
    if (process.name === "luma-webhook") {
      const wall = () => new Date();
      return await receiveWebhook(request, { env, store, now: wall, log })
        .finally(ended);
    }
    const deps = {
      env,
      store,
      fetch,
      now,
      sleep: (ms: number) => this.clock.sleep(ms),
      log,
    };
    const answer = (run: Promise<unknown>) =>
      answerRun(
        request,
        request.url.includes("wait=1")
          ? run
          : run.catch((error) => log(reasonOf(error))),
      );
    if (process.name === "luma-drain") {
      return await answer(drain(deps).finally(ended));
    }
    const asked = await pullRequest(request);
    if ("error" in asked) return problem(asked.error, 400);
    if (asked.request) await store.pullRequest(asked.request);
    return await answer(pull(deps).finally(ended));
  }

  #say({ name }: Process, text: string): void {
    this.#log.push(`${name}: ${redact(text)}`);
  }
}

function platformError(status: number, code: string): Response {
  return Response.json({ code }, { status });
}
