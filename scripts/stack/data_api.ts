/** Starts the Data API (@supabase/lite) in a process of its own, so that it does not share our CPU. */
import { freePort, OutputLog, spawnWatched, waitForPort } from "./processes.ts";
import type { Watchdog } from "./watchdog.ts";

export interface DataApi {
  /**
   * Serves a database that is ready; answers the address under which /rest/v1 is, not the one to give to
   * clients, see gateway.ts. Throws with the process's last lines when it does not come up.
   */
  serve(options: DataApiOptions): Promise<string>;
  stop(): Promise<void>;
}

export interface DataApiOptions {
  /** As the role `authenticator`. */
  databaseUrl: string;
  secretKey: string;
  publishableKey: string;
  /** What users' tokens are signed with (HS256). */
  jwtSecret: string;
}

/** Starts the process, which loads its modules while there is no database yet. */
export async function launchDataApi(watchdog: Watchdog): Promise<DataApi> {
  const log = new OutputLog();
  const process = await spawnWatched(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-lock",
      "--node-modules-dir=manual",
      new URL("./data_api_server.ts", import.meta.url).href,
    ],
    env: { NO_COLOR: "1" },
    watchdog,
    hasInput: true,
    log,
  });
  let hasEnded = false;
  process.status.then(() => hasEnded = true);
  return {
    serve: async (options) => {
      const port = freePort();
      // One that has ended reads nothing; it is noticed below.
      await process.write(JSON.stringify({ ...options, port })).catch(() => {});
      if (await waitForPort(port, () => hasEnded)) {
        return `http://127.0.0.1:${port}`;
      }
      throw new Error(
        `The Data API did not start on 127.0.0.1:${port}. It said:\n${
          log.lastLines(15)
        }`,
      );
    },
    stop: () => process.end("SIGKILL"),
  };
}
