/** Migrations on a database that is in use: no write fails, and none waits for more than a moment. */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import type postgres from "postgres";
import { applyMigrations } from "../../scripts/stack/database.ts";
import {
  fillApp,
  makeApp,
  whileWriting,
  WRITERS,
  type Written,
} from "./app_for_tests.ts";
import {
  filesUpTo,
  migrationNames,
  readMigration,
  releases,
  ROOT,
} from "./releases_for_tests.ts";
import { one, stackTest } from "./testing.ts";

const BARE = {
  ...{ migrate: false, functions: false, dataApi: false },
  ...{ simulator: false, cron: false, net: false },
};

/** The longest that a write may wait for the newest release. Measured on two cores: 26 ms. */
const MOMENT_MS = 2000;

/** And for all of them: their lock_timeout of 3 s, and what is done then. Measured: one or two times deadlock_timeout, 1 s. */
const INSTALL_MS = 5000;

function assertUnharmed(
  what: string,
  { writes, slowestMs, errors }: Written,
  momentMs: number,
) {
  console.log(
    `      ${what}: ${writes} writes, the slowest ${Math.round(slowestMs)} ms`,
  );
  assertEquals(errors, []);
  assert(writes > 50, `only ${writes} writes`);
  assertLess(slowestMs, momentMs);
}

/** Applies what is missing, as whoever upgrades: again after a lock that was not to be had. */
async function applyPatiently(sql: postgres.Sql): Promise<void> {
  for (let tries = 1;; tries++) {
    const applied =
      await sql`select version from supabase_migrations.schema_migrations`;
    const done = new Set(applied.map(({ version }) => version));
    try {
      return await applyMigrations(
        sql,
        ROOT,
        (file) => !done.has(file.slice(0, 14)),
      );
    } catch (error) {
      const isLock = error instanceof Error &&
        /lock timeout|deadlock/.test(error.message);
      if (!isLock || tries === 20) throw error;
    }
  }
}

stackTest("everything, to an app that is in use", async ({ sql }) => {
  await makeApp(sql);
  await fillApp(sql);
  const written = await whileWriting(sql, () => applyPatiently(sql));
  // Two older files lock the app's tables in another order than the app: 20261122000500 (canonical_events before
  // event_rsvps) and 20261124000800 (event_rsvps before users, which a user's deletion takes first). Then one of the two is
  // ended after deadlock_timeout, which may be the app's.
  const ended = written.errors.filter((error) => /deadlock/.test(error));
  assert(ended.length <= 2 * WRITERS, `${ended.length} deadlocks`);
  const others = written.errors.filter((error) => !/deadlock/.test(error));
  assertUnharmed("all migrations", { ...written, errors: others }, INSTALL_MS);
  const { count } = await one(
    sql`select count(*)::int from supabase_migrations.schema_migrations`,
  );
  assertEquals(count, migrationNames().length);
  const { outbox } = await one(
    sql`select count(*)::int as outbox from luma.sync_outbox`,
  );
  assert(outbox > 0, "the triggers are at work");
  // 20261124000600 asks the outbox for event_id before the new luma.enqueue() gives it: what is written in between the
  // trigger misses and notes, and the sweep enqueues it.
  for (const { error } of await sql`select error from luma.missed_changes`) {
    assertMatch(
      error,
      /^null value in column "event_id" of relation "sync_outbox"|^function luma\.enqueue\(.*\) does not exist$/,
    );
  }
  await sql`select luma.sweep()`;
  assertEquals([...await sql`select * from luma.missed_changes`], []);
}, BARE);

const [before, newest] = releases().slice(-2).map(({ day }) => day);

stackTest(
  `the release of ${newest}, to an app that is in use`,
  async ({ sql }) => {
    const older = filesUpTo(before!);
    await applyMigrations(sql, ROOT, (file) => older.includes(file));
    await fillApp(sql);
    const written = await whileWriting(
      sql,
      () => applyPatiently(sql),
    );
    assertUnharmed("the newest release", written, MOMENT_MS);
    assertEquals([...await sql`select * from luma.missed_changes`], []);
  },
  BARE,
);

