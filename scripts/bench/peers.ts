/**
 * The two queues that the sync is compared with. From npm and only for the benchmark: the names are put together, so
 * that `deno check` and the tests need neither of them.
 */

/** What is used of graphile-worker. */
interface GraphileWorker {
  runMigrations(options: { connectionString: string }): Promise<void>;
  run(options: {
    connectionString: string;
    taskList: Record<string, (payload: unknown) => void | Promise<void>>;
    noHandleSignals: boolean;
    preset?: { worker: Record<string, unknown> };
    [more: string]: unknown;
  }): Promise<{ stop(): Promise<void>; promise: Promise<void> }>;
  Logger: new (factory: () => () => void) => unknown;
}

/** What is used of pg-boss. */
export interface Boss {
  start(): Promise<unknown>;
  stop(options: { graceful: boolean }): Promise<void>;
  on(event: "error", handler: (error: Error) => void): void;
  createQueue(name: string): Promise<void>;
  insert(name: string, jobs: { data: unknown }[]): Promise<unknown>;
  fetch(
    name: string,
    options: { batchSize: number },
  ): Promise<{ id: string }[]>;
  complete(name: string, ids: string[]): Promise<unknown>;
}

/** The versions compared with, as they are on npm. */
export const PEERS = { "graphile-worker": "0.18.0", "pg-boss": "12.38.0" };

async function load<T>(name: keyof typeof PEERS): Promise<T> {
  try {
    return await import(`npm:${name}@${PEERS[name]}`);
  } catch (error) {
    throw new Error(
      `${name} ${
        PEERS[name]
      } could not be loaded from npm, which the comparison needs: ${error}`,
      { cause: error },
    );
  }
}

/** graphile-worker, with its schema in the database. */
export async function graphileWorker(
  connectionString: string,
): Promise<GraphileWorker> {
  const worker = await load<GraphileWorker>("graphile-worker");
  await worker.runMigrations({ connectionString });
  return worker;
}

/** A logger for graphile-worker that writes nothing: it would write a line for each job. */
export function silent(worker: GraphileWorker): unknown {
  return new worker.Logger(() => () => {});
}

/** pg-boss, started, without its own maintenance. */
export async function pgBoss(connectionString: string): Promise<Boss> {
  const { PgBoss } = await load<{ PgBoss: new (options: unknown) => Boss }>(
    "pg-boss",
  );
  const boss = new PgBoss({
    connectionString,
    max: 16,
    supervise: false,
    schedule: false,
  });
  boss.on("error", (error) => console.error(`pg-boss: ${error.message}`));
  await boss.start();
  return boss;
}
