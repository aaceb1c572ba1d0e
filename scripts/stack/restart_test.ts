/** Postgres crashes while it is used: whatever uses it goes on when it is back. */
import { until } from "../chaos/wait.ts";
import { startStack } from "./mod.ts";
import { makeTestProject } from "./test_project.ts";

const CRASHES = 10;

/** Whether it is done in time; postgres.js may never tell of a transaction that a crash has cut off. */
async function isDone(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const isDone = await Promise.race([
    work.then(() => true, () => false),
    late,
  ]);
  clearTimeout(timer);
  return isDone;
}

Deno.test("after every crash of Postgres the Data API and the pools answer on every connection", async () => {
  await using project = await makeTestProject();
  await using stack = await startStack({
    root: project.root,
    simulator: false,
    functions: false,
    net: false,
    cron: false,
  });
  const hello = async () => {
    const response = await fetch(`${stack.url}/rest/v1/rpc/luma_hello`, {
      method: "POST",
      headers: { apikey: stack.secretKey, "content-type": "application/json" },
      body: JSON.stringify({ name: "x" }),
      signal: AbortSignal.timeout(2_000),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`${response.status}`);
  };
  const uses = {
    "the Data API": hello,
    "the pool of the app": () =>
      stack.sql.begin(async (sql) => {
        await sql`select 1`;
        await sql`select 2`;
      }),
    "the pool of the admin": async () => void await stack.admin`select 1`,
  };
  let isOver = false;
  let called = 0;
  for (const use of Object.values(uses)) {
    for (let n = 0; n < 6; n++) {
      (async () => {
        while (!isOver) {
          await isDone(use(), 500);
          called++;
          await new Promise((resolve) =>
            setTimeout(resolve, 40 * Math.random())
          );
        }
      })();
    }
  }
  for (let crash = 0; crash < CRASHES; crash++) {
    const before = called;
    await until("all are at it", () => called > before + 20);
    // It goes while connections are being made again.
    await stack.admin`
      select pg_terminate_backend(pid) from pg_stat_activity where usename in ('authenticator', 'postgres')`
      .catch(() => {});
    await stack.stopPostgres(crash % 2 ? "SIGINT" : "SIGQUIT");
    await stack.startPostgres();
    for (const [name, use] of Object.entries(uses)) {
      await until(`${name} is back`, async () => {
        const all = Array.from({ length: 10 }, () => isDone(use(), 2_000));
        return (await Promise.all(all)).every(Boolean);
      }, 20);
    }
  }
  isOver = true;
});
