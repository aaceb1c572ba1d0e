/** The sync's queue as luma-drain uses it, without the calls: what is claimed counts as sent. */
import type postgres from "postgres";

/** A run of a drain with the keys of both calendars. */
export async function startRun(sql: postgres.Sql): Promise<string> {
  const [row] =
    await sql`select public.luma_drain_start('{blr,zo_events}') ->> 'run_id' as run`;
  return row!.run;
}

interface Job {
  entity: "event" | "guests" | "look";
  id: string;
  lease: string;
  luma_event_id: string;
  /** Of an event: what Luma should hold. */
  state: { title: string };
  /** Of a batch of RSVPs. */
  guests: { lease: string; wanted: string }[];
}

/** Leases up to so many jobs, events or batches of RSVPs. */
export async function claim(
  sql: postgres.Sql,
  run: string,
  jobs: number,
): Promise<Job[]> {
  const [row] =
    await sql`select public.luma_claim(${run}, '{blr,zo_events}', ${jobs}) -> 'jobs' as jobs`;
  return row!.jobs;
}

/** What a drain says of an event that it has pushed. */
function pushed({ luma_event_id }: Job) {
  return { outcome: "done", luma_event_id, sent: {}, calls: [] };
}

/** Acknowledges events as pushed, each in a transaction of its own, as while the app writes the same rows. */
export async function acknowledgeEach(
  sql: postgres.Sql,
  jobs: Job[],
): Promise<void> {
  await Promise.all(
    jobs.map((job) =>
      sql`select public.luma_acknowledge(${job.lease}, ${
        JSON.stringify(pushed(job))
      })`
    ),
  );
}

/** Acknowledges events as pushed, in one statement. */
export async function acknowledge(
  sql: postgres.Sql,
  jobs: Job[],
): Promise<void> {
  const results = jobs.map((job) => ({
    lease: job.lease,
    result: pushed(job),
  }));
  await sql`
    select count(public.luma_acknowledge((j ->> 'lease')::uuid, j ->> 'result'))
    from jsonb_array_elements(${sql.json(results)}::jsonb) j`;
}

/** Settles batches of RSVPs as sent. */
export async function settle(sql: postgres.Sql, jobs: Job[]): Promise<void> {
  for (const { id, guests } of jobs) {
    const results = guests.map(({ lease, wanted }) => ({
      lease,
      outcome: "done",
      status: wanted,
      luma_guest_id: null,
      calls: [],
    }));
    await sql`select public.luma_settle_guests(${id}, ${
      JSON.stringify(results)
    })`;
  }
}

/** Does all that is due, a hundred events a claim. */
export async function drainEvents(sql: postgres.Sql): Promise<number> {
  return await drain(sql, 100, acknowledge);
}

/** Does all that is due, ten batches of RSVPs a claim. */
export async function drainRsvps(sql: postgres.Sql): Promise<number> {
  return await drain(sql, 10, settle);
}

async function drain(
  sql: postgres.Sql,
  batch: number,
  done: (sql: postgres.Sql, jobs: Job[]) => Promise<void>,
): Promise<number> {
  const run = await startRun(sql);
  for (let count = 0;;) {
    const jobs = await claim(sql, run, batch);
    // What the limit of Luma would cost is not to be seen here.
    await sql`delete from luma.rate_permits where true`;
    if (jobs.length === 0) return count;
    await done(sql, jobs);
    count += jobs.length;
  }
}

/** How many entities of the outbox Luma has as they are. */
export async function drained(sql: postgres.Sql): Promise<number> {
  const [row] =
    await sql`select count(*)::int from luma.sync_outbox where done_version = version`;
  return row!.count;
}
