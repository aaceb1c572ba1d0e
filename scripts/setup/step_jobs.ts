/** Step "jobs": pg_cron has what the migrations have scheduled. */
import { jobProblems, mendJob, wantedJobs } from "../project/jobs.ts";
import type { Scene, Step } from "./scene.ts";

export const jobsStep: Step = {
  name: "jobs",

  async look(scene) {
    return (await amiss(scene)).map(({ job, problem }) =>
      `schedule ${job.name}, which is ${problem}`
    );
  },

  async apply(scene) {
    for (const { job } of await amiss(scene)) await mendJob(scene.sql, job);
  },
};

async function amiss({ sql, world }: Scene) {
  const [found] = await sql`
    select to_regclass('cron.job') is not null and to_regclass('luma.settings') is not null as is_there`;
  // Before the migrations, which schedule them.
  if (!found?.is_there) return [];
  const jobs = await jobProblems(sql, await wantedJobs(world.root));
  return jobs.filter(({ problem }) => problem !== null);
}
