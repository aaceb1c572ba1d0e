/** How long a change takes to the other side. */
import connect from "postgres";
import type { Stack } from "../stack/mod.ts";
import { approve, liveStack, settled } from "./live_stack.ts";
import { percentile } from "./rounds.ts";
import type { BenchOptions, Measure } from "./section.ts";

const section = "latency";
const UPDATE = "/v1/events/update";
/** One at a time, so that each finds the queue empty and no drain at work. */
const PAUSE_MS = 250;

interface Known {
  id: string;
  luma_event_id: string;
}

/** Edits that many events, one after the other; the milliseconds from each commit to the request at Luma. */
async function toLuma(
  { sql, simulator }: Stack,
  events: readonly Known[],
  app = sql,
): Promise<number[]> {
  const taken: number[] = [];
  for (const [n, { id, luma_event_id }] of events.entries()) {
    await app`update public.canonical_events set title = ${`Edit ${n} ${Date.now()}`} where id = ${id}`;
    const committed = Date.now();
    const { time } = await simulator.waitForRequest(
      ({ path, body, time }) =>
        path === UPDATE && time >= committed - 50 &&
        (body as { event_id?: string }).event_id === luma_event_id,
      90_000,
    );
    // The request may come before the commit's answer is here.
    taken.push(Math.max(0, time - committed));
    await quiet(sql);
  }
  return taken;
}

/** Until the drain has ended, which would be at hand for the next edit. */
async function quiet(sql: Stack["sql"]): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    const [row] = await sql`
      select exists (select from luma.drain_runs where ended_at is null) as runs`;
    if (!row!.runs) return;
  }
}

/**
 * Edits on Luma, one after the other; the milliseconds from when Luma sends the webhook until the row shows it. Not
 * `contradicting` is the first that anybody has told of the event for a day, which is applied as it comes; else Luma is
 * asked which of the two is the newer.
 */
async function fromLuma(
  { sql, simulator }: Stack,
  events: readonly Known[],
  contradicting: boolean,
): Promise<number[]> {
  const taken: number[] = [];
  for (const [n, { id, luma_event_id }] of events.entries()) {
    await sql`
      update luma.event_links set told_at = null, heard_at = ${
      contradicting ? new Date() : null
    } where event_id = ${id}`;
    const name = `Theirs ${n} ${Date.now()}`;
    simulator.host.updateEvent(luma_event_id, { name });
    const sent = simulator.deliveries.findLast(({ body }) =>
      body.includes(name)
    )!;
    const start = Date.parse(sent.time);
    const isShown = async () =>
      (await sql`select from public.canonical_events where id = ${id} and title = ${name}`)
        .length === 1;
    while (!await isShown()) {
      if (Date.now() - start > 30_000) throw new Error(`${name} did not come.`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    taken.push(Date.now() - start);
    await quiet(sql);
  }
  return taken;
}

/** How often pg_cron looks whether something is left. */
async function ticks({ sql }: Stack): Promise<string> {
  const [job] =
    await sql`select schedule from cron.job where jobname = 'luma-drain'`;
  return job!.schedule;
}

/** What a session of this name asks pg_net for is lost, as when its queue is wiped or its worker dies. */
const UNHEARD = "bench, unheard";
const LOSE_RINGS = `
  create function net.bench_lose() returns trigger language plpgsql as $$
  begin
    return case when current_setting('application_name') = '${UNHEARD}' then null else new end;
  end $$;
  create trigger bench_lose before insert on net.http_request_queue for each row execute function net.bench_lose()`;

/** Measures the section. */
export async function latency(
  { quick, postgres, say }: BenchOptions,
): Promise<Measure[]> {
  const samples = quick ? 30 : 200;
  await using live = await liveStack(postgres, {
    webhooks: true,
    simulator: { rateLimitPerMinute: 1_000_000 },
  });
  const { stack } = live;
  const { sql, admin } = stack;
  await sql`update luma.settings set calls_per_minute = 10000, calls_per_minute_total = 10000`;
  await approve(stack, samples);
  await settled(stack);
  await stack.simulator.webhooksIdle();
  await settled(stack);
  const events: Known[] = [
    ...await sql<Known[]>`
    select id, luma_event_id from public.canonical_events order by id`,
  ];
  // The first calls start the functions. With the events whose next edit is far off: one soon would be held back.
  await toLuma(stack, events.slice(-3));

  const measures: Measure[] = [];
  const note = (
    what: string,
    times: number[],
    aims: Partial<Record<"p50" | "p99", number>>,
  ) => {
    for (const [name, share] of [["p50", 0.5], ["p99", 0.99]] as const) {
      const value = percentile(times, share);
      const most = aims[name];
      measures.push({
        section,
        what: `${what}, ${times.length} samples`,
        side: "ours",
        rounds: [value],
        unit: `ms, ${name}`,
        ...most === undefined ? {} : {
          aim: `at most ${most.toLocaleString("en-US")}`,
          met: value <= most,
        },
      });
    }
  };
  say("an edit in the app until Luma gets the request");
  note("commit until Luma's request", await toLuma(stack, events), {
    p50: 50,
    p99: 250,
  });
  say("an edit on Luma until the row shows it");
  for (const contradicting of [false, true]) {
    note(
      contradicting
        ? "webhook that contradicts, until the row shows it"
        : "webhook until the row shows it",
      await fromLuma(stack, events, contradicting),
      {},
    );
  }
  say("an edit whose wake-up is lost");
  await admin.unsafe(LOSE_RINGS);
  const tick = await ticks(stack);
  // Where pg_cron looks once a minute each takes up to a minute, and no seconds can be aimed at.
  const isSoon = tick.endsWith("seconds");
  const lost = !isSoon ? 3 : quick ? 5 : 20;
  const unheard = connect(stack.postgres.url, {
    max: 1,
    connection: { application_name: UNHEARD },
  });
  try {
    note(
      `wake-up lost, pg_cron ticks: ${tick}`,
      await toLuma(stack, events.slice(0, lost), unheard),
      isSoon ? { p99: 2_500 } : {},
    );
  } finally {
    await unheard.end();
  }
  return measures;
}
