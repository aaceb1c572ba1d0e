/** What a database must have before anything is done to it. */
import type postgres from "postgres";
import { Problem } from "../webhooks/problem.ts";

/** Throws a Problem that names everything that is missing. */
export async function checkDatabase(sql: postgres.Sql): Promise<void> {
  const [server] = await sql`
    select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
      current_user as role, has_database_privilege(current_database(), 'create') as may_create`;
  const problems: string[] = [];
  if (server?.number < OLDEST * 10_000) problems.push(tooOld(server?.version));
  if (!server?.may_create) {
    problems.push(
      `The role ${server?.role} may not create schemas and extensions: use the role postgres in SUPABASE_DB_URL.`,
    );
  }
  for (const { name } of await missingExtensions(sql)) {
    problems.push(`The extension ${name} is not available. ${EXTENSION_FIX}`);
  }
  const foreign = await sql`
    select t.tablename, t.tableowner from pg_catalog.pg_tables t
    where t.schemaname = 'public' and t.tablename in ('calendars', 'canonical_events', 'event_rsvps', 'users')
      and not pg_has_role(current_user, t.tableowner, 'usage')`;
  for (const { tablename, tableowner } of foreign) {
    problems.push(
      `The table public.${tablename} belongs to ${tableowner}, and ${server?.role} may not add triggers to it: connect as its owner.`,
    );
  }
  if (problems.length > 0) throw new Problem(problems.join("\n"));
}

/** The oldest Postgres that the migrations are tested on. */
export const OLDEST = 15;

export const EXTENSIONS = ["pg_net", "pg_cron", "supabase_vault"] as const;

const EXTENSION_FIX =
  "Supabase's own Postgres has it: upgrade the project (dashboard, Settings, Infrastructure).";

export function tooOld(version: string): string {
  return `Postgres is version ${version}, but ${OLDEST} or newer is needed: upgrade the project (dashboard, Settings, Infrastructure).`;
}

async function missingExtensions(sql: postgres.Sql) {
  return await sql<{ name: string }[]>`
    select e.name from unnest(${[...EXTENSIONS]}::text[]) e (name)
    where not exists (select from pg_catalog.pg_available_extensions a where a.name = e.name)`;
}
