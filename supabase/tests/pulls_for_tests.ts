/** Pulls as tests ask for them, and what became of them. */
import type { Row } from "postgres";
import { intercepted } from "./luma_deliveries.ts";
import { one, pull, type Stack } from "./testing.ts";

/** The last run of a calendar, as luma.pulls shows it. */
export async function lastRun(
  { sql }: Pick<Stack, "sql">,
  calendar = "blr",
): Promise<Row> {
  return await one(sql`
    select * from luma.pulls where calendar = ${calendar} order by requested_at desc limit 1`);
}

/** Pulls everything; answers the run of Bangalore. */
export async function pullAll(stack: Stack): Promise<Row> {
  await pull(stack);
  return await lastRun(stack);
}

/** A pull as pg_cron asks for it every quarter of an hour; answers the run of Bangalore. */
export async function pullScheduled(stack: Stack): Promise<Row> {
  const { sql } = stack;
  await sql`update luma.settings set scheduled_pulls = true`;
  await sql`select luma.schedule_pull()`;
  await sql`update luma.settings set scheduled_pulls = false`;
  await pull(stack, {});
  return await lastRun(stack);
}

/** Does something on Luma that no webhook tells. */
export async function unheard(stack: Stack, act: () => unknown): Promise<void> {
  await intercepted(stack, act);
}

/** Lets a call that failed be repeated after a fifth of a second. */
export async function retryAtOnce({ sql }: Pick<Stack, "sql">): Promise<void> {
  await sql`update luma.settings set retry_base_seconds = 0.01, retry_cap_seconds = 0.01`;
}
