/** The scheduled jobs, and pg_net's worker. */
import { jobProblems, wantedJobs } from "../project/jobs.ts";
import { type Check, failure, ok, warning } from "./check.ts";

/** The most frequent job runs at least every minute. */
const QUIET_MINUTES = 5;

export const jobChecks: readonly Check[] = [
  {
    id: "jobs-scheduled",
    needs: ["extension-pg-cron", "migrations"],
    async look({ sql, world }) {
      const jobs = await jobProblems(sql(), await wantedJobs(world.root));
      const amiss = jobs.filter(({ problem }) => problem !== null);
      return amiss.length === 0
        ? ok(jobs.map(({ job }) => job.name).join(", "))
        : failure(
          amiss.map(({ job, problem }) => `${job.name} is ${problem}`)
            .join(", "),
          "deno task setup",
        );
    },
  },
  {
    id: "jobs-run",
    needs: ["jobs-scheduled"],
    async look({ sql }) {
      const rows = await sql()`
        select j.jobname, d.status, d.return_message as message, extract(epoch from now() - d.start_time) / 60 as minutes
        from cron.job j
        left join lateral (
          select r.* from cron.job_run_details r
          where r.jobid = j.jobid and r.status in ('succeeded', 'failed')
          order by r.start_time desc limit 1
        ) d on true
        where j.jobname like 'luma-%' and j.username = current_user order by j.jobname`;
      const failed = rows.filter(({ status }) => status === "failed");
      if (failed.length > 0) {
        return failure(
          failed.map(({ jobname, message }) => `${jobname} failed: ${message}`)
            .join("; "),
          "select * from cron.job_run_details order by start_time desc limit 20; says more.",
        );
      }
      const drain = rows.find(({ jobname }) => jobname === "luma-drain");
      if (drain?.minutes === null || drain?.minutes === undefined) {
        return warning(
          "luma-drain has not run yet",
          "Look again in two minutes; if that stays so, pg_cron does not work: restart the project (dashboard, Settings, General).",
        );
      }
      return drain.minutes > QUIET_MINUTES
        ? failure(
          `luma-drain last ran ${Math.round(drain.minutes)} minutes ago`,
          "pg_cron does not work: restart the project (dashboard, Settings, General).",
        )
        : ok("the last run of each went well");
    },
  },
  {
    id: "pg-net-worker",
    needs: ["extension-pg-net"],
    async look({ sql }) {
      const [row] = await sql()`
        select to_regprocedure('net.check_worker_is_up()') is not null as can_ask`;
      if (!row?.can_ask) return ok("this pg_net cannot be asked");
      try {
        await sql()`select net.check_worker_is_up()`;
        return ok("is up");
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        return failure(error.message, "select net.worker_restart();");
      }
    },
  },
];
