/** The stack's Postgres with a project's database in it: made here, or copied from a template. */
import type postgres from "postgres";
import {
  applyMigrations,
  connectAgain,
  createSupabaseProject,
  databaseSources,
  databaseUrl,
} from "./database.ts";
import type { PostgresBinaries } from "./postgres_binaries.ts";
import {
  type Cluster,
  type PostgresOptions,
  type PostgresServer,
  startPostgres,
} from "./postgres_server.ts";
import { findTemplate } from "./template.ts";
import type { Watchdog } from "./watchdog.ts";

export interface DatabaseOptions {
  binaries: PostgresBinaries;
  watchdog: Watchdog;
  /** The checkout whose migrations are applied; undefined for none. */
  migrationsOf: string | undefined;
  /** SQL that is run in a new project before its first migration. */
  before?: URL;
  /** More settings for postgresql.conf. */
  settings?: Record<string, string>;
  /** The folder of the templates to copy the database from; without it everything is made here. */
  templates?: string;
}

export interface Database extends AsyncDisposable {
  readonly server: PostgresServer;
  /** A pool as the role `postgres`. */
  readonly sql: postgres.Sql;
  /** A pool as the superuser. */
  readonly admin: postgres.Sql;
}

/** Starts Postgres with what a new project has in it, and the migrations. */
export async function startDatabase(
  options: DatabaseOptions,
): Promise<Database> {
  const { binaries, watchdog, migrationsOf, templates, settings } = options;
  if (!templates) return await makeDatabase(options, { settings });
  const template = await findTemplate({
    templates,
    binaries,
    sources: [
      ...await databaseSources(migrationsOf),
      ...(options.before ? [options.before] : []),
    ],
    make: (folder) => makeTemplate(options, folder),
  });
  return await open({ binaries, watchdog, template, settings });
}

async function makeTemplate(
  options: DatabaseOptions,
  folder: string,
): Promise<Cluster> {
  // The jobs' schedule belongs to it, what they do does not.
  const settings: Record<string, string> = options.binaries.pgCron === "real"
    ? { "cron.max_running_jobs": "0" }
    : {};
  await using made = await makeDatabase(options, { folder, settings });
  for (const unused of ["template0", "template1"]) {
    // As many files to copy as the project's own database has.
    await made.admin.unsafe(`alter database ${unused} is_template false`);
    await made.admin.unsafe(`drop database ${unused}`);
  }
  await made.server.stop();
  return made.server.cluster;
}

async function makeDatabase(
  { binaries, watchdog, migrationsOf, before }: DatabaseOptions,
  more: Pick<PostgresOptions, "folder" | "settings"> = {},
): Promise<Database> {
  await using undo = new AsyncDisposableStack();
  const database = undo.use(await open({ binaries, watchdog, ...more }));
  await createSupabaseProject(database.admin);
  if (before) await database.admin.unsafe(await Deno.readTextFile(before));
  if (migrationsOf !== undefined) {
    await applyMigrations(database.sql, migrationsOf);
  }
  undo.move();
  return database;
}

async function open(options: PostgresOptions): Promise<Database> {
  const server = await startPostgres(options);
  const admin = connectAgain(databaseUrl(server.port, "supabase_admin"));
  const sql = connectAgain(databaseUrl(server.port, "postgres"));
  return {
    server,
    sql,
    admin,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([sql.end({ timeout: 1 }), admin.end({ timeout: 1 })]);
      // As a crash would: the data goes away too, so nothing need be written.
      await server.stop("SIGQUIT");
    },
  };
}
