/** How the sync is: what waits and why, the calendars, how long changes take, and what is wrong. */
import type postgres from "postgres";
import type { AdminWorld } from "../admin/flags.ts";
import { shown, table } from "../admin/text.ts";
import type { Print } from "./drift.ts";

const WATCH_EVERY_MS = 2_000;

/** Everything that is shown, as the views have it. */
export interface Health {
  health: postgres.Row;
  queue: postgres.Row[];
  calendars: postgres.Row[];
  lag: postgres.Row[];
  alerts: postgres.Row[];
  /** Of the last day. */
  conflicts: number;
}

/** Reads luma.health and what goes with it, as of one moment. */
export async function readHealth(sql: postgres.Sql): Promise<Health> {
  return await sql.begin("isolation level repeatable read", async (sql) => {
    const [health] = await sql`select * from luma.health` as [postgres.Row];
    const [{ conflicts }] = await sql`
      select count(*)::int as conflicts from luma.conflicts where noticed_at > now() - interval '1 day'` as [
      postgres.Row,
    ];
    return {
      health,
      queue: [
        ...await sql`
        select q.entity, q.calendar, q.due::int, q.waiting::int, q.in_flight::int, q.dead::int, q.oldest_due
        from luma.queue q order by q.entity, q.calendar`,
      ],
      calendars: [
        ...await sql`select * from luma.calendar_status order by calendar`,
      ],
      lag: [
        ...await sql`
        select direction, entity, changes::int, p50_ms::float8, p99_ms::float8, max_ms::float8
        from luma.lag order by direction desc, entity`,
      ],
      alerts: [
        ...await sql`
        select kind, calendar, message, raised_at, told_at from luma.alerts where state = 'open' order by raised_at`,
      ],
      conflicts,
    };
  });
}

/** Shows it once. */
export async function showHealth(
  sql: postgres.Sql,
  world: AdminWorld,
  print: Print,
): Promise<number> {
  const { health, ...rest } = await readHealth(sql);
  if (print) print({ ...health, ...rest });
  else world.out(describe({ health, ...rest }));
  return 0;
}

/** Shows it again and again; ends when the task is ended. */
export async function watchHealth(
  sql: postgres.Sql,
  world: AdminWorld,
  print: Print,
): Promise<never> {
  while (true) {
    // Over what was there before: the terminal's whole page, from its top.
    if (world.isTerminal && !print) world.out("\x1b[H\x1b[2J");
    await showHealth(sql, world, print);
    await world.sleep(WATCH_EVERY_MS);
  }
}

function describe(
  { health, queue, calendars, lag, alerts, conflicts }: Health,
): string {
  const { backfill } = health;
  return [
    table(["", ""], [
      ["mode", health.mode],
      ["problem", health.problem],
      ["last drain", health.last_drain],
      ["dead letters", health.dead],
      ["conflicts, last day", conflicts],
      ["duplicates", health.duplicates],
      ["missed changes", health.missed_changes],
    ], 200).trim(),
    queue.length === 0 ? "Nothing waits." : table(
      [
        "queue",
        "calendar",
        "due",
        "waiting",
        "in flight",
        "dead",
        "oldest due",
      ],
      queue.map((row) => [
        row.entity,
        row.calendar,
        row.due,
        row.waiting,
        row.in_flight,
        row.dead,
        ago(row.oldest_due),
      ]),
    ),
    table(
      [
        "calendar",
        "ready",
        "calls left",
        "last webhook",
        "webhooks missed",
        "last pull",
        "problem",
      ],
      calendars.map((row) => [
        row.calendar,
        row.ready,
        `${row.calls_left} of ${row.calls_per_minute}`,
        ago(row.last_webhook),
        row.webhooks_missed,
        ago(row.last_pull),
        row.problem ??
          (row.paused_by &&
            `paused by ${row.paused_by} until ${shown(row.paused_until)}`),
      ]),
      120,
    ),
    lag.length === 0 ? "Nothing was sent or heard in the last hour." : table(
      ["lag, last hour", "kind", "changes", "p50 ms", "p99 ms", "max ms"],
      lag.map((row) => [
        row.direction,
        row.entity,
        row.changes,
        row.p50_ms,
        row.p99_ms,
        row.max_ms,
      ]),
    ),
    alerts.map(({ message, raised_at }) =>
      `ALERT since ${shown(raised_at)}: ${message}`
    ).join("\n"),
    backfill?.state && backfill.state !== "none"
      ? `backfill: ${backfill.state}, ${backfill.done} of ${backfill.total}, until ${
        shown(backfill.ends_at)
      }`
      : "",
  ].filter(Boolean).join("\n\n");
}

/** How long ago, in the largest whole unit. */
function ago(time: Date | null): string | null {
  if (time === null) return null;
  const seconds = Math.max(0, Math.round((Date.now() - time.getTime()) / 1000));
  const [size, unit] = ([[86_400, "d"], [3_600, "h"], [60, "min"]] as const)
    .find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}
