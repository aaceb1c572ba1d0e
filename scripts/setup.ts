/** `deno task setup`: takes a Supabase project from nothing to dry_run, one statement away from live. */
import { withDatabase } from "./admin/database.ts";
import { runTask, shellWorld } from "./admin/flags.ts";
import { discreet } from "./project/redact.ts";
import { calendarRows, keysLacking } from "./project/calendars.ts";
import { readProject, takesWebhooks } from "./project/settings.ts";
import { findTarget } from "./project/target.ts";
import { checkCli } from "./setup/cli.ts";
import { report } from "./setup/report.ts";
import { checkDatabase } from "./setup/requirements.ts";
import { makePlan, planText, takeSteps } from "./setup/run.ts";
import type { Scene, SetupWorld } from "./setup/scene.ts";
import { STEPS } from "./setup/steps.ts";
import { runSupabaseCli } from "./stack/supabase_cli.ts";
import { Problem } from "./webhooks/problem.ts";

const HELP =
  `deno task setup [--plan] [--yes] [--project-ref <reference>] [--db-url <connection string>]

Sets up the project that .env names: migrations, Vault, functions and their secrets, webhooks, jobs. Ends in dry_run,
with what going live would send. It shows what differs and asks before it changes anything, and can be repeated at any
time: what is as it should be is not touched, and a project that is live stays live.

  --plan                     only shows what would be done
  --yes                      does not ask
  --project-ref <reference>  the hosted project. Default: from LUMA_FUNCTIONS_URL, else the linked one
  --db-url <string>          the database, instead of SUPABASE_DB_URL
  -e, --env-file <file>      where settings are read, and what is new is written. Default .env; the environment wins
  --help                     this text

Ends with 0, or with 1 and what to mend, or with 2 when it was called wrongly.
`;

/** Runs the task; the exit status. */
export function setup(args: string[], shell: SetupWorld): Promise<number> {
  const options = {
    plan: { type: "boolean", default: false },
    yes: { type: "boolean", default: false },
    "project-ref": { type: "string" },
    "db-url": { type: "string" },
  } as const;
  const secrets = { ...shell.vars };
  const world = discreet(shell, () => secrets);
  return runTask({ args, help: HELP, options, world }, async (values) => {
    const envFile = String(values["env-file"]);
    const vars = { ...shell.vars };
    if (values["db-url"]) vars.SUPABASE_DB_URL = String(values["db-url"]);
    const read = async () => {
      const settings = await readProject(vars, envFile);
      Object.assign(secrets, settings.vars);
      return settings;
    };
    const settings = await read();
    const given = values["project-ref"]?.toString();
    const target = await findTarget({ given, settings, root: world.root });
    return await withDatabase(vars, envFile, async (sql) => {
      const scene: Scene = {
        world,
        sql,
        target,
        settings,
        reload: async () => {
          scene.settings = await read();
        },
      };
      return await run(scene, {
        plan: Boolean(values.plan),
        yes: Boolean(values.yes),
      });
    });
  });
}

async function run(
  scene: Scene,
  { plan: onlyPlan, yes }: { plan: boolean; yes: boolean },
): Promise<number> {
  const { world, sql } = scene;
  await checkDatabase(sql);
  await lock(scene);
  const plan = await makePlan(scene, STEPS);
  world.out(
    plan.size === 0 ? "Everything is set up." : planText(plan),
  );
  await showNotes(scene);
  if (onlyPlan) return 0;
  if (plan.size > 0) {
    if ([...plan.keys()].some((step) => step.usesCli?.(scene))) {
      await checkCli(scene);
    }
    if (!yes && !await world.confirm("Do this?")) {
      world.out("Nothing was changed.");
      return 1;
    }
    await takeSteps(scene, STEPS, plan);
  }
  await report(scene);
  return 0;
}

/** Two at once would each see what the other is about to do. Ends with the connection. */
async function lock({ sql }: Scene): Promise<void> {
  const [row] = await sql`
    select pg_try_advisory_lock(hashtext('luma'), hashtext('setup')) as is_ours`;
  if (!row?.is_ours) {
    throw new Problem(
      "Another deno task setup is at work on this database. Wait until it is over.",
    );
  }
}

/** What setup leaves as it is, though somebody may want to know. */
async function showNotes(scene: Scene): Promise<void> {
  const { sql, world, settings, target } = scene;
  const keys = settings.calendars.map((calendar) => ({ calendar }));
  for (const name of keysLacking(keys, await calendarRows(sql) ?? [])) {
    world.out(
      `Note: ${name} is not set. Events of that calendar wait until it is.`,
    );
  }
  if (!takesWebhooks(settings)) {
    world.out(
      "Note: Luma cannot deliver webhooks to this machine. Pulls find what they would tell, every 15 minutes.",
    );
  }
  if (target.kind === "local") {
    world.out(
      "Note: a local project. Its functions are served from this folder, with the settings in supabase/functions/.env.",
    );
  }
}

/** Asks on the terminal. */
function ask(question: string): Promise<boolean> {
  if (!Deno.stdin.isTerminal()) {
    throw new Problem(
      "There is no terminal to ask on. Add --yes to do it, or --plan to only see it.",
    );
  }
  return Promise.resolve(confirm(question));
}

if (import.meta.main) {
  const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
  Deno.exitCode = await setup(Deno.args, {
    ...shellWorld(),
    fetch,
    runCli: (args) => runSupabaseCli(args, { cwd: root }),
    confirm: ask,
    root,
  });
}
