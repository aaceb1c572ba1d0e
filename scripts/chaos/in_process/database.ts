/** One Postgres for many histories, each with a database of its own. */
import postgres from "postgres";
import { databaseUrl } from "../../stack/database.ts";
import { findPostgres } from "../../stack/postgres_binaries.ts";
import { startDatabase } from "../../stack/start_database.ts";
import { startWatchdog } from "../../stack/watchdog.ts";

/** A database as the migrations leave it. */
export interface HistoryDatabase extends AsyncDisposable {
  /** As the app. */
  readonly sql: postgres.Sql;
  /** As the superuser. */
  readonly admin: postgres.Sql;
  /** As the Data API, for whoever has the secret key. */
  readonly service: postgres.Sql;
  /** What Postgres wrote. */
  readonly log: string;
}

export interface Databases extends AsyncDisposable {
  create(): Promise<HistoryDatabase>;
}

/** `wanted`: see findPostgres(). */
export async function startDatabases(wanted?: string): Promise<Databases> {
  await using undo = new AsyncDisposableStack();
  const root = await Deno.realPath(`${import.meta.dirname}/../../..`);
  const watchdog = await startWatchdog();
  undo.defer(() => watchdog.stop());
  const own = Deno.env.get("LUMA_STACK_TEMPLATES");
  const templates = own || await Deno.makeTempDir({ prefix: "chaos-db-" });
  if (!own) undo.defer(() => Deno.remove(templates, { recursive: true }));
  // Postgres may run as another user.
  if (!own) await Deno.chmod(templates, 0o755);
  const { server, sql, admin } = undo.use(
    await startDatabase({
      binaries: await findPostgres(root, wanted),
      watchdog,
      migrationsOf: root,
      before: new URL("./clock.sql", import.meta.url),
      // The jobs are run by the clock of the history.
      settings: { shared_preload_libraries: "", synchronous_commit: "off" },
      templates,
    }),
  );
  // Nobody may be connected to what is copied, but for the one who copies.
  await Promise.all([sql.end(), admin.end()]);
  const maker = connection(databaseUrl(server.port, "supabase_admin"));
  undo.defer(() => maker.end({ timeout: 1 }));
  let count = 0;
  const running = undo.move();
  return {
    create: async () => {
      const name = `history_${++count}`;
      await maker.unsafe(`create database ${name} template postgres`);
      const as = (role: string) =>
        connection(
          databaseUrl(server.port, role).replace("/postgres?", `/${name}?`),
        );
      const [sql, admin, service] = [
        as("postgres"),
        as("supabase_admin"),
        as("authenticator"),
      ];
      // Connected now: later the clock is another one.
      await Promise.all([sql`select 1`, admin`select 1`]);
      await service`set role service_role`;
      return {
        sql,
        admin,
        service,
        get log() {
          return server.log;
        },
        [Symbol.asyncDispose]: async () => {
          await Promise.all(
            [sql, admin, service].map((sql) => sql.end({ timeout: 1 })),
          );
          await maker.unsafe(`drop database ${name} with (force)`);
        },
      };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** One connection that is never replaced: what is set on it holds. */
function connection(url: string): postgres.Sql {
  return postgres(url, {
    max: 1,
    max_lifetime: null,
    onnotice: () => {},
  });
}
