/** Makes the empty database look like a new Supabase project, and applies the project's migrations. */
import postgres from "postgres";
import { exists } from "./postgres_binaries.ts";
import { RECONNECTING } from "./closed_sockets.ts";
import { extensionFiles } from "./postgres_files.ts";

/** Where and as whom to connect; `role` without a password, because the stack's Postgres asks for none. */
export function databaseUrl(port: number, role: string): string {
  // The CLI insists on a password being there.
  return `postgresql://${role}:postgres@127.0.0.1:${port}/postgres?sslmode=disable`;
}

/** A pool for the stack's own use: notices are not printed, and it does not keep the process alive. */
export function connect(
  url: string,
  options: postgres.Options<Record<string, never>> = {},
): postgres.Sql {
  return postgres(url, { onnotice: () => {}, ...options });
}

/** A pool that is there again when Postgres is. */
export function connectAgain(url: string): postgres.Sql {
  return connect(url, RECONNECTING);
}

/** Roles, schemas and settings of a hosted project. `admin` is the superuser. */
export async function createSupabaseProject(
  admin: postgres.Sql,
): Promise<void> {
  await admin.unsafe(await Deno.readTextFile(ROLES));
}

const ROLES = new URL("./roles.sql", import.meta.url);

/** The files that say what is in a new project's database; `root` undefined: before its first migration. */
export async function databaseSources(
  root: string | undefined,
): Promise<(string | URL)[]> {
  const folder = `${root}/supabase/migrations`;
  const migrations = root === undefined ? [] : await migrationFiles(folder);
  return [
    ROLES,
    ...await extensionFiles(),
    ...migrations.map((file) => `${folder}/${file}`),
  ];
}

/**
 * Applies `<root>/supabase/migrations/*.sql` in the order of their names as the role `postgres`, each
 * in one transaction, and records them where the Supabase CLI does. `isWanted` chooses some of the files by their
 * names. Throws an Error that names the file and line.
 */
export async function applyMigrations(
  sql: postgres.Sql,
  root: string,
  isWanted: (file: string) => boolean = () => true,
): Promise<void> {
  const folder = `${root}/supabase/migrations`;
  await sql.unsafe(`
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (
      version text primary key, statements text[], name text
    )`);
  for (const file of (await migrationFiles(folder)).filter(isWanted)) {
    await applyFile(sql, `${folder}/${file}`);
    const [, version = "", name = ""] = file.match(MIGRATION_NAME) ?? [];
    await sql`
      insert into supabase_migrations.schema_migrations (version, name)
      values (${version}, ${name}) on conflict do nothing`;
  }
}

const MIGRATION_NAME = /^(\d+)_(.*)\.sql$/;

/** The names of the migrations in a folder, in the order in which they are applied. */
export async function migrationFiles(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (MIGRATION_NAME.test(name)) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(`No migrations: there is no folder "${folder}".`, {
      cause: error,
    });
  }
  return names.sort();
}

/** Applies `<root>/supabase/seed.sql`; a project need not have one. */
export async function applySeed(
  sql: postgres.Sql,
  root: string,
): Promise<void> {
  const file = `${root}/supabase/seed.sql`;
  if (await exists(file)) await applyFile(sql, file);
}

/** Runs one SQL file as one transaction; an Error names the file, the line and Postgres's hint. */
export async function applyFile(
  sql: Pick<postgres.ISql, "unsafe">,
  file: string,
): Promise<void> {
  const text = await Deno.readTextFile(file);
  try {
    await sql.unsafe(text);
  } catch (error) {
    if (!(error instanceof postgres.PostgresError)) throw error;
    const position = Number(error.position);
    const line = position > 0
      ? `:${text.slice(0, position).split("\n").length}`
      : "";
    const parts = [
      error.detail,
      error.where,
      error.hint && `Hint: ${error.hint}`,
    ];
    const more = parts.filter((part) => part !== undefined && part !== "");
    throw new Error([`${file}${line}: ${error.message}`, ...more].join("\n"), {
      cause: error,
    });
  }
}

/** Creates or changes a Vault entry; vault.create_secret alone fails when the name is there already. */
export async function setVaultSecret(
  sql: postgres.Sql,
  name: string,
  secret: string,
): Promise<void> {
  await sql`
    select case
      when existing.id is null then vault.create_secret(${secret}, ${name})::text
      else vault.update_secret(existing.id, ${secret})::text
    end
    from (select) as one
    left join vault.secrets as existing on existing.name = ${name}`;
}
