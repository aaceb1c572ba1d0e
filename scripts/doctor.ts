/** `deno task doctor`: one line for each thing that must be true, and what to do about what is not. */
import type postgres from "postgres";
import { openDatabase } from "./admin/database.ts";
import { runTask, shellWorld } from "./admin/flags.ts";
import {
  type DoctorWorld,
  makeChecks,
  type Result,
  type Scene,
} from "./doctor/check.ts";
import { CHECKS } from "./doctor/checks.ts";
import { askLuma } from "./project/calendars.ts";
import { askFunctions } from "./project/functions.ts";
import { readMigrations } from "./project/migrations.ts";
import { discreet } from "./project/redact.ts";
import { findProject } from "./project/settings.ts";
import { findTarget } from "./project/target.ts";

const HELP = `deno task doctor [--json] [--strict] [--project-ref <reference>]

Looks at everything that must be true for the sync to work: .env, database, jobs, Vault, functions, keys, webhooks,
clocks, queue. Changes nothing. Each line begins with the name of the check.

  --json                     machine-readable
  --strict                   warnings count as failures
  --project-ref <reference>  the hosted project. Default: from LUMA_FUNCTIONS_URL, else the linked one
  -e, --env-file <file>      where settings are read from. Default .env; the environment wins
  --help                     this text

Ends with 0, or with 1 when something fails, or with 2 when it was called wrongly.
`;

const SIGNS = { ok: "✓", warning: "!", failure: "✗", skipped: "–" } as const;

/** Runs the task; the exit status. */
export function doctor(args: string[], shell: DoctorWorld): Promise<number> {
  const options = {
    json: { type: "boolean", default: false },
    strict: { type: "boolean", default: false },
    "project-ref": { type: "string" },
  } as const;
  const secrets = { ...shell.vars };
  const world = discreet(shell, () => secrets);
  return runTask({ args, help: HELP, options, world }, async (values) => {
    const envFile = String(values["env-file"]);
    const { settings, problems } = await findProject(shell.vars, envFile);
    Object.assign(secrets, settings.vars);
    await using undo = new AsyncDisposableStack();
    const sql: postgres.Sql | Error = await openDatabase(shell.vars, envFile)
      .catch((error) => error);
    if (!(sql instanceof Error)) undo.defer(() => sql.end({ timeout: 5 }));
    const scene: Scene = {
      world,
      settings,
      problems,
      sql: () => {
        if (sql instanceof Error) throw sql;
        return sql;
      },
      target: () =>
        findTarget({
          given: values["project-ref"]?.toString(),
          settings,
          root: world.root,
        }),
      migrations: () => readMigrations(scene.sql(), world.root),
      functions: once(() => askFunctions(settings, world.fetch)),
      keys: once(() => askLuma(settings, world.fetch)),
    };
    const results = await makeChecks(
      CHECKS,
      scene,
      values.json ? () => {} : (result) => world.out(line(result)),
    );
    const bad = values.strict ? ["failure", "warning"] : ["failure"];
    const isWell = !results.some(({ level }) => bad.includes(level));
    world.out(
      values.json
        ? JSON.stringify({ ok: isWell, checks: results }, null, 2)
        : summary(results),
    );
    return isWell ? 0 : 1;
  });
}

/** Asks once, however often it is wanted. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => answer ??= ask();
}

function line({ id, level, found, fix }: Result): string {
  const text = `${SIGNS[level]} ${id.padEnd(21)}  ${found}`;
  return fix ? `${text}\n${" ".repeat(25)}→ ${fix}` : text;
}

function summary(results: readonly Result[]): string {
  const count = (level: Result["level"]) =>
    results.filter((result) => result.level === level).length;
  return `\n${count("ok")} ok, ${count("warning")} warnings, ${
    count("failure")
  } failures, ${count("skipped")} skipped`;
}

if (import.meta.main) {
  Deno.exitCode = await doctor(Deno.args, {
    ...shellWorld(),
    fetch,
    root: new URL("..", import.meta.url).pathname.replace(/\/$/, ""),
  });
}
