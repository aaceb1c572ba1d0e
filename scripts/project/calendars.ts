/** The calendars' keys: whom each opens on Luma, and whether that is the calendar which its row names. */
import type postgres from "postgres";
import {
  createLumaClient,
  type LumaClient,
} from "../../supabase/functions/_shared/luma/client.ts";
import { hasStatus } from "../../supabase/functions/_shared/luma/errors.ts";
import { explained } from "../webhooks/commands.ts";
import { Problem } from "../webhooks/problem.ts";
import type { Calendar } from "../webhooks/settings.ts";
import type { ProjectSettings } from "./settings.ts";

/** What Luma says to one key. */
export interface KeyState {
  calendar: Calendar;
  luma: LumaClient;
  /** The calendar that the key opens; null when Luma did not say. */
  found: { id: string; name: string } | null;
  /** Why not, with what to do; empty when it did. */
  problem: string;
  /** The problem is only that there are no calls left this minute. */
  isBusy: boolean;
  /** Luma's clock minus this machine's, in milliseconds, or null. */
  clockMs: number | null;
}

/** Asks Luma about every key of the settings. */
export async function askLuma(
  settings: Pick<ProjectSettings, "calendars" | "lumaUrl">,
  fetcher: typeof fetch,
): Promise<KeyState[]> {
  return await Promise.all(settings.calendars.map(async (calendar) => {
    let clockMs: number | null = null;
    const luma = createLumaClient({
      apiKey: calendar.apiKey,
      baseUrl: settings.lumaUrl,
      fetch: async (...call) => {
        const response = await fetcher(...call);
        const told = Date.parse(response.headers.get("date") ?? "");
        // The header has whole seconds: the middle of one is the best guess.
        clockMs = Number.isNaN(told) ? null : told + 500 - Date.now();
        return response;
      },
    });
    const asked = { calendar, luma, found: null, problem: "", isBusy: false };
    try {
      await luma.getSelf();
      const { id, name } = await luma.getCalendar();
      return { ...asked, found: { id, name }, clockMs };
    } catch (error) {
      const problem = explained(error, calendar, settings);
      return { ...asked, problem, isBusy: hasStatus(error, 429), clockMs };
    }
  }));
}

/** Does something on Luma. What goes wrong there becomes a Problem that names the calendar and what to do. */
export async function onLuma<T>(
  settings: Pick<ProjectSettings, "lumaUrl">,
  calendar: Calendar,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const said = explained(error, calendar, settings);
    throw new Problem(`${calendar.name}: ${said}`, { cause: error });
  }
}

/** A row of public.calendars that has a key's name. */
export interface CalendarRow {
  luma_key: string;
  luma_calendar_id: string | null;
}

/** The rows, or null when the table, or its columns, are not there yet. */
export async function calendarRows(
  sql: postgres.Sql,
): Promise<CalendarRow[] | null> {
  const [column] = await sql`
    select from information_schema.columns
    where table_schema = 'public' and table_name = 'calendars' and column_name = 'luma_key'`;
  if (!column) return null;
  return await sql<CalendarRow[]>`
    select luma_key, luma_calendar_id from public.calendars
    where luma_key is not null order by luma_key`;
}

/** What is wrong between keys and rows, each with what to do. */
export function keyProblems(
  keys: readonly KeyState[],
  rows: readonly CalendarRow[],
): string[] {
  return keys.flatMap(({ calendar: { name, apiKeyName }, found }) => {
    if (!found) return [];
    const opens = `${apiKeyName} opens ${found.id} ("${found.name}")`;
    const row = rows.find(({ luma_key }) => luma_key === name);
    if (!row) {
      return [
        `${opens}, but no row of public.calendars has the luma_key '${name}'. Insert it (README, "A new calendar"), or take the key out.`,
      ];
    }
    if (row.luma_calendar_id === found.id) return [];
    if (row.luma_calendar_id === null) {
      return [
        `${opens}, and its row names no calendar: update public.calendars set luma_calendar_id = '${found.id}' where luma_key = '${name}';`,
      ];
    }
    return [
      `${opens}, but the row '${name}' of public.calendars is ${row.luma_calendar_id}. Put that calendar's key there, from its settings on Luma.`,
    ];
  });
}

/** Names of keys that rows ask for and nobody has. */
export function keysLacking(
  keys: readonly Pick<KeyState, "calendar">[],
  rows: readonly CalendarRow[],
): string[] {
  return rows.filter(({ luma_key }) =>
    !keys.some(({ calendar }) => calendar.name === luma_key)
  ).map(({ luma_key }) => `LUMA_${luma_key.toUpperCase()}_API_KEY`);
}
