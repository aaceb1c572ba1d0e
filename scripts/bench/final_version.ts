/**
 * Whether the last version of a row always gets through, when it is edited while an earlier one is being sent
 * (graphile/worker#580). Each edit is a transaction: the row, and what enqueues it.
 */
import type { Stack } from "../stack/mod.ts";
import { acknowledge, claim, startRun } from "./our_queue.ts";
import { graphileWorker, silent } from "./peers.ts";
import { sleep } from "./rounds.ts";
import { emptyOutbox, linkedEvents } from "./scene.ts";
import { type BenchOptions, benchStack, type Measure } from "./section.ts";

const section = "final-version";
const EDITORS = 8;
const WORKERS = 4;

/** A queue under test. */
interface Probe {
  keys: string[];
  edit(key: string, version: number): Promise<unknown>;
  /** The last version of a key that was worked on. */
  seen: Map<string, number>;
  /** Waits until nothing is left to do. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** As long as a call takes. */
const call = () => sleep(2 + Math.random() * 8);

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!await holds()) await sleep(20);
}

async function ours(stack: Stack, keys: number): Promise<Probe> {
  const { sql } = stack;
  await emptyOutbox(sql);
  const ids = await sql<{ id: string }[]>`
    select id from public.canonical_events order by id limit ${keys}`;
  const seen = new Map<string, number>();
  let isOver = false;
  const worker = async () => {
    const run = await startRun(sql);
    while (!isOver) {
      const jobs = await claim(sql, run, 10);
      await sql`delete from luma.rate_permits where true`;
      if (jobs.length === 0) await sleep(5);
      await Promise.all(jobs.map(async (job) => {
        await call();
        await acknowledge(sql, [job]);
        seen.set(job.id, Number(job.state.title));
      }));
    }
  };
  const workers = Array.from({ length: WORKERS }, worker);
  return {
    keys: ids.map(({ id }) => id),
    seen,
    edit: async (id, version) =>
      await sql`update public.canonical_events set title = ${version} where id = ${id}`,
    settled: () =>
      until(async () =>
        (await sql`select from luma.sync_outbox where version > done_version limit 1`)
          .length === 0
      ),
    stop: async () => {
      isOver = true;
      await Promise.all(workers);
    },
  };
}

async function graphile(
  { sql, postgres }: Stack,
  keys: number,
): Promise<Probe> {
  const worker = await graphileWorker(postgres.url);
  await sql.unsafe(`
    create schema if not exists bench;
    create table if not exists bench.items (id text primary key, version integer not null default 0);
    truncate bench.items`);
  await sql`insert into bench.items (id) select n::text from generate_series(1, ${keys}::int) n`;
  const seen = new Map<string, number>();
  const runner = await worker.run({
    connectionString: postgres.url,
    noHandleSignals: true,
    logger: silent(worker),
    preset: { worker: { concurrentJobs: WORKERS, pollInterval: 100 } },
    taskList: {
      sync: async (payload) => {
        const { id } = payload as { id: string };
        const [row] =
          await sql`select version from bench.items where id = ${id}`;
        await call();
        seen.set(id, Math.max(seen.get(id) ?? 0, row!.version));
      },
    },
  });
  return {
    keys: Array.from({ length: keys }, (_, n) => String(n + 1)),
    seen,
    edit: (id, version) =>
      sql.begin(async (sql) => {
        await sql`update bench.items set version = ${version} where id = ${id}`;
        await sql`
          select graphile_worker.add_job('sync', json_build_object('id', ${id}::text), job_key => ${id},
            job_key_mode => 'preserve_run_at')`;
      }),
    settled: () =>
      until(async () =>
        (await sql`select from graphile_worker._private_jobs limit 1`)
          .length === 0
      ),
    stop: () => runner.stop(),
  };
}

/** Bursts of edits by eight editors; how many keys' last version nobody saw, and of how many. */
async function lost(
  probe: Probe,
  bursts: number,
  edits: number,
): Promise<{ lost: number; edited: number }> {
  const total = { lost: 0, edited: 0 };
  let version = 0;
  for (let burst = 0; burst < bursts; burst++) {
    const last = new Map<string, number>();
    // A key belongs to one editor, so that its versions are committed in their order.
    await Promise.all(Array.from({ length: EDITORS }, async (_, editor) => {
      const keys = probe.keys.filter((_, n) => n % EDITORS === editor);
      for (let n = 0; n < edits / EDITORS && keys.length > 0; n++) {
        const key = keys[Math.floor(Math.random() * keys.length)]!;
        const own = ++version;
        await probe.edit(key, own);
        last.set(key, own);
      }
    }));
    await probe.settled();
    // Acknowledged, or completed, a moment before the worker's own note of it.
    await sleep(50);
    total.edited += last.size;
    for (const [key, version] of last) {
      if (probe.seen.get(key) !== version) total.lost++;
    }
  }
  return total;
}

/** Measures the section. */
export async function finalVersion(options: BenchOptions): Promise<Measure[]> {
  await using stack = await benchStack(options);
  await linkedEvents(stack.sql, 1000);
  await graphileWorker(stack.postgres.url);
  const measures: Measure[] = [];
  for (const keys of [10, 100, 1000]) {
    const bursts = options.quick ? 3 : 20;
    const edits = keys === 10 ? 200 : keys * (keys === 100 ? 4 : 1);
    for (
      const [side, start] of Object.entries({
        ours,
        "graphile-worker": graphile,
      })
    ) {
      options.say(`${keys} keys: ${side}`);
      const rounds: number[] = [];
      let edited = 0;
      for (let round = 0; round < options.rounds; round++) {
        const probe = await start(stack, keys);
        try {
          const found = await lost(probe, bursts, edits);
          rounds.push(found.lost);
          edited += found.edited;
        } finally {
          await probe.stop();
        }
      }
      measures.push({
        section,
        what: `${keys} keys, ${bursts * edits} edits a round`,
        side,
        rounds,
        unit: `last versions lost, of ${Math.round(edited / options.rounds)}`,
        ...side === "ours" &&
          { aim: "none", met: rounds.every((lost) => lost === 0) },
      });
    }
  }
  return measures;
}
