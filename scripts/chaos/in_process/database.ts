/** One Postgres for many histories, one after the other: each finds it as the migrations have left it. */
import type postgres from "postgres";
import { connect, databaseUrl } from "../../stack/database.ts";
import { findPostgres } from "../../stack/postgres_binaries.ts";
import { startDatabase } from "../../stack/start_database.ts";
import { startWatchdog } from "../../stack/watchdog.ts";

export interface HistoryDatabase extends AsyncDisposable {
  /** As the app. */
  readonly sql: postgres.Sql;
  /** As the superuser. */
  readonly admin: postgres.Sql;
  /** As the Data API, for whoever has the secret key. */
  readonly service: postgres.Sql;
  /** What Postgres wrote. */
  readonly log: string;
  /** Forgets everything since `prepare` was done, which is once. */
  reset(prepare: () => Promise<void>): Promise<void>;
}

/** `wanted`: see findPostgres(). */
export async function startHistoryDatabase(
  wanted?: string,
): Promise<HistoryDatabase> {
  await using undo = new AsyncDisposableStack();
  const root = await Deno.realPath(`${import.meta.dirname}/../../..`);
  const watchdog = await startWatchdog();
  undo.defer(() => watchdog.stop());
  const kept = Deno.env.get("LUMA_STACK_TEMPLATES");
  const templates = kept || await Deno.makeTempDir({ prefix: "chaos-db-" });
  if (!kept) undo.defer(() => Deno.remove(templates, { recursive: true }));
  // Postgres may run as another user.
  if (!kept) await Deno.chmod(templates, 0o755);
  const { server, sql, admin } = undo.use(
    await startDatabase({
      binaries: await findPostgres(root, wanted),
      watchdog,
      migrationsOf: root,
      before: new URL("./project.sql", import.meta.url),
      // The jobs are run by the clock of the history.
      settings: { shared_preload_libraries: "", synchronous_commit: "off" },
      templates,
    }),
  );
  await Promise.all([sql.end(), admin.end()]);
  const as = (role: string) => connection(databaseUrl(server.port, role));
  const own = {
    sql: as("postgres"),
    admin: as("supabase_admin"),
    service: as("authenticator"),
  };
  const ends = Object.values(own).map((sql) => () => sql.end({ timeout: 1 }));
  for (const end of ends) undo.defer(end);
  // Connected now: later the clock is another one.
  await own.sql`select 1`;
  await own.service`set role service_role`;
  let isPrepared = false;
  const running = undo.move();
  return {
    ...own,
    get log() {
      return server.log;
    },
    reset: async (prepare) => {
      if (isPrepared) await own.admin`select chaos.forget()`;
      else {
        await prepare();
        await own.admin`select chaos.remember()`;
        isPrepared = true;
      }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** One connection that is never replaced: what is set on it holds. */
function connection(url: string): postgres.Sql {
  return connect(url, {
    max: 1,
    max_lifetime: null,
  });
}