/** Applies the rest of the migrations while a transaction of the app's keeps a lock; answers how that went. */
async function applyAgainst(
  sql: postgres.Sql,
  lock: (app: postgres.TransactionSql) => PromiseLike<unknown>,
  isWanted: (file: string) => boolean,
): Promise<{ problem: string; tookMs: number }> {
  const app = await sql.reserve();
  try {
    await app`begin`;
    await lock(app as unknown as postgres.TransactionSql);
    const started = performance.now();
    const applied = applyMigrations(sql, ROOT, isWanted)
      .then(() => "", (error: Error) => error.message);
    // Who waits without a limit is let go on, or the test would never end.
    const patience = setTimeout(() => app`rollback`.catch(() => {}), 15_000);
    const problem = await applied;
    clearTimeout(patience);
    return { problem, tookMs: performance.now() - started };
  } finally {
    await app`rollback`;
    app.release();
  }
}

stackTest(
  "a migration that cannot get its lock gives up, and is repeated",
  async ({ sql }) => {
    await makeApp(sql);
    await sql`insert into public.event_cultures (slug, name) values ('default', 'Other')`;
    await sql`insert into public.canonical_events (canonical_uid, title, starts_at) values ('1', 'One', now() + interval '1 day')`;
    await sql`insert into public.users (id, email) values ('u1', 'u1@example.com')`;
    for (
      const lock of [
        (app: postgres.TransactionSql) =>
          app`update public.canonical_events set title = 'Two'`,
        (app: postgres.TransactionSql) =>
          app`update public.users set name = 'One'`,
      ]
    ) {
      const { problem, tookMs } = await applyAgainst(sql, lock, () => true);
      assertMatch(
        problem,
        /\.sql.*: canceling statement due to lock timeout/,
      );
      assertLess(tookMs, 10_000);
    }
    // Nothing of the file that failed is there, and nothing is in the way of the next try.
    await applyMigrations(sql, ROOT);
    await sql`select luma.set_mode('dry_run')`;
  },
  BARE,
);

/** Whether a release changes tables, for which it may wait a while. */
async function needsLocks({ files }: { files: string[] }): Promise<boolean> {
  const texts = await Promise.all(files.map(readMigration));
  return texts.some((text) => text.includes("set lock_timeout"));
}

for (const [n, release] of releases().entries()) {
  // Of those that need locks the last one, and what came after it.
  const later = await Promise.all(releases().slice(n + 1).map(needsLocks));
  if (later.includes(true)) continue;
  const waits = await needsLocks(release);
  stackTest(
    waits
      ? `so does a file of the release of ${release.day}`
      : `the release of ${release.day} waits for no lock of the app's`,
    async ({ sql }) => {
      const older = filesUpTo(releases()[n - 1]!.day);
      await applyMigrations(sql, ROOT, (file) => older.includes(file));
      await sql`insert into public.event_cultures (slug, name) values ('default', 'Other') on conflict do nothing`;
      await sql`insert into public.users (id, email) values ('u1', 'u1@example.com')`;
      await sql`
        insert into public.canonical_events (canonical_uid, title, starts_at, submission_status)
        values ('1', 'One', now() + interval '1 day', 'approved')`;
      const { problem, tookMs } = await applyAgainst(
        sql,
        // Of the app's tables all, and what the triggers on them read and write here.
        (app) =>
          app`
          with renamed as (update public.users set name = 'One'), edited as (update public.canonical_events set title = 'Two')
          insert into public.event_rsvps (event_id, user_id, status) select id, 'u1', 'going' from public.canonical_events`,
        (file) => release.files.includes(file),
      );
      assertMatch(problem, waits ? /lock timeout/ : /^$/);
      assertLess(tookMs, 10_000);
      await applyMigrations(sql, ROOT, (file) => !older.includes(file));
    },
    BARE,
  );
}
