/** What a pull costs when nothing has changed, and whether it finds all that nobody was told of. */
import { type Stack, startStack } from "../stack/mod.ts";
import {
  differences,
  GUESTS_EACH,
  hostedEvents,
  makeDifferences,
  NEWCOMER,
} from "./differences.ts";
import { millis } from "./rounds.ts";
import { goLive, users } from "./scene.ts";
import type { BenchOptions, Measure } from "./section.ts";

const section = "repair";
/** What Luma allows a calendar in a quarter of an hour, which is a cycle of the pulls, and in a day. */
const QUARTER = 15 * 200;
const DAY = 96 * QUARTER;

const TABLES = [
  "public.canonical_events",
  "public.event_rsvps",
  "luma.event_links",
  "luma.guests",
  "luma.sync_outbox",
];

async function silentStack(postgres: string | undefined): Promise<Stack> {
  const stack = await startStack({
    postgres,
    seed: false,
    // What is called is counted, not when. Nothing runs by itself.
    simulator: { rateLimitPerMinute: 1_000_000 },
    cron: false,
    net: false,
  });
  await goLive(stack.sql, { spacingMs: 0 });
  return stack;
}

async function work(
  { functionsUrl, syncSecret }: Stack,
  name: "luma-drain" | "luma-pull",
): Promise<void> {
  const response = await fetch(`${functionsUrl}/${name}?wait=1`, {
    method: "POST",
    headers: { "x-luma-sync-secret": syncSecret },
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${name}: ${response.status} ${answer}`);
}

/** Works until what was asked for is read. */
async function pulled(stack: Stack): Promise<void> {
  for (;;) {
    await work(stack, "luma-pull");
    const [left] = await stack.sql`
      select count(*) filter (where ended_at is null)::int as open, max(problems::text) filter (where problems <> '{}') as problems
      from luma.pull_runs`;
    if (left!.problems) throw new Error(left!.problems);
    if (left!.open === 0) return;
  }
}

async function drained(stack: Stack): Promise<void> {
  for (;;) {
    await stack
      .sql`update luma.sync_outbox set due_at = now() where due_at > now() and lease is null`;
    await work(stack, "luma-drain");
    const [left] = await stack.sql`
      select count(*)::int from luma.sync_outbox where version > done_version`;
    if (left!.count === 0) return;
  }
}

/** A point in time, as the database counts its transactions. */
async function mark({ sql }: Stack): Promise<number> {
  const [row] = await sql`select pg_current_xact_id()::text as id`;
  return Number(row!.id);
}

/** How many rows are of later transactions than that. The statistics of the server come up to ten seconds late. */
async function writtenSince(
  { sql }: Stack,
  mark: number,
): Promise<number> {
  const counts = TABLES.map((name) =>
    `select count(*) as rows from ${name} where xmin::text::bigint > ${mark}`
  );
  const [row] = await sql.unsafe(
    `select sum(rows)::int as rows from (${counts.join(" union all ")}) c`,
  );
  return row!.rows;
}

/** The most memory that the function has taken, in MB. */
async function peakMemory({ functions }: Stack): Promise<number> {
  const pid = functions.pid("luma-pull");
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** Measures the section: one round, because what counts here does not vary. */
export function repair(options: BenchOptions): Promise<Measure[]> {
  return repairOf(options.quick ? 200 : 2_000, options);
}

/** The same with so many events. */
export async function repairOf(
  count: number,
  { postgres, say }: Pick<BenchOptions, "postgres" | "say">,
): Promise<Measure[]> {
  const all = `${count.toLocaleString("en-US")} events and ${
    (count * GUESTS_EACH).toLocaleString("en-US")
  } guests`;
  const measures: Measure[] = [];
  const note = (
    what: string,
    value: number,
    unit: string,
    aim?: { aim: string; met: boolean },
  ) =>
    measures.push({
      section,
      what,
      side: "ours",
      rounds: [value],
      unit,
      ...aim,
    });

  await using stack = await silentStack(postgres);
  const { sql, simulator } = stack;
  await users(sql, NEWCOMER);
  const events = hostedEvents(stack, count);
  /** Asks for something to be read, and reads it: calls and seconds. */
  const reading = async (what: string, ask: () => PromiseLike<unknown>) => {
    say(what);
    simulator.clearRequests();
    await ask();
    const seconds = await millis(() => pulled(stack)) / 1000;
    return { calls: simulator.requests.length, seconds };
  };

  const first = await reading(
    "everything for the first time",
    () => sql`select luma.pull_now()`,
  );
  await drained(stack);
  note(`${all}, all new`, first.calls, "calls");
  note(`${all}, all new`, first.seconds, "s");
  note(
    `${all}, all new`,
    await differences(stack, events),
    "differences left",
    {
      aim: "none",
      met: await differences(stack, events) === 0,
    },
  );

  const before = await mark(stack);
  const again = await reading(
    "everything again",
    () => sql`select luma.pull_now()`,
  );
  const rows = await writtenSince(stack, before);
  note(`${all}, unchanged, all read`, again.calls, "calls");
  note(`${all}, unchanged, all read`, again.seconds, "s");
  note(`${all}, unchanged, all read`, rows, "rows written", {
    aim: "none",
    met: rows === 0,
  });
  note(
    `${all}, unchanged, all read`,
    await peakMemory(stack),
    "MB, the function's peak",
  );

  const scheduled = await reading(
    "what is due in a quarter of an hour",
    async () => {
      await sql`update luma.settings set scheduled_pulls = true`;
      await sql`select luma.schedule_pull()`;
      await sql`update luma.settings set scheduled_pulls = false`;
    },
  );
  note(
    `${all}, unchanged, as scheduled`,
    scheduled.calls,
    "calls in a quarter of an hour",
  );
  const share = 100 * scheduled.calls / QUARTER;
  note(`${all}, unchanged, as scheduled`, share, "% of Luma's limit", {
    aim: "at most 10",
    met: share <= 10,
  });

  const made = await makeDifferences(stack, events);
  const found = await differences(stack, events);
  note("silent differences", found, "differences");
  say(`${made} made on Luma, ${found} found by comparing`);
  const cycle = await reading(
    "the differences",
    () => sql`select luma.pull_now()`,
  );
  await drained(stack);
  await sql`select luma.sweep()`;
  await drained(stack);
  const left = await differences(stack, events);
  note("silent differences", left, "left after one cycle", {
    aim: "none",
    met: left === 0,
  });
  note("silent differences", cycle.calls, "calls to read both sides");
  note(
    "silent differences",
    100 * cycle.calls / DAY,
    "% of Luma's limit of a day",
  );
  note("silent differences", cycle.seconds, "s to read");
  return measures;
}
