/** Waiting for conditions. */
import type { Stack } from "../stack/mod.ts";

/** Waits until a condition holds; throws, saying what was waited for, after `seconds`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 60,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!await holds()) {
    if (performance.now() > deadline) {
      throw new Error(`After ${seconds} s still not so: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Keeps no connection open, for which those who listen at its other end would wait when they are stopped. */
export const impatient = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });

/** As many as the stack's pools have connections. */
const CONNECTIONS = 10;

/** Whether it succeeds in time: postgres.js may never tell of what a crash has cut off. */
export async function succeeds(
  work: PromiseLike<unknown>,
  ms = 2_000,
): Promise<boolean> {
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

/** A call of the Data API that changes nothing. */
export async function callDataApi(
  { url, secretKey }: Pick<Stack, "url" | "secretKey">,
): Promise<void> {
  const response = await fetch(`${url}/rest/v1/rpc/luma_take_permits`, {
    method: "POST",
    headers: { apikey: secretKey, "content-type": "application/json" },
    body: JSON.stringify({ calendar: "blr", wanted: 0 }),
    signal: AbortSignal.timeout(2_000),
    client: impatient,
  });
  await response.body?.cancel();
  if (!response.ok) {
    throw new Error(`The Data API answered ${response.status}`);
  }
}

/** Waits until no connection, of the Data API's or of our own, hangs on a database that is gone. */
export async function databaseIsBack(
  stack: Stack,
  seconds = 60,
): Promise<void> {
  const asks: Record<string, () => PromiseLike<unknown>> = {
    "the Data API": () => callDataApi(stack),
    "the pool of the app": () => stack.sql`select 1`,
    "the pool of the admin": () => stack.admin`select 1`,
  };
  for (const [name, ask] of Object.entries(asks)) {
    await until(`${name} is back`, async () => {
      const all = Array.from({ length: CONNECTIONS }, () => succeeds(ask()));
      return (await Promise.all(all)).every(Boolean);
    }, seconds);
  }
}
