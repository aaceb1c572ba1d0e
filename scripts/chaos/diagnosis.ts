/** Why the system is where it is: what an admin would look at. */
import type { World } from "./world.ts";

/** Lines, the most telling first. Empty parts are left out; the database may be the one that is broken. */
export async function diagnosis({ stack }: World): Promise<string[]> {
  const { sql } = stack;
  const parts: [string, PromiseLike<readonly object[]>][] = [
    [
      "waits",
      sql`select entity, entity_id, version, done_version, calendar, due_at, attempts, crashes, lease is not null as leased, dead_at, last_error
          from luma.sync_outbox where version > done_version order by due_at limit 20`,
    ],
    ["recheck", sql`select * from luma.rechecks limit 10`],
    [
      "delivery",
      sql`select type, state, outcome, error, due_at from luma.webhook_inbox where due_at is not null limit 10`,
    ],
    ["health", sql`select * from luma.health`],
    ["calendar", sql`select * from luma.calendar_status`],
    [
      "attempt",
      sql`select settled_at, entity, entity_id, outcome, error, calls from luma.attempts order by id desc limit 10`,
    ],
    ["conflict", sql`select * from luma.conflicts order by id desc limit 10`],
  ];
  const lines: string[] = [];
  for (const [name, rows] of parts) {
    try {
      for (const row of await rows) {
        lines.push(`${name}: ${JSON.stringify(row)}`);
      }
    } catch (error) {
      lines.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const said = stack.functions.logs().trimEnd().split("\n").slice(-15);
  return [...lines, ...said.map((line) => `log: ${line}`)];
}
