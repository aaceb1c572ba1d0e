/** `deno task backfill`: sends what was there before the sync was live, and shows how far it is. */
import type postgres from "postgres";
import { withDatabase } from "./admin/database.ts";
import { type AdminWorld, runTask, shellWorld } from "./admin/flags.ts";
import { progressBar } from "./admin/text.ts";

const HELP = `deno task backfill [--stop | --watch]

Enqueues every approved, coming event, and its RSVPs, that Luma does not have as it is, below live traffic and without
mails to guests, and shows the progress until all is sent. To leave it (Ctrl-C) does not stop it.

  --stop    sends nothing more of it; deno task backfill goes on
  --watch   only shows the progress
  -e, --env-file <file>  where SUPABASE_DB_URL is read from. Default .env; the environment wins
  --help    this text
`;

const LOOK_EVERY_MS = 1_000;

/** Runs the task; the exit status: 1 when something of it could not be sent. */
export function backfill(args: string[], world: AdminWorld): Promise<number> {
  const options = {
    stop: { type: "boolean", default: false },
    watch: { type: "boolean", default: false },
  } as const;
  return runTask({ args, help: HELP, options, world }, async (values) => {
    return await withDatabase(
      world.vars,
      String(values["env-file"]),
      async (sql) => {
        if (values.stop) {
          const [{ waiting }] = await sql`
            select luma.stop_backfill() as waiting` as [postgres.Row];
          world.out(`Stopped; ${waiting ?? 0} events and RSVPs wait.`);
          return 0;
        }
        if (!values.watch) await sql`select luma.backfill()`;
        return await watch(sql, world);
      },
    );
  });
}

async function watch(sql: postgres.Sql, world: AdminWorld): Promise<number> {
  let shownLine = "";
  // The line that the first one is written over.
  if (world.isTerminal) world.out("");
  while (true) {
    const [progress] = await sql`
      select p.*, luma.mode() as mode, luma.drain_problem() as problem from luma.backfill_progress p` as [
      postgres.Row,
    ];
    if (progress.mode !== "live") {
      world.err(
        `The mode is ${progress.mode}: nothing is sent before select luma.set_mode('live');`,
      );
      return 1;
    }
    const line = describe(progress);
    // Where lines cannot be written over, only what has changed.
    if (world.isTerminal) world.out(`\x1b[1A\x1b[2K${line}`);
    else if (line !== shownLine) world.out(line);
    shownLine = line;
    if (["done", "none", "stopped"].includes(progress.state)) {
      if (progress.dead > 0) {
        world.err(
          `${progress.dead} could not be sent: select * from luma.dead_letters;`,
        );
      }
      return progress.dead > 0 ? 1 : 0;
    }
    await world.sleep(LOOK_EVERY_MS);
  }
}

function describe(progress: postgres.Row): string {
  const { state, done, total, ends_at, problem } = progress;
  if (state === "none") return "There has been no backfill.";
  const end = ends_at
    ? `, done at about ${ends_at.toISOString().slice(11, 16)} UTC`
    : "";
  const trouble = problem && state === "running" ? ` (${problem})` : "";
  return `${
    progressBar(Number(done), Number(total))
  }  ${done} of ${total} events and RSVPs, ${state}${end}${trouble}`;
}

if (import.meta.main) Deno.exitCode = await backfill(Deno.args, shellWorld());
