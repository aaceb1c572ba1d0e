/** Postgres crashes while it is used: whatever uses it goes on when it is back. */
import { callDataApi, databaseIsBack, succeeds, until } from "../chaos/wait.ts";
import { startStack } from "./mod.ts";

const CRASHES = 10;
const USERS_EACH = 6;

Deno.test("after every crash of Postgres the Data API and the pools answer on every connection", async () => {
  await using stack = await startStack({
    seed: false,
    simulator: false,
    functions: false,
    net: false,
    cron: false,
  });
  const uses: (() => PromiseLike<unknown>)[] = [
    () => callDataApi(stack),
    () =>
      stack.sql.begin(async (sql) => {
        await sql`select 1`;
        await sql`select 2`;
      }),
    () => stack.admin`select 1`,
  ];
  let isOver = false;
  let used = 0;
  const goOn = async (use: () => PromiseLike<unknown>) => {
    while (!isOver) {
      await succeeds(use(), 500);
      used++;
      await new Promise((resolve) => setTimeout(resolve, 40 * Math.random()));
    }
  };
  const users = uses.flatMap((use) =>
    Array.from({ length: USERS_EACH }, () => goOn(use))
  );
  for (let crash = 0; crash < CRASHES; crash++) {
    const before = used;
    await until("all are at it", () => used > before + 20);
    // It goes while connections are being made again.
    await stack.admin`
      select pg_terminate_backend(pid) from pg_stat_activity where usename in ('authenticator', 'postgres')`
      .catch(() => {});
    await stack.stopPostgres(crash % 2 ? "SIGINT" : "SIGQUIT");
    await stack.startPostgres();
    await databaseIsBack(stack, 20);
  }
  isOver = true;
  await Promise.all(users);
});
