/** Guards what the benchmark shows, by counts that no busy machine changes: rows written, buffers touched. */
import {
  assert,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import type postgres from "postgres";
import { type Stack, startStack } from "./stack/mod.ts";
import { markdownTables, writtenMeasures } from "./bench/markdown.ts";
import { acknowledge, claim, startRun } from "./bench/our_queue.ts";
import { repairOf } from "./bench/repair.ts";
import { median, pairs, percentile, takeTurns } from "./bench/rounds.ts";
import { emptyOutbox, linkedEvents, tidy } from "./bench/scene.ts";
import { whileOpen } from "./bench/snapshot.ts";
import { idealCalls, limitUsed } from "./bench/windows.ts";
import { mostInAMinute } from "./luma-simulator/rate_limit.ts";

/** So many events that Luma has as they are, and nothing that drains. */
async function withEvents(
  count: number,
  test: (stack: Stack) => Promise<void>,
): Promise<void> {
  await using stack = await startStack({
    seed: false,
    net: false,
    cron: false,
    functions: false,
    dataApi: false,
    simulator: false,
  });
  await linkedEvents(stack.sql, count);
  await stack.sql`update luma.settings set oldest_share = 0`;
  await test(stack);
}

/** Rows that a transaction writes to a table: inserted, updated or deleted. */
async function written(
  sql: postgres.Sql,
  table: string,
  statement: string,
): Promise<number> {
  return await sql.begin(async (sql) => {
    const count = async () => {
      const [row] = await sql`
        select n_tup_ins + n_tup_upd + n_tup_del as count from pg_stat_xact_all_tables
        where relid = ${table}::regclass`;
      return Number(row!.count);
    };
    const before = await count();
    await sql.unsafe(statement);
    return await count() - before;
  });
}

/** Blocks that a query touched. */
async function buffers(sql: postgres.Sql, query: string): Promise<number> {
  const plan = (await sql.unsafe(`explain (analyze, buffers) ${query}`))
    .map((row) => row["QUERY PLAN"]).find((line) => line.includes("Buffers:"));
  return Number(/hit=(\d+)/.exec(plan)?.[1] ?? 0) +
    Number(/read=(\d+)/.exec(plan)?.[1] ?? 0);
}

Deno.test("a bulk edit writes one outbox row for each event, and starts a statement for about a hundred of them", async () => {
  await withEvents(1000, async ({ sql, admin }) => {
    const edit = "update public.canonical_events set title = title || '.'";
    assertEquals(await written(sql, "luma.sync_outbox", edit), 1000);
    const starts = await admin.begin(async (sql) => {
      await sql`set local track_functions = 'all'`;
      await sql.unsafe(edit);
      const [row] = await sql`
        select calls::int from pg_stat_xact_user_functions where schemaname = 'luma' and funcname = 'enqueue_all'`;
      return row!.calls;
    });
    assertLess(starts, 20);
  });
});

Deno.test("what is not synced enqueues nothing", async () => {
  await withEvents(100, async ({ sql }) => {
    for (
      const change of [
        "updated_at = now()",
        "current_rsvp_count = current_rsvp_count + 1, updated_at = now()",
        "title = title, starts_at = starts_at, updated_at = now()",
      ]
    ) {
      assertEquals(
        await written(
          sql,
          "luma.sync_outbox",
          `update public.canonical_events set ${change}`,
        ),
        0,
        change,
      );
    }
  });
});

Deno.test("a claim touches no more of a full outbox than of an empty one", async () => {
  await withEvents(200, async ({ sql }) => {
    const claimed = async (crowd: string, count: number) => {
      await emptyOutbox(sql);
      await sql`update public.canonical_events set title = title || '.'`;
      await sql`
        update luma.sync_outbox o set due_at = now() - interval '1 minute', calendar = l.calendar
        from luma.event_links l where l.event_id = o.entity_id`;
      await sql.unsafe(`
        insert into luma.sync_outbox (entity, entity_id, event_id, priority, calendar, due_at, lease, leased_at, lease_version, dead_at, last_error)
        select 'event', gen_random_uuid(), gen_random_uuid(), 3, 'blr', ${crowd} from generate_series(1, ${count})`);
      await tidy(sql);
      const run = await startRun(sql);
      // Plans are made, and what is there once is looked for.
      assertEquals((await claim(sql, run, 10)).length, 10);
      return await buffers(
        sql,
        `select public.luma_claim('${run}', '{blr,zo_events}', 10)`,
      );
    };
    const none =
      "null::uuid, null::timestamptz, null::bigint, null::timestamptz, null";
    const least = await claimed(`now(), ${none}`, 0);
    for (
      const [name, crowd] of [
        ["due", `now(), ${none}`],
        ["waiting", `now() + interval '1 hour', ${none}`],
        [
          "leased",
          "now() + interval '1 hour', gen_random_uuid(), now(), 1, null::timestamptz, null",
        ],
        [
          "dead",
          "now() - interval '1 day', null::uuid, null::timestamptz, null::bigint, now(), 'refused'",
        ],
      ] as const
    ) {
      assertLess(await claimed(crowd, 10_000), 3 * least, name);
    }
  });
});

Deno.test("a drain starts with the statistics of an empty outbox, however much came since", async () => {
  await withEvents(500, async ({ sql }) => {
    await sql`
      insert into luma.sync_outbox (entity, entity_id, event_id, priority)
      select 'rsvp', gen_random_uuid(), e.id, 1 from public.canonical_events e, generate_series(1, 4)`;
    const touched = await buffers(
      sql,
      "select public.luma_drain_start('{blr,zo_events}')",
    );
    const [row] = await sql`
      select count(*)::int from luma.sync_outbox where calendar is not null`;
    assertEquals(row!.count, 2000);
    assertLess(touched / 2000, 60);
  });
});

Deno.test("a transaction that keeps its snapshot, and plans from when the outbox was empty, cost a claim only the versions of its own rows", async () => {
  await withEvents(200, async (stack) => {
    // As one of the Data API does, it keeps its plans.
    const sql = await stack.sql.reserve();
    const run = await startRun(sql);
    const edit = (events: number) =>
      sql`
        update public.canonical_events set title = title || '.'
        where id in (select id from public.canonical_events order by id limit ${events})`;
    const drain = async () => {
      for (;;) {
        const jobs = await claim(sql, run, 50);
        if (jobs.length === 0) return;
        await acknowledge(sql, jobs);
      }
    };
    const claimed = async () => {
      await edit(200);
      // It goes on from where it was.
      await sql`update luma.drain_runs set looked_at = now() + interval '1 hour'`;
      return await buffers(
        sql,
        `select public.luma_claim('${run}', '{blr,zo_events}', 10)`,
      );
    };
    for (let turn = 0; turn < 8; turn++) {
      await edit(1);
      await drain();
    }
    await edit(200);
    await drain();
    await whileOpen(stack, async () => {
      const before = await claimed();
      await drain();
      for (let edits = 0; edits < 10; edits++) {
        await edit(200);
        await drain();
      }
      // For each of ten events and each edit that it had in between.
      assertLess((await claimed() - before) / 10 / 11, 30);
    });
    sql.release();
  });
});

Deno.test("routing under a transaction that keeps its snapshot goes on from where it was", async () => {
  await withEvents(100, async (stack) => {
    const { sql } = stack;
    const run = await startRun(sql);
    /** Entries of the index of what has no calendar yet that are read to route a hundred jobs. */
    const read = async () => {
      await sql`
        insert into luma.sync_outbox (entity, entity_id, event_id, priority)
        select 'rsvp', gen_random_uuid(), e.id, 1 from public.canonical_events e`;
      return await sql.begin(async (sql): Promise<number> => {
        const entries = async () => {
          const [row] = await sql`
            select pg_stat_get_xact_tuples_returned('luma.sync_outbox_unrouted'::regclass)::int as count`;
          return row!.count;
        };
        const before = await entries();
        await sql`select luma.go_on(${run})`;
        await sql`select luma.route_jobs()`;
        await sql`select luma.remember_claim(${run}, 0, now() + interval '1 hour')`;
        return await entries() - before;
      });
    };
    await whileOpen(stack, async () => {
      for (let already = 0; already < 5; already++) {
        // These, and those that came last before them.
        assertLessOrEqual(await read(), 200);
      }
    });
  });
});

Deno.test("rounds take turns, and a pair is of one round", async () => {
  const order: string[] = [];
  const taken = await takeTurns(2, ["a", "b"], (side, round) => {
    order.push(side);
    return Promise.resolve(side === "a" ? 2 + round : 1 + round);
  });
  assertEquals(order, ["a", "b", "b", "a"]);
  assertEquals(pairs(taken.a, taken.b, (a, b) => a - b), [1, 1]);
  assertEquals(median([3, 1, 2, 10]), 2.5);
  assert(Math.abs(percentile([0, 10], 0.99) - 9.9) < 1e-9);
});

Deno.test("the calls that a spacing allows: one at once, then one for all that came meanwhile", () => {
  assertEquals(idealCalls([], 1000), 0);
  assertEquals(idealCalls([5], 1000), 1);
  assertEquals(idealCalls([0, 10, 20, 900], 1000), 2);
  assertEquals(idealCalls([0, 10, 1500, 1900, 5000], 1000), 4);
});

Deno.test("how full the fullest minute was, and how much of a limit was used until the last call that had to wait", () => {
  const burst = (at: number, calls: number) => Array<number>(calls).fill(at);
  assertEquals(mostInAMinute([]), 0);
  assertEquals(mostInAMinute([60_000, 0, 59_999]), 2);
  // A minute is over after 60 s, not before.
  assertEquals(mostInAMinute([...burst(0, 9), ...burst(59_999, 9)]), 18);
  assertEquals(limitUsed([...burst(0, 10), 60_000], 10), 100);
  assertEquals(limitUsed([...burst(0, 10), ...burst(120_000, 5)], 10), 50);
  assertEquals(
    limitUsed(
      [...burst(0, 10), ...burst(60_000, 10), ...burst(240_000, 1)],
      10,
    ),
    50,
  );
  assertEquals(limitUsed(burst(0, 10), 10), NaN);
});

Deno.test("a pull of what has not changed writes no row, and one cycle mends every difference that nobody was told of", async () => {
  const measures = await repairOf(40, { say: () => {} });
  assertEquals(
    measures.filter(({ met }) => met === false).map(({ what, unit, rounds }) =>
      `${what}: ${rounds} ${unit}`
    ),
    [],
  );
  const found = measures.find(({ unit }) => unit === "differences");
  // Six of each event that is still there, one of each that was cancelled.
  assertEquals(found?.rounds, [38 * 6 + 2]);
});

Deno.test("what was written to a file becomes a table for each section", () => {
  const line = { section: "queue", what: "a|b", side: "ours", unit: "ms" };
  const measures = [
    { ...line, rounds: [3, 1, 2], aim: "at most 1", met: false },
    { ...line, section: "calls", rounds: [10] },
    { ...line, side: "pg-boss", rounds: [4, 6] },
  ];
  const head = "| What | Who | Median | Unit | Rounds | Aim |\n" +
    "| --- | --- | --- | --- | --- | --- |\n";
  assertEquals(
    markdownTables(writtenMeasures(JSON.stringify({ quick: true, measures }))),
    `### queue\n\n${head}` +
      "| a\\|b | ours | 2 | ms | 1 to 3 | at most 1: missed |\n" +
      "| a\\|b | pg-boss | 5 | ms | 4 to 6 |  |\n\n" +
      `### calls\n\n${head}| a\\|b | ours | 10 | ms |  |  |`,
  );
  assertThrows(() => writtenMeasures('{"measures":[{"section":"queue"}]}'));
});
