/** What a transaction that somebody left open does to the queue: no dead row can be taken away while it lasts. */
import type { Stack } from "../stack/mod.ts";
import { acknowledge, claim, startRun } from "./our_queue.ts";
import { median, pairs, takeTurns } from "./rounds.ts";
import { emptyOutbox, linkedEvents, tidy } from "./scene.ts";
import { type BenchOptions, benchStack, type Measure } from "./section.ts";

const section = "snapshot";
const EVENTS = 1000;
/** Edits are made in statements of so many rows, so that there is always something to do. */
const EDITED_AT_ONCE = 20;

interface Drained {
  jobs: number;
  dead: number;
}

/** Edits and drains for a while, one after the other in small steps; how many jobs were done. */
async function editAndDrain(
  { sql }: Stack,
  seconds: number,
): Promise<Drained> {
  await emptyOutbox(sql);
  await tidy(sql);
  const run = await startRun(sql);
  const end = performance.now() + seconds * 1000;
  let jobs = 0;
  for (let turn = 0; performance.now() < end; turn++) {
    await sql`
      update public.canonical_events set title = ${`Rooftop Jam ${turn}`}
      where id in (
        select id from public.canonical_events order by id
        offset ${turn * EDITED_AT_ONCE % EVENTS} limit ${EDITED_AT_ONCE}
      )`;
    for (;;) {
      const claimed = await claim(sql, run, 10);
      await sql`delete from luma.rate_permits where true`;
      if (claimed.length === 0) break;
      await acknowledge(sql, claimed);
      jobs += claimed.length;
    }
  }
  await sql`analyze luma.sync_outbox`;
  const [row] = await sql`
    select n_dead_tup::int as dead from pg_stat_user_tables where relid = 'luma.sync_outbox'::regclass`;
  return { jobs, dead: row!.dead };
}

/** Lets a transaction hold its snapshot while something is done. */
async function whileOpen<T>(
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
  await using stack = await benchStack(options);
  await linkedEvents(stack.sql, EVENTS);
  await stack.sql`update luma.settings set oldest_share = 0`;
  const seconds = options.quick ? 10 : 120;
  const dead: number[] = [];
  const taken = await takeTurns(
    options.rounds,
    ["no transaction open", "one left open"],
    async (side, round) => {
      options.say(`round ${round + 1}: ${side}, ${seconds} s`);
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
  const what = `edits and their acknowledgements, ${seconds} s`;
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
