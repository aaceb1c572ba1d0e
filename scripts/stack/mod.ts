/**
 * The local stack: a real Postgres, the Data API, the Edge Functions, stand-ins for pg_net, pg_cron and
 * supabase_vault, and a simulated Luma. Needs npm packages only; no root, no Docker.
 *
 * ```ts
 * await using stack = await startStack();
 * await stack.sql`select luma.set_mode('live')`;
 * ```
 */
import type postgres from "postgres";
import {
  type LumaSimulator,
  type SimulatorOptions,
  startSimulator,
} from "../luma-simulator/mod.ts";
import { launchDataApi } from "./data_api.ts";
import { applySeed, databaseUrl, setVaultSecret } from "./database.ts";
import { createFunctionHost, type FunctionHost } from "./functions.ts";
import { type GatewayTargets, startGateway } from "./gateway.ts";
import { holdPgCron, startPgCron } from "./pg_cron.ts";
import { startPgNet, type Worker } from "./pg_net.ts";
import { findPostgres } from "./postgres_binaries.ts";
import type { PostgresServer } from "./postgres_server.ts";
import { startDatabase } from "./start_database.ts";
import { startWatchdog } from "./watchdog.ts";
import { subscribeWebhooks } from "./webhooks.ts";

export interface StackOptions {
  /** "npm", "auto" (the default) or the bin folder of a Postgres 15 to 18; see findPostgres(). */
  postgres?: "npm" | "auto" | string;
  /** The checkout whose supabase/ folder is used. Default: the one this file is in. */
  root?: string;
  /** Apply supabase/migrations. Default true. */
  migrate?: boolean;
  /** Apply supabase/seed.sql after the migrations. Default true. */
  seed?: boolean;
  /** Serve supabase/functions. Default true; false answers 503. */
  functions?: boolean;
  /** Serve /rest/v1. Default true. */
  dataApi?: boolean;
  /** Start a simulated Luma, with these options if given. Default true. */
  simulator?: boolean | SimulatorOptions;
  /** Let the simulated Luma deliver webhooks to luma-webhook. Default false. */
  webhooks?: boolean;
  /** More environment for the functions; undefined removes a variable they would have. */
  env?: Record<string, string | undefined>;
  /** Run pg_cron's jobs. Default true. */
  cron?: boolean;
  /** Send what pg_net queues. Default true. */
  net?: boolean;
  /** More settings for Postgres, for example { fsync: "on" }: here nothing outlives the stack, so it is off. */
  settings?: Record<string, string>;
  /** A folder of databases to copy instead of making one. Default: LUMA_STACK_TEMPLATES; "" for none. */
  templates?: string;
  /** Called with lines worth showing: the functions' output, trouble of the workers. */
  log?: (line: string) => void;
}

export interface Stack extends AsyncDisposable {
  readonly postgres: {
    /** As the role `postgres`, which owns the database and is no superuser. */
    readonly url: string;
    /** As the superuser, supabase_admin. */
    readonly adminUrl: string;
    /** For example "18.4". */
    readonly version: string;
    readonly pgCron: "real" | "stand-in";
    readonly pid: number;
    /** What Postgres wrote. */
    readonly log: string;
  };
  /** A pool as the role `postgres`. */
  readonly sql: postgres.Sql;
  /** A pool as the superuser. */
  readonly admin: postgres.Sql;
  /** SUPABASE_URL: /rest/v1 and /functions/v1 are under it. */
  readonly url: string;
  readonly secretKey: string;
  readonly publishableKey: string;
  /** What the tokens of signed-in users are signed with (HS256). */
  readonly jwtSecret: string;
  /** Up to and including /functions/v1. */
  readonly functionsUrl: string;
  /** What the header x-luma-sync-secret must hold. */
  readonly syncSecret: string;
  /** Throws when the stack was started with `simulator: false`. */
  readonly simulator: LumaSimulator;
  readonly functions: Omit<FunctionHost, "handle">;
  readonly net: Pick<Worker, "pause" | "resume">;
  readonly cron: Pick<Worker, "pause" | "resume">;
  /** The temporary folder; gone after stop(). */
  readonly folder: string;
  /** See PostgresServer.stop(). */
  stopPostgres(signal?: "SIGINT" | "SIGQUIT"): Promise<void>;
  /** On the port it had. */
  startPostgres(): Promise<void>;
  /** Ends every process and removes the folder. Further calls do nothing. */
  stop(): Promise<void>;
}

/** The names in the functions' environment of the calendars that the simulator has. */
const CALENDAR_KEYS: Record<string, string> = {
  "cal-ZVonmjVxLk7F2oM": "BLR",
  "cal-3YNnBTToy9fnnjQ": "ZO_EVENTS",
};

const IDLE: Worker = {
  pause: () => {},
  resume: () => {},
  stop: () => Promise.resolve(),
};

