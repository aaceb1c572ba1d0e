import { LumaError } from "./errors.ts";

/** The end of one call: its time limit, or the caller's own abort, whichever is first. */
export interface Deadline {
  /** Aborted when the call ends early. */
  signal: AbortSignal;
  /**
   * The promise's result, or a LumaError when the call ends early. A stand-in for fetch, or a body, may
   * ignore the signal: the race ends the waiting all the same.
   */
  race<T>(promise: Promise<T>): Promise<T>;
  /** Stops the clock. */
  stop(): void;
}

/** Starts the clock of a call; `timeoutMs` is in milliseconds. */
export function startDeadline(
  route: string,
  timeoutMs: number,
  caller: AbortSignal | undefined,
): Deadline {
  const controller = new AbortController();
  const early = Promise.withResolvers<never>();
  // Without a handler, a deadline that nobody is waiting on would end the process.
  early.promise.catch(() => {});
  const end = (error: LumaError) => {
    early.reject(error);
    controller.abort(error);
  };
  const timer = setTimeout(() => {
    const detail = `gave no complete answer within ${timeoutMs / 1000} s`;
    end(new LumaError({ kind: "timeout", route, detail }));
  }, timeoutMs);
  const onAbort = () => {
    const detail = "was aborted by the caller";
    end(
      new LumaError({ kind: "network", route, detail, cause: caller?.reason }),
    );
  };
  caller?.addEventListener("abort", onAbort);
  return {
    signal: controller.signal,
    race: (promise) => Promise.race([promise, early.promise]),
    stop() {
      clearTimeout(timer);
      caller?.removeEventListener("abort", onAbort);
    },
  };
}
