/** Whether anybody waits for a lock of another. */
import type { Stack } from "../stack/mod.ts";

const WAITED = /still waiting for \w+Lock on/g;

/**
 * Counts the waits from now on: those that Postgres logs, because they took 10 ms, and those that a look every 5 ms
 * finds. Waits for an extension of a file are none of them.
 */
export function countLockWaits(
  { admin, postgres }: Stack,
): { end: () => Promise<number> } {
  const before = postgres.log.length;
  let isOver = false;
  const seen = (async () => {
    let waiting = 0;
    while (!isOver) {
      const [row] = await admin<{ waiting: number }[]>`
        select count(*)::integer as waiting from pg_locks
        where not granted and locktype in ('transactionid', 'tuple', 'relation', 'advisory')`;
      waiting += row?.waiting ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return waiting;
  })();
  return {
    end: async () => {
      isOver = true;
      const logged = postgres.log.slice(before).match(WAITED)?.length ?? 0;
      return await seen + logged;
    },
  };
}
