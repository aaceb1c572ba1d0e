/** One Postgres of the stack's own: a cluster in the temporary folder, on a free port. */
import type { PostgresBinaries } from "./postgres_binaries.ts";
import { type PostgresFiles, preparePostgres } from "./postgres_files.ts";
import {
  freePort,
  OutputLog,
  spawnWatched,
  type WatchedProcess,
} from "./processes.ts";
import type { Watchdog } from "./watchdog.ts";

export interface PostgresServer {
  readonly port: number;
  readonly pid: number;
  readonly binaries: PostgresBinaries;
  readonly cluster: Cluster;
  /** What Postgres wrote, its last 200,000 characters. */
  readonly log: string;
  start(): Promise<void>;
  /** "SIGINT" ends it in order, "SIGQUIT" as a crash would: unlogged tables come back empty. */
  stop(signal?: "SIGINT" | "SIGQUIT"): Promise<void>;
}

/** A data folder and the programs for it. */
export interface Cluster {
  readonly files: PostgresFiles;
  readonly data: string;
}

export interface PostgresOptions {
  binaries: PostgresBinaries;
  watchdog: Watchdog;
  /** Where the cluster is made. Default: the watchdog's folder. */
  folder?: string;
  /** One that is shut down, to copy. Default: initdb makes a new one. */
  template?: Cluster;
  /** More settings for postgresql.conf. */
  settings?: Record<string, string>;
}

interface Owner {
  uid?: number;
  gid?: number;
}

const START_ATTEMPTS_MAX = 3;

/**
 * Makes a cluster and starts it. The superuser is supabase_admin, as on hosted Supabase; connections
 * from this machine need no password. Throws with Postgres's last lines when it does not come up.
 */
export async function startPostgres(
  { binaries, watchdog, folder = watchdog.folder, template, settings }:
    PostgresOptions,
): Promise<PostgresServer> {
  const owner = await ownerOfPostgres();
  const cluster = template
    ? await copyCluster(template, folder)
    : await makeCluster(binaries, folder, owner);

  const log = new OutputLog();
  let port = freePort();
  let process: WatchedProcess | undefined;
  const start = async () => {
    for (let attempt = 1; !process; attempt++) {
      const said = new OutputLog();
      process = await launch({
        cluster,
        settings,
        owner,
        port,
        watchdog,
        log,
        said,
      });
      if (process) return;
      if (
        !said.text.includes("could not bind") || attempt === START_ATTEMPTS_MAX
      ) {
        throw new Error(
          `Postgres ${binaries.version} did not start on 127.0.0.1:${port}. It said:\n` +
            said.lastLines(15),
        );
      }
      // Another program took the port between our look and Postgres's; a restart keeps its port.
      port = freePort();
    }
  };
  await start();
  return {
    binaries,
    cluster,
    get port() {
      return port;
    },
    get pid() {
      return process?.pid ?? 0;
    },
    get log() {
      return log.text;
    },
    start,
    stop: async (signal = "SIGINT") => {
      await process?.end(signal);
      process = undefined;
    },
  };
}

/** Postgres refuses to run as root, so root runs it as the user without rights. */
async function ownerOfPostgres(): Promise<Owner> {
  if (Deno.uid() !== 0) return {};
  const id = async (option: string) => {
    const { success, stdout } = await new Deno.Command("id", {
      args: [option, "nobody"],
    }).output();
    if (success) return Number(new TextDecoder().decode(stdout));
    throw new Error(
      "Postgres does not run as root, and this system has no user `nobody` to run it as. " +
        "Start the stack as another user.",
    );
  };
  return { uid: await id("-u"), gid: await id("-g") };
}

async function makeCluster(
  binaries: PostgresBinaries,
  folder: string,
  owner: Owner,
): Promise<Cluster> {
  const data = `${folder}/data`;
  await Deno.mkdir(data, { mode: 0o700 });
  if (owner.uid !== undefined) {
    await Deno.chown(data, owner.uid, owner.gid ?? null);
  }
  const files = await preparePostgres(binaries, folder, owner.uid);
  await initialise(files, data, owner);
  return { files, data };
}

async function copyCluster(
  { files, data: source }: Cluster,
  folder: string,
): Promise<Cluster> {
  const data = `${folder}/data`;
  // Not by Deno: owners and modes have to be the same, and where the file system can share blocks it does.
  await run("cp", { args: ["-a", source, data] });
  return { files, data };
}

async function initialise(
  files: PostgresFiles,
  data: string,
  owner: Owner,
): Promise<void> {
  await run(`${files.bin}/initdb`, {
    args: [
      ...["--pgdata", data],
      ...["--username", "supabase_admin", "--auth", "trust"],
      ...["--encoding", "UTF8", "--locale", "C.UTF-8"],
      // Small, because a template's are copied for each stack.
      ...["--wal-segsize", "1"],
      ...["--no-sync", "--no-instructions"],
    ],
    // The user of Postgres may not read the folder we were started in.
    cwd: data,
    env: { TZ: "UTC" },
    ...owner,
  });
}

async function run(
  program: string,
  options: Deno.CommandOptions & { args: string[] },
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, options)
    .output();
  if (success) return;
  const said = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);
  throw new Error(
    `"${program} ${options.args.join(" ")}" failed. It said:\n${said.trim()}`,
  );
}

/**
 * Starts the program and waits for its word that it is ready; undefined when it ended instead.
 * `said` gets what this start says, `log` what the program says for as long as it lives.
 */
async function launch(
  { cluster: { files, data }, settings, owner, port, watchdog, log, said }: {
    cluster: Cluster;
    settings?: Record<string, string>;
    owner: Owner;
    port: number;
    watchdog: Watchdog;
    log: OutputLog;
    said: OutputLog;
  },
): Promise<WatchedProcess | undefined> {
  const allSettings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // No socket: the path of a temporary folder can be longer than a socket's name may be.
    unix_socket_directories: "",
    // The data goes away with the stack; only a crash of the machine could lose any before.
    fsync: "off",
    full_page_writes: "off",
    shared_buffers: "64MB",
    max_connections: "100",
    // pg_cron's background workers come out of these.
    max_worker_processes: "32",
    timezone: "UTC",
    log_timezone: "UTC",
    ...files.settings,
    ...settings,
  };
  const { promise: isReady, resolve } = Promise.withResolvers<boolean>();
  const process = await spawnWatched(`${files.bin}/postgres`, {
    args: [
      "-D",
      data,
      ...Object.entries(allSettings).flatMap((
        [name, value],
      ) => ["-c", `${name}=${value}`]),
    ],
    cwd: data,
    ...owner,
    watchdog,
    endSignal: "SIGQUIT",
    log,
    onOutput: (text) => {
      said.add(text);
      if (said.text.includes("ready to accept connections")) resolve(true);
    },
  });
  process.status.then(() => resolve(false));
  return await isReady ? process : undefined;
}
