/** `deno task status`: how the sync is, and with --drift what differs between the two sides. */
import type postgres from "postgres";
import { withDatabase } from "./admin/database.ts";
import { type AdminWorld, runTask, shellWorld } from "./admin/flags.ts";
import { shown, table } from "./admin/text.ts";
import { Problem } from "./webhooks/problem.ts";

const HELP = `deno task status [--drift | --repair] [--calendar <key>] [--json]

Shows the queue, the calendars and what is wrong (luma.health).

  --drift           reads all of Luma and shows, field by field and guest by guest, what differs from the app's rows, which
                    side is ahead, and what would be done. Writes nothing. Ends with 1 when there is a difference
  --repair          does it: reads all of Luma and makes both sides agree
  --calendar <key>  only this calendar, for example blr
  --json            machine-readable
  -e, --env-file <file>  where SUPABASE_DB_URL is read from. Default .env; the environment wins
  --help            this text
`;

/** How often to look, and how long a pull may take: one that must wait for permits goes on in several functions. */
const LOOK_EVERY_MS = 500;
const PATIENCE_MS = 30 * 60_000;

/** Runs the task; the exit status. */
export function status(args: string[], world: AdminWorld): Promise<number> {
  const options = {
    drift: { type: "boolean", default: false },
    repair: { type: "boolean", default: false },
    calendar: { type: "string" },
    json: { type: "boolean", default: false },
  } as const;
  return runTask({ args, help: HELP, options, world }, async (values) => {
    const { drift, repair, json } = values;
    if (drift && repair) {
      throw new Problem("--drift only looks, --repair repairs: choose one.");
    }
    const calendar = values.calendar === undefined
      ? null
      : String(values.calendar);
    const print = json
      ? (value: unknown) => world.out(JSON.stringify(value, null, 2))
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
        return await showHealth(sql, world, print);
      },
    );
  });
}

type Print = ((value: unknown) => void) | null;

/** Asks for the pulls, and waits until they are over. */
async function reconcile(
  sql: postgres.Sql,
  { sleep }: AdminWorld,
  { calendar, dry }: { calendar: string | null; dry: boolean },
): Promise<postgres.Row[]> {
  const [{ asked_at }] = await sql`select clock_timestamp() as asked_at` as [
    postgres.Row,
  ];
  await sql`select luma.reconcile(dry => ${dry}, calendar => ${calendar})`;
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_EVERY_MS) {
    // Of each calendar the first run that was begun since then, or waits: the one that was asked for.
    const runs = await sql`
      select p.* from luma.pulls p
      where p.luma_event_id is null and (p.reads = 'compare') = ${dry}
        and (p.started_at >= ${asked_at} or p.started_at is null)
        and p.calendar = coalesce(${calendar}, p.calendar)
      order by p.calendar`;
    if (runs.length > 0 && runs.every(({ ended_at }) => ended_at !== null)) {
      return runs;
    }
    await sleep(LOOK_EVERY_MS);
  }
  throw new Problem(
    `The pulls are not over after ${
      PATIENCE_MS / 60_000
    } minutes: select * from luma.pulls, and problem in luma.health, say why.`,
  );
}

/** 1 when something differs, or could not be read. */
async function showDrift(
  sql: postgres.Sql,
  world: AdminWorld,
  runs: postgres.Row[],
  print: Print,
): Promise<number> {
  const drift = await sql`
    select calendar, entity, title, who, field, app_value, luma_value, ahead, action, event_id, luma_event_id
    from luma.drift where run_id = any (${runs.map(({ id }) => id)})
    order by calendar, title, entity, who, field`;
  if (print) print({ runs, drift });
  else {
    showRuns(world, runs, null);
    world.out(
      drift.length === 0 ? "\nBoth sides agree." : `\n${
        table(
          ["event", "what", "field", "app", "Luma", "ahead", "what is done"],
          drift.map((line) => [
            line.title ?? line.luma_event_id,
            [line.entity, line.who].filter(Boolean).join(" "),
            line.field,
            line.app_value,
            line.luma_value,
            line.ahead,
            line.action,
          ]),
        )
      }\n\n${drift.length} differences. deno task status --repair makes both sides agree.`,
    );
  }
  return drift.length > 0 || runs.some(({ state }) => state !== "done") ? 1 : 0;
}

/** 1 when one of them did not read everything. */
function showRuns(
  world: AdminWorld,
  runs: postgres.Row[],
  print: Print,
): number {
  if (print) print({ runs });
  else {
    world.out(table(
      [
        "calendar",
        "pull",
        "events",
        "guests",
        "inserted",
        "updated",
        "unchanged",
        "to read",
        "errors",
        "calls",
      ],
      runs.map((run) => [
        run.calendar,
        run.state,
        run.events,
        run.guests,
        run.inserted,
        run.updated,
        run.unchanged,
        run.to_read,
        run.errors,
        run.calls,
      ]),
    ));
    for (const { calendar, problems } of runs) {
      for (const problem of problems) world.err(`${calendar}: ${problem}`);
    }
  }
  return runs.every(({ state }) => state === "done") ? 0 : 1;
}

async function showHealth(
  sql: postgres.Sql,
  world: AdminWorld,
  print: Print,
): Promise<number> {
  const [health] = await sql`select * from luma.health` as [postgres.Row];
  if (print) {
    print(health);
    return 0;
  }
  const { calendars, backfill, ...rest } = health;
  world.out(table(["", ""], Object.entries(rest), 120));
  const names = [
    "ready",
    "last_webhook",
    "last_pull",
    "calls_last_minute",
    "problem",
  ];
  world.out(`\n${
    table(
      ["calendar", ...names.map((name) => name.replaceAll("_", " "))],
      Object.entries(calendars ?? {}).map(([key, calendar]) => [
        key,
        ...names.map((name) => (calendar as Record<string, unknown>)[name]),
      ]),
      80,
    )
  }`);
  if (backfill?.state !== "none") {
    world.out(
      `\nbackfill: ${backfill.state}, ${backfill.done} of ${backfill.total}, until ${
        shown(backfill.ends_at)
      }`,
    );
  }
  return 0;
}

if (import.meta.main) Deno.exitCode = await status(Deno.args, shellWorld());
