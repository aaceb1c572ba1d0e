/** When a pg_cron job is due. */
import { Cron } from "croner";

export type Schedule =
  | { readonly kind: "interval"; readonly seconds: number }
  | { readonly kind: "cron"; readonly isDue: (minute: Date) => boolean };

/**
 * Reads a schedule as pg_cron does: `N seconds`, or five fields in UTC where `$` is the last day of the
 * month. Throws on anything else; cron.schedule() has refused those before.
 */
export function parseSchedule(schedule: string): Schedule {
  const interval = schedule.trim().match(/^(\d+) seconds?$/i);
  if (interval) return { kind: "interval", seconds: Number(interval[1]) };
  const pattern = new Cron(schedule.trim().replace("$", "L"), {
    timezone: "UTC",
    mode: "5-part",
  });
  return { kind: "cron", isDue: (minute) => pattern.match(minute) };
}
