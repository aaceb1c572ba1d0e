/** Step "migrations": tables, triggers, functions, schedules. */
import { readMigrations, versionOf } from "../project/migrations.ts";
import { applyFile } from "../stack/database.ts";
import { Problem } from "../webhooks/problem.ts";
import { supabase } from "./cli.ts";
import type { Scene, Step } from "./scene.ts";

export const migrationsStep: Step = {
  name: "migrations",

  async look({ sql, world }) {
    const { pending, count, obstacle } = await readMigrations(sql, world.root);
    if (pending.length === 0) return [];
    const what = `apply ${pending.length} of ${count} migrations`;
    const missing = await missingTables(sql);
    return [
      ...(missing.length > 0
        ? [
          `create tables of the app's, which this database does not have (is it the right one?): ${
            missing.join(", ")
          }`,
        ]
        : []),
      obstacle
        ? `${what} one by one, recorded in luma.migrations: ${obstacle}`
        : `${what} with supabase db push`,
    ];
  },

  async apply(scene) {
    const { sql, world } = scene;
    const { pending, obstacle } = await readMigrations(sql, world.root);
    await (obstacle ? applyEach(scene, pending) : push(scene));
  },

  usesCli: () => true,
};

/** Those of the app's own tables that are not there: all of them in a fresh project, none in a live one. */
async function missingTables(sql: Scene["sql"]): Promise<string[]> {
  const tables = "users event_cultures calendars canonical_events event_rsvps"
    .split(" ");
  const rows = await sql`
    select t from unnest(${tables}::text[]) t where to_regclass('public.' || t) is null`;
  return rows.map(({ t }) => t);
}

async function push(scene: Scene): Promise<void> {
  const url = scene.settings.vars.SUPABASE_DB_URL?.trim() ?? "";
  // The Vault is a step of its own, which also sees to later changes.
  const flags = ["--include-all", "--skip-vault", "--yes"];
  try {
    await supabase(scene, ["db", "push", "--db-url", url, ...flags]);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw busyOr(error);
  }
}

/** Each file and its record are one transaction, so that the next run goes on where this one ended. */
async function applyEach(
  { sql, world }: Scene,
  files: readonly string[],
): Promise<void> {
  await sql.unsafe(RECORD);
  for (const file of files) {
    await sql.begin(async (transaction) => {
      // Rather fail, and be repeated, than wait while the app's writes queue behind.
      await transaction`set local lock_timeout = '3s'`;
      await applyFile(transaction, `${world.root}/supabase/migrations/${file}`);
      await transaction`
        insert into luma.migrations (version) values (${versionOf(file)})
        on conflict do nothing`;
    }).catch((error) => {
      throw busyOr(
        new Problem(error instanceof Error ? error.message : String(error)),
      );
    });
  }
}

const RECORD = `
  create schema if not exists luma;
  create table if not exists luma.migrations (
    version text primary key,
    applied_at timestamptz not null default now()
  );
  alter table luma.migrations enable row level security;
  revoke all on luma.migrations from public, anon, authenticated;
  comment on table luma.migrations is
    'This project''s migrations that deno task setup applied itself, because the app keeps its own in supabase_migrations.';
`;

function busyOr(problem: Problem): Problem {
  return /lock timeout/i.test(problem.message)
    ? new Problem(
      `${problem.message}\nThe app was busy: nothing of this migration was applied. Run it again.`,
    )
    : problem;
}
