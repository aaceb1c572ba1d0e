/**
 * Which of the project's migrations a database has.
 *
 * The CLI's history says so. An app that keeps its own migrations there has versions that this folder lacks, and
 * `db push` refuses to work beside them; adding ours to that history would make the app's own `db push` refuse. So for
 * such a database the record is luma.migrations, which setup keeps.
 */
import type postgres from "postgres";
import { migrationFiles } from "../stack/database.ts";

export interface MigrationState {
  /** Files that nothing records as applied, in order. */
  pending: string[];
  /** How many files there are. */
  count: number;
  /** Why `db push` would not apply them, in words; empty when it would. */
  obstacle: string;
  /** Something records at least one of ours. */
  isRecorded: boolean;
  /** The schema is there, whoever made it. */
  isInstalled: boolean;
}

/** Compares the folder of `root` with what the database records. */
export async function readMigrations(
  sql: postgres.Sql,
  root: string,
): Promise<MigrationState> {
  const files = await migrationFiles(`${root}/supabase/migrations`);
  const history = await versionsIn(
    sql,
    "supabase_migrations.schema_migrations",
  );
  const [installed] = await sql`
    select to_regclass('luma.settings') is not null as is_installed`;
  const isInstalled = Boolean(installed?.is_installed);
  const applied = isInstalled
    ? new Set([...history, ...await versionsIn(sql, "luma.migrations")])
    // Taken away again: the history still has them.
    : new Set<string>();
  const ours = new Set(files.map(versionOf));
  const foreign = history.filter((version) => !ours.has(version));
  return {
    pending: files.filter((file) => !applied.has(versionOf(file))),
    count: files.length,
    obstacle: foreign.length > 0
      ? `the app keeps ${foreign.length} of its own in the CLI's history`
      : !isInstalled && history.length > 0
      ? "the CLI's history has them, but the schema luma is gone"
      : "",
    isRecorded: files.some((file) => applied.has(versionOf(file))),
    isInstalled,
  };
}

/** `20261122000100_app_tables.sql` is version 20261122000100. */
export function versionOf(file: string): string {
  return file.slice(0, file.indexOf("_"));
}

async function versionsIn(sql: postgres.Sql, table: string): Promise<string[]> {
  const [found] =
    await sql`select to_regclass(${table}) is not null as is_there`;
  if (!found?.is_there) return [];
  const rows = await sql`select version from ${sql(table)} order by version`;
  return rows.map(({ version }) => version);
}
