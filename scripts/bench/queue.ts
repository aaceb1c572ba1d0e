/** How many jobs a second go through: claimed in batches, and acknowledged. */
import { connect } from "../stack/database.ts";
import type { Stack } from "../stack/mod.ts";
import { drained, drainEvents, drainRsvps } from "./our_queue.ts";
import { graphileWorker, pgBoss, silent } from "./peers.ts";
import { median, millis, pairs, takeTurns } from "./rounds.ts";
import { emptyOutbox, linkedEvents, tidy, users } from "./scene.ts";
import { type BenchOptions, benchStack, type Measure } from "./section.ts";

const section = "queue";
const SIDES = [
  "ours: RSVPs",
  "ours: events",
  "graphile-worker",
  "pg-boss",
] as const;
type Side = (typeof SIDES)[number];

/** Lets `workers` workers do all jobs that wait; the milliseconds it took. Each answers how many it did. */
type Drain = (jobs: number, workers: number) => Promise<number>;

interface Peer {
  enqueue: (jobs: number) => Promise<unknown>;
  drain: Drain;
}

async function atOnce(
  workers: number,
  work: () => Promise<number>,
): Promise<number> {
  const done = await Promise.all(Array.from({ length: workers }, work));
  return done.reduce((sum, count) => sum + count, 0);
}

function must(done: number, jobs: number, side: string): void {
  if (done !== jobs) throw new Error(`${side} did ${done} of ${jobs} jobs.`);
}

function ours(stack: Stack, what: "events" | "rsvps"): Peer {
  const { sql, postgres } = stack;
  return {
    enqueue: async (jobs) => {
      await emptyOutbox(sql);
      if (what === "events") {
        await sql`
          update public.canonical_events set title = title || '.'
          where id in (select id from public.canonical_events order by id limit ${jobs})`;
      } else {
        await sql`truncate public.event_rsvps, luma.guests, luma.guest_links`;
        await sql`
          insert into public.event_rsvps (event_id, user_id, status)
          select e.id, u.id, 'going'
          from (select id from public.canonical_events order by id limit ${
          jobs / 100
        }) e
          cross join (select id from public.users limit 100) u`;
      }
      await tidy(sql);
    },
    drain: async (jobs, workers) => {
      const pool = connect(postgres.url, { max: workers });
      try {
        const drain = what === "events" ? drainEvents : drainRsvps;
        return await millis(async () => {
          await atOnce(workers, () => drain(pool));
          must(await drained(sql), jobs, "ours");
        });
      } finally {
        await pool.end();
      }
    },
  };
}

async function graphile({ sql, postgres }: Stack): Promise<Peer> {
  const worker = await graphileWorker(postgres.url);
  const logger = silent(worker);
  return {
    enqueue: async (jobs) => {
      await sql`truncate graphile_worker._private_jobs`;
      await sql`
        select count(*) from graphile_worker.add_jobs(array(
          select ('sync', json_build_object('id', n), null, null, 25, n::text, 1, null)::graphile_worker.job_spec
          from generate_series(1, ${jobs}::int) n))`;
    },
    drain: async (jobs, workers) => {
      let done = 0;
      const { promise: isDone, resolve } = Promise.withResolvers<void>();
      const task = () => {
        if (++done === jobs) resolve();
      };
      const start = performance.now();
      // As in its own performance test: jobs are fetched and completed by the hundred.
      const runners = await Promise.all(
        Array.from({ length: workers }, () =>
          worker.run({
            connectionString: postgres.url,
            taskList: { sync: task },
            noHandleSignals: true,
            logger,
            preset: {
              worker: {
                concurrentJobs: 10,
                maxPoolSize: 4,
                pollInterval: 1000,
                localQueue: { size: 500 },
                completeJobBatchDelay: 0,
                failJobBatchDelay: 0,
              },
            },
          })),
      );
      await isDone;
      // Completed, not only worked on.
      await Promise.all(runners.map((runner) => runner.stop()));
      const took = performance.now() - start;
      const [left] =
        await sql`select count(*)::int from graphile_worker._private_jobs`;
      must(jobs - left!.count, jobs, "graphile-worker");
      return took;
    },
  };
}

async function boss({ postgres }: Stack): Promise<Peer & AsyncDisposable> {
  const queue = "sync";
  const boss = await pgBoss(postgres.url);
  await boss.createQueue(queue);
  return {
    enqueue: async (jobs) => {
      const data = Array.from({ length: jobs }, (_, id) => ({ data: { id } }));
      await boss.insert(queue, data);
    },
    drain: async (jobs, workers) => {
      let done = 0;
      const took = await millis(async () => {
        done = await atOnce(workers, async () => {
          let own = 0;
          for (;;) {
            const fetched = await boss.fetch(queue, { batchSize: 500 });
            if (fetched.length === 0) return own;
            await boss.complete(queue, fetched.map(({ id }) => id));
            own += fetched.length;
          }
        });
      });
      must(done, jobs, "pg-boss");
      return took;
    },
    [Symbol.asyncDispose]: () => boss.stop({ graceful: false }),
  };
}

/** Measures the section. */
export async function queue(
  { rounds, quick, ...options }: BenchOptions,
): Promise<Measure[]> {
  await using stack = await benchStack({ rounds, quick, ...options });
  await linkedEvents(stack.sql, 10_000);
  await users(stack.sql, 1000);
  await using bossPeer = await boss(stack);
  const peers: Record<Side, Peer> = {
    "ours: RSVPs": ours(stack, "rsvps"),
    "ours: events": ours(stack, "events"),
    "graphile-worker": await graphile(stack),
    "pg-boss": bossPeer,
  };
  const amounts: Record<Side, number> = {
    "ours: RSVPs": quick ? 2_000 : 20_000,
    "ours: events": quick ? 500 : 5_000,
    "graphile-worker": quick ? 5_000 : 50_000,
    "pg-boss": quick ? 5_000 : 50_000,
  };
  const measures: Measure[] = [];
  for (const workers of [1, 4, 16]) {
    options.say(`${workers} workers`);
    const taken = await takeTurns(rounds, SIDES, async (side) => {
      await peers[side].enqueue(amounts[side]);
      const took = await peers[side].drain(amounts[side], workers);
      return 1000 * amounts[side] / took;
    });
    const what = workers === 1 ? "1 worker" : `${workers} workers`;
    for (const side of SIDES) {
      measures.push({
        section,
        what,
        side,
        rounds: taken[side],
        unit: "jobs a second",
      });
    }
    for (const side of ["ours: RSVPs", "ours: events"] as const) {
      const ratio = pairs(
        taken[side],
        taken["graphile-worker"],
        (a, b) => a / b,
      );
      measures.push({
        section,
        what: `${what}, against graphile-worker`,
        side,
        rounds: ratio,
        unit: "times as many",
        aim: "at least 2",
        met: median(ratio) >= 2,
      });
    }
  }
  return measures;
}
