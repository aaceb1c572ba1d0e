/** How fast a webhook is acknowledged, and that nothing is lost that was. */
import { startGateway } from "../stack/gateway.ts";
import { freePort, waitForPort } from "../stack/processes.ts";
import type { Stack } from "../stack/mod.ts";
import { approve, type Live, liveStack, settled } from "./live_stack.ts";
import { Registrations } from "./registrations.ts";
import { median, pairs, percentile, takeTurns } from "./rounds.ts";
import type { BenchOptions, Measure } from "./section.ts";

const section = "webhooks";
const A_SECOND = 200;
const EVENTS = 100;

interface Sender {
  url: string;
  /** Asks what became of what was sent. */
  isOurs: boolean;
}

interface Paced {
  /** From when each was due to its answer. */
  times: number[];
  /** How many were not applied when they were acknowledged. */
  later: number;
}

/** Sends at a fixed pace, whatever the answers do. */
async function paced(
  luma: Registrations,
  { url, isOurs }: Sender,
  seconds: number,
): Promise<Paced> {
  const deliveries = await luma.deliveries(seconds * A_SECOND);
  const start = performance.now() + 50;
  let later = 0;
  const times = await Promise.all(deliveries.map(async ({ request }, n) => {
    const due = start + n * 1000 / A_SECOND;
    await new Promise((resolve) =>
      setTimeout(resolve, due - performance.now())
    );
    const response = await fetch(url, request);
    const { result } = await response.json();
    const took = performance.now() - due;
    if (!response.ok) {
      throw new Error(`a delivery was answered ${response.status}`);
    }
    if (isOurs && result !== "applied") later++;
    return took;
  }));
  return { times, later };
}

/** The bare function, as a process of its own. */
async function startBare({ stack, dataApi }: Live) {
  await stack.sql.unsafe(`
    create table public.bench_hooks (id text primary key, payload text);
    create function public.luma_bench_insert(id text, payload text) returns void language sql security definer
      set search_path = '' as $$ insert into public.bench_hooks values (id, payload) $$;
    grant execute on function public.luma_bench_insert(text, text) to service_role`);
  const port = freePort();
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      new URL("bare_function.ts", import.meta.url).pathname,
      String(port),
    ],
    env: { SUPABASE_URL: dataApi },
    stdout: "null",
    stderr: "null",
  }).spawn();
  let hasEnded = false;
  process.status.then(() => hasEnded = true);
  await waitForPort(port, () => hasEnded);
  // Through a gateway, as ours is reached.
  const gateway = startGateway({
    functions: {
      handle: (_, { method, headers, body }) =>
        fetch(`http://127.0.0.1:${port}`, { method, headers, body }),
    },
  });
  return {
    url: `${gateway.url}/functions/v1/bare`,
    async [Symbol.asyncDispose]() {
      await gateway.stop();
      process.kill("SIGKILL");
      await process.status;
    },
  };
}

/** Kills the function at an answer, the first to the tenth of twenty; how many acknowledged deliveries are nowhere. */
async function lostAfterAnswer(
  { functions, sql }: Stack,
  luma: Registrations,
  url: string,
  kills: number,
): Promise<{ acknowledged: number; lost: number }> {
  const acknowledged: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    let answers = 0;
    const sent = (await luma.deliveries(20)).map(async ({ id, request }) => {
      const response = await fetch(url, request);
      await response.body?.cancel();
      // Else it was killed with this one under way: Luma sends it again.
      if (!response.ok) return;
      acknowledged.push(id);
      if (++answers === kill % 10 + 1) await functions.kill("luma-webhook");
    });
    await Promise.all(sent);
    if (answers < kill % 10 + 1) throw new Error("nothing was killed");
  }
  const [row] = await sql`
    select count(*)::int from unnest(${acknowledged}::text[]) a
    where not exists (select from luma.webhook_inbox i where i.webhook_id = a)`;
  return { acknowledged: acknowledged.length, lost: row!.count };
}

/** Measures the section. */
export async function webhooks(
  { rounds, quick, postgres, say }: BenchOptions,
): Promise<Measure[]> {
  const seconds = quick ? 4 : 15;
  await using live = await liveStack(postgres, { webhooks: true });
  const { stack } = live;
  await approve(stack, EVENTS);
  await settled(stack);
  await stack.simulator.webhooksIdle();
  await settled(stack);
  await using bare = await startBare(live);
  const luma = await Registrations.of(stack);
  const ours = `${stack.functionsUrl}/luma-webhook`;
  const sides = {
    "luma-webhook": { url: ours, isOurs: true },
    "one insert, nothing checked": { url: bare.url, isOurs: false },
  };
  for (const sender of Object.values(sides)) await paced(luma, sender, 1);

  const all: Record<string, number[][]> = {};
  const later: number[] = [];
  const p99 = await takeTurns(
    rounds,
    Object.keys(sides) as (keyof typeof sides)[],
    async (side, round) => {
      say(`round ${round + 1}: ${side}, ${seconds} s`);
      // What the round before has left to be done is no part of this one.
      await settled(stack);
      const sent = await paced(luma, sides[side], seconds);
      (all[side] ??= []).push(sent.times);
      if (sides[side].isOurs) later.push(100 * sent.later / sent.times.length);
      return percentile(sent.times, 0.99);
    },
  );
  const what = `acknowledged, ${A_SECOND} a second`;
  const measures: Measure[] = Object.entries(all).flatMap(([side, rounds]) =>
    ([["p50", 0.5], ["p99", 0.99], ["p99.9", 0.999]] as const).map((
      [name, share],
    ) => ({
      section,
      what,
      side,
      rounds: rounds.map((times) => percentile(times, share)),
      unit: `ms, ${name}`,
    }))
  );
  const more = pairs(
    p99["luma-webhook"],
    p99["one insert, nothing checked"],
    (ours, bare) => ours - bare,
  );
  measures.push({
    section,
    what,
    side: "luma-webhook",
    rounds: more,
    unit: "ms more, p99",
    aim: "at most 25",
    met: median(more) <= 25,
  }, {
    section,
    what,
    side: "luma-webhook",
    rounds: later,
    unit: "% applied only after the answer",
  });

  say("a wrong signature");
  const inbox = async () =>
    Number(
      (await stack.sql`select count(*) from luma.webhook_inbox`)[0]!.count,
    );
  await settled(stack);
  const before = await inbox();
  const refused: number[] = [];
  const wrong = await luma.deliveries(100, "whsec-of-somebody-else");
  for (const { request } of wrong) {
    const start = performance.now();
    const response = await fetch(ours, request);
    await response.body?.cancel();
    refused.push(performance.now() - start);
    if (response.status !== 401) {
      throw new Error(`a wrong signature was answered ${response.status}`);
    }
  }
  const forged = {
    section,
    what: "wrong signature, 100 of them",
    side: "luma-webhook",
  };
  const rows = await inbox() - before;
  measures.push(
    { ...forged, rounds: [median(refused)], unit: "ms until it is refused" },
    { ...forged, rounds: [rows], unit: "rows", aim: "none", met: rows === 0 },
  );

  say("killed at the moment of an answer");
  const kills = quick ? 5 : 30;
  const { acknowledged, lost } = await lostAfterAnswer(
    stack,
    luma,
    ours,
    kills,
  );
  measures.push({
    section,
    what: `killed at an answer ${kills} times, ${acknowledged} acknowledged`,
    side: "luma-webhook",
    rounds: [lost],
    unit: "lost",
    aim: "none",
    met: lost === 0,
  });
  return measures;
}
