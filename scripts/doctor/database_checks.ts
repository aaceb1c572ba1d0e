/** The database, and what is installed in it. */
import { OLDEST, tooOld } from "../setup/requirements.ts";
import { type Check, failure, ok, warning } from "./check.ts";
import type { CheckId } from "./ids.ts";

const SETUP = "deno task setup";

export const databaseChecks: readonly Check[] = [
  {
    id: "database",
    needs: [],
    async look({ sql }) {
      try {
        await sql()`select 1`;
        return ok("answers");
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        return failure(
          error.message,
          'Set SUPABASE_DB_URL to the connection string from the dashboard (Connect, "Session pooler"), and see there whether the project is paused.',
        );
      }
    },
  },
  {
    id: "postgres-version",
    needs: ["database"],
    async look({ sql }) {
      const [row] = await sql()`
        select current_setting('server_version_num')::int as number, current_setting('server_version') as version`;
      return row?.number >= OLDEST * 10_000
        ? ok(String(row?.version))
        : failure(String(row?.version), tooOld(row?.version));
    },
  },
  extension("extension-pg-net", "pg_net", "extensions"),
  extension("extension-pg-cron", "pg_cron", "pg_catalog"),
  extension("extension-vault", "supabase_vault", "vault"),
  {
    id: "migrations",
    needs: ["database"],
    async look(scene) {
      const { pending, count, isInstalled, isRecorded } = await scene
        .migrations();
      if (pending.length === 0) return ok(`all ${count} are applied`);
      if (!isInstalled) return failure("the schema luma is not there", SETUP);
      if (!isRecorded) {
        return warning(
          "the schema luma is there, but nothing records which migrations made it",
          `${SETUP} applies them all again, which does no harm, and records it.`,
        );
      }
      return failure(
        `${pending.length} of ${count} are not applied, first ${pending[0]}`,
        SETUP,
      );
    },
  },
];

function extension(id: CheckId, name: string, schema: string): Check {
  return {
    id,
    needs: ["database"],
    async look({ sql }) {
      const [row] = await sql()`
        select extversion as version from pg_catalog.pg_extension where extname = ${name}`;
      return row ? ok(`${name} ${row.version}`) : failure(
        `${name} is not installed`,
        `create extension ${name} with schema ${schema}; then ${SETUP}`,
      );
    },
  };
}
