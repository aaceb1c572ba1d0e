/** pg_cron's jobs, by the history's clock. */
import type postgres from "postgres";
import { parseSchedule } from "../../stack/cron_schedule.ts";
import type { VirtualClock } from "./clock.ts";

const MINUTE_MS = 60_000;

export class CronJobs {
  isPaused = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly run: (command: string) => Promise<void>,
  ) {}

  /** Runs each job when it is due, from now on. */
  async start(admin: postgres.Sql): Promise<void> {
    const jobs = await admin`
      -- Every 5 seconds where pg_cron knows seconds, as hosted; an older one on this machine does not.
      select case jobname when 'luma-drain' then '5 seconds' else schedule end as schedule, command from cron.job where active order by jobid`;
    for (const { schedule, command } of jobs) {
      const parsed = parseSchedule(schedule);
      const everyMs = parsed.kind === "interval"
        ? parsed.seconds * 1000
        : MINUTE_MS;
      const isDue = () =>
        parsed.kind === "interval" ||
        parsed.isDue(
          new Date(this.clock.now - this.clock.now % MINUTE_MS),
        );
      const next = () => {
        this.clock.after(everyMs, next);
        if (!this.isPaused && isDue()) {
          void this.clock.during(() => this.run(command));
        }
      };
      this.clock.after(everyMs - this.clock.now % everyMs, next);
    }
  }
}
