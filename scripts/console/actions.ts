/** What the buttons do: each calls one of the SQL functions for admins, and says what it answered. */
import type postgres from "postgres";
import { databaseWords } from "../admin/database.ts";
import { Problem } from "../webhooks/problem.ts";
import { counted, words } from "./format.ts";
import type { Flash } from "./layout.tsx";

type Fields = Record<string, string | undefined>;
type Act = (sql: postgres.Sql, fields: Fields) => Promise<string>;

const ACTIONS: Record<string, Act> = {
  async mode(sql, { mode = "", confirm }) {
    if (mode === "live" && confirm !== "yes") {
      throw new Problem(
        "Nothing was changed: to go live, tick the box that says so.",
      );
    }
    const answer = await ask(sql`select luma.set_mode(${mode}) as answer`);
    return `The mode is ${words(String(answer))}.`;
  },

  async pause(sql, { calendar = "" }) {
    await ask(sql`select luma.pause(${calendar}) as answer`);
    return `${calendar} is paused. Its changes wait until it is resumed.`;
  },

  async resume(sql, { calendar = "" }) {
    await ask(sql`select luma.resume(${calendar}) as answer`);
    return `${calendar} is resumed.`;
  },

  async retry(sql, { id = "" }) {
    await ask(sql`select luma.retry(${id}::text) as answer`);
    return "It is tried again now.";
  },

  async "retry-all"(sql) {
    const revived = await ask(sql`select luma.retry() as answer`);
    return `Tried again now: ${counted(Number(revived), "dead letter")}.`;
  },

  async pull(sql, { calendar = null, event = null }) {
    const asked = await ask(
      sql`select luma.pull_now(${calendar}::text, ${event}::text) as answer`,
    );
    return `Luma is read now: ${
      counted(Number(asked), "pull")
    }. Pulls shows what they find.`;
  },

  async backfill(sql) {
    const enqueued = await ask(sql`select luma.backfill() as answer`);
    return Number(enqueued) === 0
      ? "Luma has everything, or it is enqueued already."
      : `Enqueued: ${
        counted(Number(enqueued), "event or RSVP", "events and RSVPs")
      }.`;
  },

  async "stop-backfill"(sql) {
    const waiting = await ask(sql`select luma.stop_backfill() as answer`);
    return `The backfill is stopped; ${
      counted(Number(waiting), "event or RSVP", "events and RSVPs")
    } of it wait.`;
  },
};

async function ask(query: PromiseLike<postgres.Row[]>): Promise<unknown> {
  return (await query)[0]?.answer;
}

/** Does it, and says what came of it; null when there is no such action. */
export async function act(
  sql: postgres.Sql,
  name: string,
  fields: Fields,
): Promise<Flash | null> {
  if (!Object.hasOwn(ACTIONS, name)) return null;
  try {
    return { done: true, message: await ACTIONS[name]!(sql, fields) };
  } catch (error) {
    if (error instanceof Problem) {
      return { done: false, message: error.message };
    }
    const words = databaseWords(error);
    if (!words) throw error;
    return { done: false, ...words };
  }
}
