/** The stand-in for pg_cron's scheduler: runs what cron.schedule() has put into cron.job. */
import type postgres from "postgres";
import { parseSchedule, type Schedule } from "./cron_schedule.ts";
import { connect } from "./database.ts";
import type { Worker } from "./pg_net.ts";

interface Job {
  jobid: string;
  schedule: string;
  command: string;
  database: string;
  username: string;
}

interface JobState {
  readonly schedule: Schedule;
  readonly text: string;
  /** When an interval job was last started, or first seen. */
  lastStart: number;
  pending: number;
  running?: Promise<void>;
}

const TICK_MS = 1000;

/**
 * Looks at cron.job once a second, as pg_cron does: one run of a job at a time, further due minutes
 * wait in line, `N seconds` jobs have at most one run waiting. Each run is a connection of the job's
 * own user and a row of cron.job_run_details. `now` is the clock, in epoch milliseconds.
 */
export async function startPgCron(
  adminUrl: string,
  log: (line: string) => void,
  now: () => number = Date.now,
): Promise<Worker> {
  const sql = connect(adminUrl, {
    max: 2,
    connection: { application_name: "pg_cron scheduler" },
  });
  await sql`select 1`;
  const scheduler = new Scheduler(sql, adminUrl, log, now);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isStopped = false;
  let ticking = Promise.resolve();
  const loop = () => {
    ticking = scheduler.tick()
      .catch((error) => log(`pg_cron: ${error.message}`))
      .then(() => {
        if (!isStopped) {
          timer = setTimeout(loop, TICK_MS - Date.now() % TICK_MS);
        }
      });
  };
  loop();
  return {
    pause: () => {
      scheduler.isPaused = true;
    },
    resume: () => {
      scheduler.isPaused = false;
    },
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await ticking;
      await scheduler.stop();
      await sql.end({ timeout: 1 });
    },
  };
}

/** Which jobs are due, waiting and running. */
class Scheduler {
  readonly #states = new Map<string, JobState>();
  readonly #active = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #lastMinute: number;
  isPaused = false;

  constructor(
    private readonly sql: postgres.Sql,
    private readonly adminUrl: string,
    private readonly log: (line: string) => void,
    private readonly now: () => number,
  ) {
    this.#lastMinute = minuteOf(now());
  }

  async tick(): Promise<void> {
    const time = this.now();
    const minute = minuteOf(time);
    const isNewMinute = minute !== this.#lastMinute;
    this.#lastMinute = minute;
    if (this.isPaused) return;
    for (const job of await activeJobs(this.sql)) {
      const state = stateOf(this.#states, job, time);
      const { schedule } = state;
      if (
        schedule.kind === "interval" &&
        time - state.lastStart >= schedule.seconds * 1000
      ) {
        state.pending = 1;
      }
      if (
        schedule.kind === "cron" && isNewMinute &&
        schedule.isDue(new Date(minute))
      ) {
        state.pending += 1;
      }
      if (state.pending === 0 || state.running) continue;
      state.pending -= 1;
      state.lastStart = time;
      this.#start(job, state);
    }
  }

  /** Cuts running jobs off and waits for their end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#active);
  }

  #start(job: Job, state: JobState): void {
    const run = runJob(this.sql, this.adminUrl, job, this.#stopping.signal)
      .catch((error) => this.log(`pg_cron: job ${job.jobid}: ${error.message}`))
      .finally(() => {
        state.running = undefined;
        this.#active.delete(run);
      });
    state.running = run;
    this.#active.add(run);
  }
}

function minuteOf(timeMs: number): number {
  return timeMs - timeMs % 60_000;
}

function stateOf(
  states: Map<string, JobState>,
  job: Job,
  now: number,
): JobState {
  const known = states.get(job.jobid);
  if (known?.text === job.schedule) return known;
  const schedule = parseSchedule(job.schedule);
  const state = {
    schedule,
    text: job.schedule,
    lastStart: now,
    pending: 0,
    running: known?.running,
  };
  states.set(job.jobid, state);
  return state;
}

async function activeJobs(sql: postgres.Sql): Promise<Job[]> {
  const [state] = await sql<
    { jobs: string | null }[]
  >`select to_regclass('cron.job')::text as jobs`;
  if (!state?.jobs) return [];
  return await sql<Job[]>`
    select jobid, schedule, command, database, username from cron.job where active order by jobid`;
}

async function runJob(
  sql: postgres.Sql,
  adminUrl: string,
  job: Job,
  stopping: AbortSignal,
): Promise<void> {
  const [run] = await sql<{ runid: string }[]>`
    insert into cron.job_run_details (jobid, database, username, command, status, start_time)
    values (${job.jobid}, ${job.database}, ${job.username}, ${job.command}, 'starting', clock_timestamp())
    returning runid`;
  if (!run) return;
  const outcome = await execute(sql, run.runid, adminUrl, job, stopping);
  await sql`
    update cron.job_run_details
    set status = ${outcome.status}, return_message = ${outcome.message}, end_time = clock_timestamp()
    where runid = ${run.runid}`;
}

async function execute(
  sql: postgres.Sql,
  runid: string,
  adminUrl: string,
  job: Job,
  stopping: AbortSignal,
): Promise<{ status: "succeeded" | "failed"; message: string }> {
  const url = new URL(adminUrl);
  url.username = job.username;
  url.pathname = `/${job.database}`;
  const connection = connect(url.href, {
    max: 1,
    connection: { application_name: "pg_cron" },
  });
  // A job may run for minutes; stopping the stack cuts it off.
  stopping.addEventListener(
    "abort",
    () => void connection.end({ timeout: 0 }),
    { once: true },
  );
  try {
    const [backend] = await connection<
      { pid: number }[]
    >`select pg_backend_pid() as pid`;
    await sql`
      update cron.job_run_details set status = 'running', job_pid = ${
      backend?.pid ?? null
    }
      where runid = ${runid}`;
    const result = await connection.unsafe(job.command);
    const isQuery = result.command === "SELECT";
    const message = isQuery
      ? `${result.count} row${result.count === 1 ? "" : "s"}`
      : `${result.command ?? ""}${
        result.count === null ? "" : ` ${result.count}`
      }`;
    return { status: "succeeded", message };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { status: "failed", message: `ERROR:  ${reason}` };
  } finally {
    await connection.end({ timeout: 1 });
  }
}

/** The same hold on the real pg_cron: it has no switch, so its jobs are made inactive for a while. */
export function holdPgCron(admin: postgres.Sql): Worker {
  let held: string[] = [];
  return {
    pause: async () => {
      const [state] = await admin<
        { jobs: string | null }[]
      >`select to_regclass('cron.job')::text as jobs`;
      if (!state?.jobs) return;
      const jobs = await admin<{ jobid: string }[]>`
        update cron.job set active = false where active returning jobid`;
      held = [...held, ...jobs.map((job) => job.jobid)];
    },
    resume: async () => {
      if (held.length > 0) {
        await admin`update cron.job set active = true where jobid = any(${held})`;
      }
      held = [];
    },
    stop: () => Promise.resolve(),
  };
}
