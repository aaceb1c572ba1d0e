/** What the app pays for being synced, while it writes. */
import type { Stack } from "../stack/mod.ts";
import { countLockWaits } from "./lock_waits.ts";
import { median, millis, pairs, type Rounds, takeTurns } from "./rounds.ts";
import { linkedEvents, tidy, users } from "./scene.ts";
import { type BenchOptions, benchStack, type Measure } from "./section.ts";
import {
  chooseSide,
  forget,
  prepareSides,
  type Side,
  SIDES,
} from "./write_sides.ts";
import { write } from "./writers.ts";

const section = "write-path";
const OTHERS = ["ours", "append", "graphile-worker"] as const;

/** A measure for each side but "none", from its rounds and those of "none". */
function against(
  rounds: Rounds<Side>,
  line: Pick<Measure, "what" | "unit">,
  compare: (side: number, none: number) => number,
  aim: Pick<Measure, "aim"> & { most: number },
): Measure[] {
  return OTHERS.map((side) => {
    const compared = pairs(rounds[side], rounds.none, compare);
    return {
      section,
      side,
      ...line,
      rounds: compared,
      ...side === "ours" &&
        { aim: aim.aim, met: median(compared) <= aim.most },
    };
  });
}

/** Fewer with --quick, because graphile-worker takes milliseconds for each. */
const rowCount = ({ quick }: BenchOptions) => quick ? 2_000 : 10_000;

interface Bulk {
  what: string;
  change: string;
  /** Prepares what each side has enqueued before. */
  before: () => Promise<unknown>;
  most: number;
}

/** One update of all rows. */
async function bulk(
  stack: Stack,
  options: BenchOptions,
  { what, change, before, most }: Bulk,
): Promise<Measure[]> {
  const rows = rowCount(options);
  let edits = 0;
  const taken = await takeTurns(options.rounds, SIDES, async (side) => {
    await chooseSide(stack, side);
    await forget(stack);
    await before();
    await tidy(stack.sql);
    const edit = change.replace("$n", String(++edits));
    return await millis(() =>
      stack.sql.unsafe(`update public.canonical_events set ${edit}`)
    );
  });
  return against(
    taken,
    { what: `${rows.toLocaleString("en-US")} rows: ${what}`, unit: "µs a row" },
    (side, none) => (side - none) * 1000 / rows,
    { aim: `at most ${most}`, most },
  );
}

async function bulkUpdates(
  stack: Stack,
  options: BenchOptions,
): Promise<Measure[]> {
  const rename = "title = 'Rooftop Jam ' || $n";
  const nothing = () => Promise.resolve();
  const editAll = async () => {
    await stack.sql`update public.canonical_events set title = 'Before'`;
    await stack.sql`update luma.sync_outbox set done_version = version`;
  };
  const bulks: Bulk[] = [
    { what: "title, first edit", change: rename, before: nothing, most: 15 },
    { what: "title, edited again", change: rename, before: editAll, most: 15 },
    {
      what: "updated_at only",
      change: "updated_at = now()",
      before: nothing,
      // Less than can be told from nothing.
      most: 0.5,
    },
    {
      what: "current_rsvp_count only",
      change: "current_rsvp_count = $n",
      before: nothing,
      most: 0.5,
    },
  ];
  const measures = [];
  for (const each of bulks) {
    options.say(each.what);
    measures.push(...await bulk(stack, options, each));
  }
  return measures;
}

async function singleRows(
  stack: Stack,
  { rounds, quick }: BenchOptions,
): Promise<Measure[]> {
  const seconds = quick ? 2 : 8;
  const taken = await takeTurns(rounds, SIDES, async (side) => {
    await chooseSide(stack, side);
    await forget(stack);
    await tidy(stack.sql);
    return await write(stack, "edit", 8, seconds);
  });
  return against(
    taken,
    { what: "single-row updates, 8 writers", unit: "% fewer a second" },
    (side, none) => 100 * (1 - side / none),
    { aim: "at most 5", most: 5 },
  ).concat({
    section,
    what: "single-row updates, 8 writers",
    side: "none",
    rounds: taken.none,
    unit: "a second",
  });
}

async function rsvps(
  stack: Stack,
  { rounds, quick }: BenchOptions,
): Promise<Measure[]> {
  const seconds = quick ? 2 : 8;
  const waits: number[] = [];
  const run = async (side: Side, writers: number) => {
    await chooseSide(stack, side);
    await forget(stack);
    await stack.sql`truncate public.event_rsvps`;
    await tidy(stack.sql);
    return await write(stack, "rsvp", writers, seconds);
  };
  const alone = await takeTurns(
    rounds,
    SIDES,
    async (side) => 1e6 / await run(side, 1),
  );
  const together = await takeTurns(rounds, SIDES, async (side) => {
    const waited = countLockWaits(stack);
    const perSecond = await run(side, 8);
    const count = await waited.end();
    if (side === "ours") waits.push(count);
    return perSecond;
  });
  return [
    ...against(
      alone,
      { what: "RSVP transaction, 1 writer", unit: "times as long" },
      (side, none) => side / none,
      { aim: "at most 1.15", most: 1.15 },
    ),
    {
      section,
      what: "RSVP transaction, 1 writer",
      side: "none",
      rounds: alone.none,
      unit: "µs",
    },
    ...against(
      together,
      { what: "RSVP transactions, 8 writers", unit: "% fewer a second" },
      (side, none) => 100 * (1 - side / none),
      { aim: "at most 15", most: 15 },
    ),
    {
      section,
      what: "lock waits, 8 writers of RSVPs of different events",
      side: "ours",
      rounds: waits,
      unit: "waits",
      aim: "none",
      met: waits.every((count) => count === 0),
    },
  ];
}

/** Measures the section. */
export async function writePath(options: BenchOptions): Promise<Measure[]> {
  await using stack = await benchStack(options);
  await linkedEvents(stack.sql, rowCount(options));
  await users(stack.sql, 1000);
  await prepareSides(stack);
  const measures = await bulkUpdates(stack, options);
  options.say("single rows");
  measures.push(...await singleRows(stack, options));
  options.say("RSVPs");
  return [...measures, ...await rsvps(stack, options)];
}
