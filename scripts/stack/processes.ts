/** Child processes of the stack: watched, with their output kept for error messages. */
import type { EndSignal, Watchdog } from "./watchdog.ts";

/** The last lines of a process's output. */
export class OutputLog {
  #text = "";

  constructor(private readonly charactersMax = 200_000) {}

  add(text: string): void {
    this.#text = (this.#text + text).slice(-this.charactersMax);
  }

  get text(): string {
    return this.#text;
  }

  lastLines(count: number): string {
    return this.#text.trimEnd().split("\n").slice(-count).join("\n");
  }
}

export interface WatchedProcess {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  /** Gives a program with `hasInput` its whole input. */
  write(text: string): Promise<void>;
  /** Sends `signal` and waits for the end; returns at once when it has ended already. */
  end(signal: Deno.Signal): Promise<void>;
}

export interface SpawnOptions
  extends Omit<Deno.CommandOptions, "stdin" | "stdout" | "stderr"> {
  watchdog: Watchdog;
  /** What the watchdog sends when this process goes away first. */
  endSignal?: EndSignal;
  /** The program reads what write() gives it. Default false: nothing. */
  hasInput?: boolean;
  log: OutputLog;
  /** Called with each piece of the output, for those who wait for a line in it. */
  onOutput?: (text: string) => void;
}

/** Starts a program that dies with the stack. Its output goes to `options.log`. */
export async function spawnWatched(
  command: string,
  { watchdog, endSignal, hasInput = false, log, onOutput, ...options }:
    SpawnOptions,
): Promise<WatchedProcess> {
  const child = new Deno.Command(command, {
    ...options,
    stdin: hasInput ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await watchdog.watch(child.pid, endSignal);
  const keep = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      log.add(text);
      onOutput?.(text);
    }
  };
  const input = hasInput ? child.stdin.getWriter() : undefined;
  const drained = Promise.all([keep(child.stdout), keep(child.stderr)]);
  let running = true;
  const status = child.status.then(async (status) => {
    running = false;
    // Before anything else can get the same pid.
    await watchdog.unwatch(child.pid);
    await drained;
    await input?.abort().catch(() => {}); // Written and closed already, or never asked for.
    return status;
  });
  return {
    pid: child.pid,
    status,
    write: async (text) => {
      await input?.write(new TextEncoder().encode(text));
      await input?.close();
    },
    end: async (signal) => {
      if (running) child.kill(signal);
      await status;
    },
  };
}

/** A TCP port on 127.0.0.1 that was free a moment ago. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    return listener.addr.port;
  } finally {
    listener.close();
  }
}

/** Connects to `port` until something listens there or `ended` says that nothing ever will. */
export async function waitForPort(
  port: number,
  ended: () => boolean,
): Promise<boolean> {
  while (!ended()) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  return false;
}
