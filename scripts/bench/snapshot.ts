/** What a transaction that somebody left open does to the queue: no dead row can be taken away while it lasts. */
import type { Stack } from "../stack/mod.ts";
import { acknowledgeEach, claim, startRun } from "./our_queue.ts";
import { median, pairs, sleep, takeTurns } from "./rounds.ts";
import { emptyOutbox, linkedEvents, tidy } from "./scene.ts";
import { type BenchOptions, benchStack, type Measure } from "./section.ts";

const section = "snapshot";
/** Every row once in so many seconds, or in ten times as many. */
const EVENTS = [1_000, 10_000];
const EDITS_A_SECOND = 800;
/** Edits are made in statements of so many rows. */
const EDITED_AT_ONCE = 20;

interface Drained {
  jobs: number;
  dead: number;
}

/** Edits all events in turn at that rate, and counts the jobs that a drain beside it gets done. */
async function editAndDrain(
  { sql }: Stack,
  seconds: number,
): Promise<Drained> {
  await emptyOutbox(sql);
  await tidy(sql);
  const ids = (await sql`select id from public.canonical_events order by id`)
    .map(({ id }) => id);
  const run = await startRun(sql);
  const start = performance.now();
  const end = start + seconds * 1000;
  const edit = async () => {
    for (let turn = 0; performance.now() < end; turn++) {
      const due = start + turn * 1000 * EDITED_AT_ONCE / EDITS_A_SECOND;
      await sleep(due - performance.now());
      const first = turn * EDITED_AT_ONCE % ids.length;
      await sql`
        update public.canonical_events set title = ${`Rooftop Jam ${turn}`}
        where id = any (${ids.slice(first, first + EDITED_AT_ONCE)})`;
    }
  };
  let jobs = 0;
  const drain = async () => {
    while (performance.now() < end) {
      const claimed = await claim(sql, run, 10);
      await sql`delete from luma.rate_permits where true`;
      await acknowledgeEach(sql, claimed);
      jobs += claimed.length;
      // A drain that finds nothing waits to be rung for.
      if (claimed.length === 0) await sleep(10);
    }
  };
  await Promise.all([edit(), drain()]);
  await sql`analyze luma.sync_outbox`;
  const [row] = await sql`
    select n_dead_tup::int as dead from pg_stat_user_tables where relid = 'luma.sync_outbox'::regclass`;
  return { jobs, dead: row!.dead };
}

/** Lets a transaction hold its snapshot while something is done. */
export async function whileOpen<T>(
  { sql }: Stack,
  work: () => Promise<T>,
): Promise<T> {
  const holder = await sql.reserve();
  try {
    await holder`begin isolation level repeatable read`;
    await holder`select count(*) from luma.settings`;
    return await work();
  } finally {
    await holder`rollback`;
    holder.release();
  }
}

/** Measures the section. */
export async function snapshot(options: BenchOptions): Promise<Measure[]> {
  const measures: Measure[] = [];
  for (const events of EVENTS) {
    measures.push(...await snapshotOf(events, options));
  }
  return measures;
}

async function snapshotOf(
  events: number,
  options: BenchOptions,
): Promise<Measure[]> {
  await using stack = await benchStack(options);
  await linkedEvents(stack.sql, events);
  await stack.sql`update luma.settings set oldest_share = 0`;
  const seconds = options.quick ? 10 : 120;
  const what = `${EDITS_A_SECOND} edits a second over ${
    events.toLocaleString("en-US")
  } events, ${seconds} s`;
  const dead: number[] = [];
  const taken = await takeTurns(
    options.rounds,
    ["no transaction open", "one left open"],
    async (side, round) => {
      options.say(`round ${round + 1}: ${what}, ${side}`);
      if (side === "no transaction open") {
        return (await editAndDrain(stack, seconds)).jobs / seconds;
      }
      const held = await whileOpen(stack, () => editAndDrain(stack, seconds));
      dead.push(held.dead / held.jobs);
      return held.jobs / seconds;
    },
  );
  const share = pairs(
    taken["one left open"],
    taken["no transaction open"],
    (open, none) => 100 * open / none,
  );
  const line = { section, what };
  return [
    ...Object.entries(taken).map(([side, rounds]) => ({
      ...line,
      side,
      rounds,
      unit: "jobs a second",
    })),
    {
      ...line,
      side: "one left open",
      rounds: share,
      unit: "% of the rate",
      aim: "at least 95",
      met: median(share) >= 95,
    },
    {
      ...line,
      side: "one left open",
      rounds: dead,
      unit: "dead outbox rows a job",
      aim: "at most 5",
      met: median(dead) <= 5,
    },
  ];
}
