/** How fast a webhook is acknowledged, and that nothing is lost that was. */
import { sign } from "../../supabase/functions/_shared/luma/signature.ts";
import { freePort, waitForPort } from "../stack/processes.ts";
import type { Stack } from "../stack/mod.ts";
import { approve, type Live, liveStack, settled } from "./live_stack.ts";
import { median, pairs, percentile, takeTurns } from "./rounds.ts";
import type { BenchOptions, Measure } from "./section.ts";

const section = "webhooks";
const A_SECOND = 200;

interface Sender {
  url: string;
  /** A delivery of its own; `secret`: signed with another one. */
  delivery(secret?: string): Promise<{ id: string; request: RequestInit }>;
}

/** Delivers what Luma tells of an edit, as Luma signs it. */
async function senderTo(url: string, { simulator }: Stack): Promise<Sender> {
  const [event] = simulator.events();
  simulator.host.updateEvent(event!.id, { description_md: "Bring a towel." });
  await simulator.webhooksIdle();
  const { body } = simulator.deliveries.at(-1)!;
  const state = await (await fetch(`${simulator.url}/_admin/state`)).json();
  const known =
    state.webhooks.find((hook: { calendar_id: string }) =>
      hook.calendar_id === simulator.deliveries.at(-1)!.calendar_id
    ).secret;
  const bytes = new TextEncoder().encode(body);
  return {
    url,
    async delivery(secret = known) {
      const id = `whd-${crypto.randomUUID()}`;
      const signature = await sign({ body: bytes, secret, at: new Date() });
      return {
        id,
        request: {
          method: "POST",
          headers: { "webhook-id": id, "webhook-signature": signature },
          body: bytes,
        },
      };
    },
  };
}

/** Sends at a fixed pace, whatever the answers do; the milliseconds from when each was due to its answer. */
async function paced(
  { url, delivery }: Sender,
  seconds: number,
): Promise<number[]> {
  const deliveries = await Promise.all(
    Array.from({ length: seconds * A_SECOND }, () => delivery()),
  );
  const start = performance.now() + 50;
  return await Promise.all(deliveries.map(async ({ request }, n) => {
    const due = start + n * 1000 / A_SECOND;
    await new Promise((resolve) =>
      setTimeout(resolve, due - performance.now())
    );
    const response = await fetch(url, request);
    await response.body?.cancel();
    if (!response.ok) {
      throw new Error(`a delivery was answered ${response.status}`);
    }
    return performance.now() - due;
  }));
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
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await process.status;
    },
  };
}

/** Kills the function at the moment of an answer, many times; how many acknowledged deliveries are nowhere. */
async function lostAfterAnswer(
  { functions, sql }: Stack,
  { url, delivery }: Sender,
  kills: number,
): Promise<{ acknowledged: number; lost: number }> {
  const acknowledged: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    let answers = 0;
    await Promise.all(Array.from({ length: 20 }, async (_, n) => {
      const { id, request } = await delivery();
      try {
        const response = await fetch(url, request);
        await response.body?.cancel();
        if (!response.ok) return;
        acknowledged.push(id);
        if (++answers === n % 10 + 1) await functions.kill("luma-webhook");
      } catch {
        // Killed with this one under way: Luma sends it again.
      }
    }));
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
  await approve(stack, 2);
  await settled(stack);
  await using bare = await startBare(live);
  const sides = {
    "luma-webhook": await senderTo(`${stack.functionsUrl}/luma-webhook`, stack),
    "one insert, nothing checked": await senderTo(bare.url, stack),
  };
  for (const sender of Object.values(sides)) await paced(sender, 1);

  const all: Record<string, number[][]> = {};
  const p99 = await takeTurns(
    rounds,
    Object.keys(sides) as (keyof typeof sides)[],
    async (side, round) => {
      say(`round ${round + 1}: ${side}, ${seconds} s`);
      const times = await paced(sides[side], seconds);
      (all[side] ??= []).push(times);
      return percentile(times, 0.99);
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
  });

  say("a wrong signature");
  const ours = sides["luma-webhook"];
  const inbox = async () =>
    Number(
      (await stack.sql`select count(*) from luma.webhook_inbox`)[0]!.count,
    );
  await settled(stack);
  const before = await inbox();
  const refused: number[] = [];
  for (let n = 0; n < 100; n++) {
    const { request } = await ours.delivery("whsec-of-somebody-else");
    const start = performance.now();
    const response = await fetch(ours.url, request);
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
  const { acknowledged, lost } = await lostAfterAnswer(stack, ours, kills);
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
