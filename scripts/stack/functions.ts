/** The Edge Functions: each a Deno process of its own, started by its first request. */
import { exists } from "./postgres_binaries.ts";
import {
  freePort,
  OutputLog,
  spawnWatched,
  waitForPort,
  type WatchedProcess,
} from "./processes.ts";
import type { Watchdog } from "./watchdog.ts";

export interface FunctionHost {
  /** Answers a request to /functions/v1/<name>, starting the function if it does not run. */
  handle(name: string, request: Request): Promise<Response>;
  /** The process of a function that runs. */
  pid(name: string): number | undefined;
  /** Ends a function's process, SIGKILL unless told otherwise; its next request starts a new one. */
  kill(name: string, signal?: Deno.Signal): Promise<void>;
  /** What one function, or all, have written. */
  logs(name?: string): string;
  /** Adds to the environment (undefined removes) and ends what runs with the old one. */
  setEnv(vars: Record<string, string | undefined>): Promise<void>;
  /** From now on every function is down: 503. */
  stop(): Promise<void>;
  start(): void;
}

export interface FunctionHostOptions {
  root: string;
  watchdog: Watchdog;
  env: Record<string, string | undefined>;
  onOutput?: (name: string, text: string) => void;
}

interface RunningFunction {
  process: WatchedProcess;
  port: number;
}

/** As the platform answers: https://supabase.com/docs/guides/functions/error-codes */
function failure(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, {
    status,
    headers: { "sb-error-code": code },
  });
}

// What Deno itself reads; anything else of our environment could hide a setting that is missing.
const PASSED_ON = [
  "PATH",
  "HOME",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  "DENO_CERT",
  "TMPDIR",
];

/** Serves `<root>/supabase/functions/<name>/index.ts` for every name that has one. */
export function createFunctionHost(options: FunctionHostOptions): FunctionHost {
  return new ProcessHost(options);
}

class ProcessHost implements FunctionHost {
  readonly #options: FunctionHostOptions;
  readonly #env: Record<string, string | undefined>;
  readonly #logs = new Map<string, OutputLog>();
  readonly #running = new Map<string, Promise<RunningFunction>>();
  readonly #pids = new Map<string, number>();
  #isDown = false;

  constructor(options: FunctionHostOptions) {
    this.#options = options;
    this.#env = { ...options.env };
  }

  handle = async (name: string, request: Request): Promise<Response> => {
    if (this.#isDown) {
      return failure(503, "BOOT_ERROR", "The functions are stopped.");
    }
    if (!await exists(this.#entryPoint(name))) {
      return failure(404, "NOT_FOUND", `There is no function ${name}.`);
    }
    let target: RunningFunction;
    try {
      target = await this.#ensure(name);
    } catch (error) {
      return failure(
        503,
        "BOOT_ERROR",
        error instanceof Error ? error.message : String(error),
      );
    }
    try {
      return await forward(request, target.port);
    } catch (error) {
      return failure(
        500,
        "WORKER_ERROR",
        `The function ${name} ended or hung up: ${error}`,
      );
    }
  };

  pid = (name: string): number | undefined => this.#pids.get(name);

  kill = async (
    name: string,
    signal: Deno.Signal = "SIGKILL",
  ): Promise<void> => {
    const present = await this.#running.get(name)?.catch(() => undefined);
    await present?.process.end(signal);
  };

  logs = (name?: string): string => {
    if (name !== undefined) return this.#logs.get(name)?.text ?? "";
    return [...this.#logs].map(([name, log]) => `--- ${name}\n${log.text}`)
      .join("\n");
  };

  setEnv = async (vars: Record<string, string | undefined>): Promise<void> => {
    Object.assign(this.#env, vars);
    await this.#killAll();
  };

  stop = async (): Promise<void> => {
    this.#isDown = true;
    await this.#killAll();
  };

  start = (): void => {
    this.#isDown = false;
  };

  #entryPoint(name: string): string {
    return `${this.#options.root}/supabase/functions/${name}/index.ts`;
  }

  async #killAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((name) => this.kill(name)));
  }

  #ensure(name: string): Promise<RunningFunction> {
    const present = this.#running.get(name);
    if (present) return present;
    const starting = this.#launch(name);
    this.#running.set(name, starting);
    starting.catch(() => this.#running.delete(name));
    return starting;
  }

  async #launch(name: string): Promise<RunningFunction> {
    const { root, watchdog, onOutput } = this.#options;
    const log = this.#logs.get(name) ?? new OutputLog();
    this.#logs.set(name, log);
    const port = freePort();
    // What Deno.serve says. That the port answers is not enough: another program may have taken it meanwhile.
    let isListening = false;
    const process = await spawnWatched(Deno.execPath(), {
      args: [
        ...[
          "run",
          "--no-prompt",
          "--no-lock",
          // It is made when we start; else each process looks it through, one after the other.
          "--node-modules-dir=manual",
          "--allow-net",
          "--allow-env",
          `--allow-read=${root}`,
        ],
        this.#entryPoint(name),
      ],
      cwd: root,
      clearEnv: true,
      env: {
        ...withoutUndefined(PASSED_ON.map((key) => [key, Deno.env.get(key)])),
        ...withoutUndefined(Object.entries(this.#env)),
        NO_COLOR: "1",
        DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}`,
      },
      watchdog,
      log,
      onOutput: (text) => {
        isListening ||= text.includes(`:${port}`);
        onOutput?.(name, text);
      },
    });
    this.#pids.set(name, process.pid);
    let hasEnded = false;
    process.status.then(() => {
      hasEnded = true;
      if (this.#pids.get(name) !== process.pid) return; // Already replaced by a new one.
      this.#pids.delete(name);
      this.#running.delete(name);
    });
    while (!isListening && !hasEnded) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (isListening && await waitForPort(port, () => hasEnded)) {
      return { process, port };
    }
    throw new Error(
      `The function ${name} did not start. It said:\n${log.lastLines(15)}`,
    );
  }
}

function withoutUndefined(
  entries: [string, string | undefined][],
): Record<string, string> {
  return Object.fromEntries(
    entries.flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value]]
    ),
  );
}

async function forward(request: Request, port: number): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  // The platform cuts /functions/v1 off, so a function sees /<name>.
  const path = pathname.replace(/^\/functions\/v1/, "");
  const response = await fetch(`http://127.0.0.1:${port}${path}${search}`, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    redirect: "manual",
  });
  const headers = new Headers(response.headers);
  // The platform serves no web pages (https://supabase.com/docs/guides/functions/limits).
  if (
    request.method === "GET" &&
    headers.get("content-type")?.startsWith("text/html")
  ) {
    headers.set("content-type", "text/plain");
  }
  return new Response(response.body, { status: response.status, headers });
}
