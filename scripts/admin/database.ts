/** The project's database, for the tasks that an admin runs. */
import { parseEnv } from "node:util";
import type postgres from "postgres";
import { connect } from "../stack/database.ts";
import { readEnvFile } from "../webhooks/env_file.ts";
import { Problem } from "../webhooks/problem.ts";

const NAME = "SUPABASE_DB_URL";

/** Opens a pool to the database that SUPABASE_DB_URL names, in `vars` or in the file. Throws a Problem without one. */
export async function openDatabase(
  vars: Record<string, string | undefined>,
  envFile: string,
  options: Parameters<typeof connect>[1] = {},
): Promise<postgres.Sql> {
  const url = vars[NAME]?.trim() ||
    parseEnv(await readEnvFile(envFile))[NAME]?.trim();
  if (!url) {
    throw new Problem(
      `Set ${NAME} in ${envFile} or in the environment: the connection string of your project's database (in the dashboard under Connect, "Session pooler").`,
    );
  }
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    // It holds a password, so it is not shown.
    throw new Problem(
      `${NAME} must be like postgresql://user:password@host:5432/postgres.`,
    );
  }
  return connect(url, {
    max: 1,
    // What luma.admin_log says of what is done through it.
    connection: { application_name: "luma-sync" },
    ...options,
  });
}

/** What Postgres, or the way to it, says of an error and how to mend it; null when the error is of another kind. */
export function databaseWords(
  error: unknown,
): { message: string; hint?: string } | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  const { message, hint, code } = error as Error & {
    hint?: string;
    code: unknown;
  };
  const missing = ["3F000", "42P01", "42883"].includes(String(code))
    ? "Are the migrations applied (deno task setup)?"
    : undefined;
  return { message, hint: hint ?? missing };
}

/** Runs an admin's work on the database. What it, or the way to it, lacks becomes a Problem with Postgres's words and hint. */
export async function withDatabase<T>(
  vars: Record<string, string | undefined>,
  envFile: string,
  work: (sql: postgres.Sql) => Promise<T>,
  options: Parameters<typeof connect>[1] = {},
): Promise<T> {
  const sql = await openDatabase(vars, envFile, options);
  try {
    return await work(sql);
  } catch (error) {
    const words = error instanceof Problem ? null : databaseWords(error);
    if (!words) throw error;
    throw new Problem(
      [`The database says: ${words.message}`, words.hint]
        .filter(Boolean).join("\n"),
    );
  } finally {
    await sql.end({ timeout: 5 });
  }
}
