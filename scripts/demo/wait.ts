/** Waiting for what the sync does by itself, with everything that helps when it does not. */
import type { Stack } from "../stack/mod.ts";

const LOOK_EVERY_MS = 20;
const LOG_LINES = 12;

/** Something did not happen; the message tells what, and what the stack says about it. */
export class StoryError extends Error {
  override readonly name = "StoryError";
}

export interface Waiting {
  stack: Pick<Stack, "sql" | "functions">;
  timeoutMs: number;
}

/**
 * Looks until `look` answers something, and answers that. Throws StoryError after `timeoutMs`, and at once when
 * the sync has given up: a dead letter, or a calendar that stopped, does not go on by itself.
 */
export async function waitFor<T>(
  what: string,
  { stack, timeoutMs }: Waiting,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const found = await look();
    if (found !== undefined) return found;
    const [given] = await stack.sql<{ up: boolean }[]>`
      select exists (select from luma.dead_letters)
        or exists (select from luma.calendar_state where stopped_at is not null) as up`;
    if (given?.up || performance.now() > deadline) {
      const why = given?.up
        ? "The sync gave up"
        : `Not within ${timeoutMs / 1000} seconds`;
      throw new StoryError(`${why}: ${what}.\n${await diagnosis(stack)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** What the sync's own views, the newest failures and the functions say. */
async function diagnosis(
  { sql, functions }: Waiting["stack"],
): Promise<string> {
  const [health] = await sql`select * from luma.health`;
  const dead = await sql`select * from luma.dead_letters limit 3`;
  const failed = await sql`
    select settled_at, calendar, outcome, error from luma.attempts
    where error is not null order by id desc limit 3`;
  const answers = await sql`
    select status_code, left(content, 600) as content, error_msg from net._http_response
    where status_code is distinct from 202 order by id desc limit 2`;
  const log = functions.logs().trimEnd().split("\n").slice(-LOG_LINES);
  return [
    section("luma.health", [health]),
    section("luma.dead_letters", dead),
    section("luma.attempts, the last with an error", failed),
    section("What the functions answered to pg_net", answers),
    `The functions' last lines:\n${log.map((line) => `  ${line}`).join("\n")}`,
  ].join("\n");
}

function section(title: string, rows: readonly unknown[]): string {
  const lines = rows.map((row) => `  ${JSON.stringify(row)}`);
  return `${title}:\n${lines.length > 0 ? lines.join("\n") : "  (none)"}`;
}
