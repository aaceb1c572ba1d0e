/** What differs between the two sides, found or repaired by pulls that are waited for. */
import type postgres from "postgres";
import type { AdminWorld } from "../admin/flags.ts";
import { table } from "../admin/text.ts";
import { Problem } from "../webhooks/problem.ts";

/** Shows JSON, or null for text. */
export type Print = ((value: unknown) => void) | null;

/** How often to look, and how long a pull may take: one that must wait for permits goes on in several functions. */
const LOOK_EVERY_MS = 500;
const PATIENCE_MS = 30 * 60_000;

/** Asks for the pulls, and waits until they are over. */
export async function reconcile(
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
export async function showDrift(
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
export function showRuns(
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
