/** `deno task status`: how the sync is, and with --drift what differs between the two sides. */
import { withDatabase } from "./admin/database.ts";
import { type AdminWorld, runTask, shellWorld } from "./admin/flags.ts";
import { type Print, reconcile, showDrift, showRuns } from "./status/drift.ts";
import { showHealth, watchHealth } from "./status/health.ts";
import { Problem } from "./webhooks/problem.ts";

const HELP =
  `deno task status [--watch | --drift | --repair] [--calendar <key>] [--json]

Shows what waits and why, the calendars, how long changes take, and what is wrong.

  --watch           shows it again every two seconds, until Ctrl-C
  --drift           reads all of Luma and shows, field by field and guest by guest, what differs from the app's rows, which
                    side is ahead, and what would be done. Writes nothing. Ends with 1 when there is a difference
  --repair          does it: reads all of Luma and makes both sides agree
  --calendar <key>  of --drift and --repair: only this calendar, for example blr
  --json            machine-readable
  -e, --env-file <file>  where SUPABASE_DB_URL is read from. Default .env; the environment wins
  --help            this text
`;

/** Runs the task; the exit status. */
export function status(args: string[], world: AdminWorld): Promise<number> {
  const options = {
    watch: { type: "boolean", default: false },
    drift: { type: "boolean", default: false },
    repair: { type: "boolean", default: false },
    calendar: { type: "string" },
    json: { type: "boolean", default: false },
  } as const;
  return runTask({ args, help: HELP, options, world }, async (values) => {
    const { watch, drift, repair, json } = values;
    if ([watch, drift, repair].filter(Boolean).length > 1) {
      throw new Problem(
        "--watch and --drift only look, --repair repairs: choose one.",
      );
    }
    const calendar = values.calendar === undefined
      ? null
      : String(values.calendar);
    const print: Print = json
      ? (value) => world.out(JSON.stringify(value, null, 2))
      : null;
    return await withDatabase(
      world.vars,
      String(values["env-file"]),
      async (sql) => {
        if (drift || repair) {
          const runs = await reconcile(sql, world, {
            calendar,
            dry: Boolean(drift),
          });
          return drift
            ? await showDrift(sql, world, runs, print)
            : showRuns(world, runs, print);
        }
        return await (watch ? watchHealth : showHealth)(sql, world, print);
      },
    );
  });
}

if (import.meta.main) Deno.exitCode = await status(Deno.args, shellWorld());