/**
 * Starts everything and returns when all of it answers. Throws an Error that says what is missing, with
 * nothing left running.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const root = options.root ??
    await Deno.realPath(`${import.meta.dirname}/../..`);
  // Undone in reverse order, whether a step fails or stop() is called.
  await using undo = new AsyncDisposableStack();

  const watchdog = await startWatchdog();
  undo.defer(() => watchdog.stop());
  const keys = makeKeys();
  const targets: GatewayTargets = {};
  const gateway = startGateway(targets);
  undo.defer(() => gateway.stop());
  const functionsUrl = `${gateway.url}/functions/v1`;

  const simulator = await startLuma(options.simulator);
  undo.defer(() => simulator?.stop());
  // Loads while the database is made.
  const dataApi = options.dataApi === false
    ? undefined
    : await launchDataApi(watchdog);
  undo.defer(() => dataApi?.stop());
  const { migrate = true, seed = true } = options;
  const { server, sql, admin } = undo.use(
    await startDatabase({
      binaries: await findPostgres(root, options.postgres),
      watchdog,
      migrationsOf: migrate ? root : undefined,
      settings: options.settings,
      templates: options.templates ?? Deno.env.get("LUMA_STACK_TEMPLATES"),
    }),
  );
  if (migrate && seed) await applySeed(sql, root);
  await setVaultSecret(sql, "luma_functions_url", functionsUrl);
  await setVaultSecret(sql, "luma_sync_secret", keys.syncSecret);
  targets.dataApiUrl = await dataApi?.serve({
    databaseUrl: databaseUrl(server.port, "authenticator"),
    ...keys,
  });

  const secrets = simulator && options.webhooks
    ? await subscribeWebhooks(simulator, functionsUrl, CALENDAR_KEYS)
    : {};
  const env = functionEnvironment(gateway.url, keys, simulator, {
    ...secrets,
    ...options.env,
  });
  const onOutput = linesTo(options.log);
  const host = createFunctionHost({ root, watchdog, env, onOutput });
  targets.functions = host;
  undo.defer(() => host.stop());
  if (options.functions === false) await host.stop();
  const { net, cron } = await startWorkers(options, server, admin, undo);

  const running = undo.move();
  const stop = () => running.disposeAsync();
  return {
    postgres: describePostgres(server),
    sql,
    admin,
    url: gateway.url,
    functionsUrl,
    ...keys,
    get simulator() {
      if (simulator) return simulator;
      throw new Error("The stack was started with simulator: false.");
    },
    functions: host,
    net,
    cron,
    folder: watchdog.folder,
    stopPostgres: (signal) => server.stop(signal),
    startPostgres: () => server.start(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function describePostgres(server: PostgresServer): Stack["postgres"] {
  return {
    url: databaseUrl(server.port, "postgres"),
    adminUrl: databaseUrl(server.port, "supabase_admin"),
    version: server.binaries.version,
    pgCron: server.binaries.pgCron,
    get pid() {
      return server.pid;
    },
    get log() {
      return server.log;
    },
  };
}

async function startLuma(
  options: StackOptions["simulator"],
): Promise<LumaSimulator | undefined> {
  if (options === false) return undefined;
  return await startSimulator(typeof options === "object" ? options : {});
}

type Keys = Pick<
  Stack,
  "secretKey" | "publishableKey" | "jwtSecret" | "syncSecret"
>;

function makeKeys(): Keys {
  const random = () => crypto.randomUUID().replaceAll("-", "");
  return {
    secretKey: `sb_secret_${random()}`,
    publishableKey: `sb_publishable_${random()}`,
    jwtSecret: random(),
    syncSecret: random(),
  };
}

/** What hosted Supabase gives every function, and the product's own settings. */
function functionEnvironment(
  url: string,
  keys: Keys,
  simulator: LumaSimulator | undefined,
  more: StackOptions["env"],
): Record<string, string | undefined> {
  const lumaKeys = (simulator?.calendars ?? []).flatMap(({ id, key }) => {
    const name = CALENDAR_KEYS[id];
    return name === undefined ? [] : [[`LUMA_${name}_API_KEY`, key]];
  });
  return {
    SUPABASE_URL: url,
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    LUMA_SYNC_SECRET: keys.syncSecret,
    LUMA_API_URL: simulator?.url,
    // The gateway draws the app's images too.
    APP_BASE_URL: url,
    ...Object.fromEntries(lumaKeys),
    ...more,
  };
}

function linesTo(log: StackOptions["log"]) {
  return (name: string, text: string) =>
    text.trimEnd().split("\n").forEach((line) => log?.(`${name}: ${line}`));
}

async function startWorkers(
  { net: isNetWanted = true, cron: isCronWanted = true, log = () => {} }:
    StackOptions,
  server: PostgresServer,
  admin: postgres.Sql,
  undo: AsyncDisposableStack,
): Promise<{ net: Worker; cron: Worker }> {
  const adminUrl = databaseUrl(server.port, "supabase_admin");
  const net = isNetWanted ? await startPgNet(adminUrl, log) : IDLE;
  undo.defer(() => net.stop());
  if (server.binaries.pgCron === "real") {
    const cron = holdPgCron(admin);
    if (!isCronWanted) await cron.pause();
    return { net, cron };
  }
  const cron = isCronWanted ? await startPgCron(adminUrl, log) : IDLE;
  undo.defer(() => cron.stop());
  return { net, cron };
}
