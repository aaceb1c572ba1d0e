/** Whether a claim takes longer the more there is to do, or the more there is that is not to be done yet. */
import type postgres from "postgres";
import { acknowledge, claim, startRun } from "./our_queue.ts";
import { median, millis, pairs, percentile } from "./rounds.ts";
import { emptyOutbox, linkedEvents, tidy } from "./scene.ts";
import { type BenchOptions, benchStack, type Measure } from "./section.ts";

const section = "depth";
/** Jobs a claim, as luma-drain asks for. */
const BATCH = 10;
const CLAIMED = 1000;

/** What else is in the outbox: columns that differ from those of an edit that is due. */
const CROWDS: Record<string, string> = {
  "due": "",
  "due, not routed yet": "entity = 'rsvp', calendar = null",
  "leased":
    "due_at = now() + interval '1 hour', lease = gen_random_uuid(), leased_at = now(), lease_version = 1",
  "waiting": "due_at = now() + interval '1 hour'",
  "dead":
    "due_at = now() - interval '1 day', dead_at = now(), last_error = 'refused'",
};

/** A thousand edits that are due, and so many other rows. */
async function fill(
  sql: postgres.Sql,
  crowd: string,
  count: number,
): Promise<void> {
  await emptyOutbox(sql);
  await sql`update public.canonical_events set title = title || '.'`;
  // Older than the others, or these would have to be events, too.
  await sql`
    update luma.sync_outbox o set due_at = now() - interval '1 minute', calendar = l.calendar
    from luma.event_links l where l.event_id = o.entity_id`;
  await sql.unsafe(`
    create unlogged table bench_crowd (like luma.sync_outbox including defaults);
    insert into bench_crowd (entity, entity_id, event_id, priority, calendar)
    select 'event', gen_random_uuid(), gen_random_uuid(), 3, 'blr' from generate_series(1, ${count});
    ${CROWDS[crowd] ? `update bench_crowd set ${CROWDS[crowd]};` : ""}
    insert into luma.sync_outbox select * from bench_crowd;
    drop table bench_crowd`);
  await tidy(sql);
}

/** Claims and acknowledges all thousand; how long each claim took, and each batch as a whole. */
async function drainAll(
  sql: postgres.Sql,
): Promise<{ claims: number[]; batches: number[] }> {
  const run = await startRun(sql);
  const claims = [];
  const batches = [];
  // Both calendars together: the last claim of one may be short.
  for (let done = 0; done < CLAIMED - BATCH;) {
    const start = performance.now();
    const jobs = await claim(sql, run, BATCH);
    claims.push(performance.now() - start);
    const settled = await millis(() => acknowledge(sql, jobs));
    batches.push(claims.at(-1)! + settled);
    done += jobs.length;
    if (jobs.length === 0) throw new Error(`Only ${done} jobs were claimed.`);
    await sql`delete from luma.rate_permits where true`;
  }
  return { claims, batches };
}

/** Measures the section. */
export async function depth(options: BenchOptions): Promise<Measure[]> {
  await using stack = await benchStack(options);
  const sql = stack.sql;
  await linkedEvents(sql, CLAIMED);
  // Which of the priorities comes first is no question here.
  await sql`update luma.settings set oldest_share = 0`;
  const depths = options.quick ? [20_000] : [100_000, 1_000_000];
  const most = depths.at(-1)!;
  const cases = [
    { crowd: "due", count: 0 },
    ...depths.map((count) => ({ crowd: "due", count })),
    ...Object.keys(CROWDS).slice(1).map((crowd) => ({ crowd, count: most })),
  ].map((each) => ({
    ...each,
    batch: [] as number[],
    p99: [] as number[],
  }));
  for (let round = 0; round < options.rounds; round++) {
    for (const each of round % 2 ? cases.toReversed() : cases) {
      options.say(`round ${round + 1}: ${each.count} ${each.crowd}`);
      await fill(sql, each.crowd, each.count);
      const { claims, batches } = await drainAll(sql);
      each.batch.push(median(batches));
      each.p99.push(percentile(claims, 0.99));
    }
  }
  const smallest = cases[0]!;
  return cases.flatMap(({ crowd, count, batch, p99 }): Measure[] => {
    const what = count === 0
      ? "1,000 due"
      : `1,000 due, and ${count.toLocaleString("en-US")} ${crowd}`;
    const ratio = pairs(batch, smallest.batch, (one, other) => one / other);
    const line = { section, what, side: "ours" };
    return [
      { ...line, rounds: batch, unit: `ms a batch of ${BATCH}` },
      {
        ...line,
        rounds: p99,
        unit: "ms, p99 of claims",
        aim: "at most 3",
        met: median(p99) <= 3,
      },
      ...count === 0 ? [] : [{
        ...line,
        rounds: ratio,
        unit: "times the smallest",
        aim: "at most 1.2",
        met: median(ratio) <= 1.2,
      }],
    ];
  });
}
