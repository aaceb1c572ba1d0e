/** The scheduled jobs: what the migrations want, and what pg_cron has. */
import type postgres from "postgres";
import { migrationFiles } from "../stack/database.ts";

/** A job as the last migration that schedules it wants it. */
export interface WantedJob {
  name: string;
  command: string;
  /** The call that schedules it; scheduling a name again updates it. */
  statement: string;
}

/** Name, schedule, and the command in either kind of quotes. */
const CALL =
  /cron\.schedule\(\s*'([^']+)'\s*,[^;]*?(?:'((?:[^']|'')*)'|\$\$(.*?)\$\$)\s*\)\s*;/gs;

/** The jobs that the migrations of `root` schedule. They are the only place where these are written down. */
export async function wantedJobs(root: string): Promise<WantedJob[]> {
  const folder = `${root}/supabase/migrations`;
  const jobs = new Map<string, WantedJob>();
  for (const file of await migrationFiles(folder)) {
    const text = await Deno.readTextFile(`${folder}/${file}`);
    for (const [call, name = "", quoted, dollars] of text.matchAll(CALL)) {
      const command = dollars ?? quoted?.replaceAll("''", "'") ?? "";
      const statement = `select ${call}`;
      jobs.set(name, { name, command, statement });
    }
  }
  return [...jobs.values()];
}

/** What is wrong with the job, or null. */
export type JobProblem = "missing" | "inactive" | "changed" | null;

/** Compares each job with what pg_cron has for the present role. */
export async function jobProblems(
  sql: postgres.Sql,
  jobs: readonly WantedJob[],
): Promise<{ job: WantedJob; problem: JobProblem }[]> {
  const rows = await sql`
    select jobname, command, active from cron.job
    where username = current_user and database = current_database()`;
  return jobs.map((job) => {
    const row = rows.find(({ jobname }) => jobname === job.name);
    if (!row) return { job, problem: "missing" };
    if (!row.active) return { job, problem: "inactive" };
    return { job, problem: row.command === job.command ? null : "changed" };
  });
}

/** Schedules a job as the migrations do, and makes it active. */
export async function mendJob(
  sql: postgres.Sql,
  { name, statement }: WantedJob,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await transaction.unsafe(statement);
    await transaction`
      select cron.alter_job(j.jobid, active => true) from cron.job j
      where j.jobname = ${name} and j.username = current_user`;
  });
}
