/** Starts the Data API (@supabase/lite) in a process of its own, so that it does not share our CPU. */
import { freePort, OutputLog, spawnWatched, waitForPort } from "./processes.ts";
import type { Watchdog } from "./watchdog.ts";

export interface DataApi {
  /** The address under which /rest/v1 answers; not the one to give to clients, see gateway.ts. */
  readonly url: string;
  readonly pid: number;
  readonly log: string;
  stop(): Promise<void>;
}

export interface DataApiOptions {
  watchdog: Watchdog;
  /** As the role `authenticator`. */
  databaseUrl: string;
  secretKey: string;
  publishableKey: string;
}

/** Throws with the process's last lines when it does not come up. */
export async function startDataApi(
  { watchdog, ...options }: DataApiOptions,
): Promise<DataApi> {
  const port = freePort();
  const log = new OutputLog();
  const process = await spawnWatched(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-lock",
      "--node-modules-dir=manual",
      new URL("./data_api_server.ts", import.meta.url).href,
    ],
    env: { DATA_API: JSON.stringify({ ...options, port }), NO_COLOR: "1" },
    watchdog,
    log,
  });
  let hasEnded = false;
  process.status.then(() => hasEnded = true);
  if (!await waitForPort(port, () => hasEnded)) {
    throw new Error(
      `The Data API did not start on 127.0.0.1:${port}. It said:\n${
        log.lastLines(15)
      }`,
    );
  }
  return {
    url: `http://127.0.0.1:${port}`,
    pid: process.pid,
    get log() {
      return log.text;
    },
    stop: () => process.end("SIGKILL"),
  };
}
