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

/** Waits until no connection, of the Data API's or of our own, hangs on a database that is gone. */
export async function databaseIsBack(
  { url, secretKey, sql, admin }: Stack,
): Promise<void> {
  const answers = async () => {
    const response = await fetch(`${url}/rest/v1/rpc/luma_take_permits`, {
      method: "POST",
      headers: { apikey: secretKey, "content-type": "application/json" },
      body: JSON.stringify({ calendar: "blr", wanted: 0 }),
      signal: AbortSignal.timeout(2_000),
      client: impatient,
    }).catch(() => null);
    await response?.body?.cancel();
    return response?.ok ?? false;
  };
  const all = async (ask: () => Promise<boolean>) =>
    (await Promise.all(Array.from({ length: CONNECTIONS }, ask))).every(
      Boolean,
    );
  await until("the Data API is back", () => all(answers));
  for (const pool of [sql, admin]) {
    await until(
      "the database is back",
      () => all(() => pool`select 1`.then(() => true, () => false)),
    );
  }
}
