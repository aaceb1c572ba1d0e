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

const ROWS = 10_000;
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

const perRow = (side: number, none: number) => (side - none) * 1000 / ROWS;

/** One update of all rows; `before` prepares what each side has enqueued before. */
async function bulk(
  stack: Stack,
  rounds: number,
  what: string,
  change: string,
  before: (side: Side) => Promise<unknown> = () => forget(stack),
  most = 15,
): Promise<Measure[]> {
  let edits = 0;
  const taken = await takeTurns(rounds, SIDES, async (side) => {
    await chooseSide(stack, side);
    await before(side);
    await tidy(stack.sql);
    const edit = change.replace("$n", String(++edits));
    return await millis(() =>
      stack.sql.unsafe(`update public.canonical_events set ${edit}`)
    );
  });
  const unit = "µs a row";
  return against(taken, { what, unit }, perRow, {
    aim: `at most ${most}`,
    most,
  });
}

async function bulkUpdates(stack: Stack, rounds: number): Promise<Measure[]> {
  const rename = "title = 'Rooftop Jam ' || $n";
  return [
    ...await bulk(stack, rounds, "10,000 titles, first edit", rename),
    ...await bulk(
      stack,
      rounds,
      "10,000 titles, edited again",
      rename,
      async () => {
        await forget(stack);
        await stack.sql`update public.canonical_events set title = 'Before'`;
        await stack.sql`update luma.sync_outbox set done_version = version`;
      },
    ),
    ...await bulk(
      stack,
      rounds,
      "10,000 × updated_at only",
      "updated_at = now()",
      undefined,
      0.5,
    ),
    ...await bulk(
      stack,
      rounds,
      "10,000 × current_rsvp_count only",
      "current_rsvp_count = $n",
      undefined,
      0.5,
    ),
  ];
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
  await linkedEvents(stack.sql, ROWS);
  await users(stack.sql, 1000);
  await prepareSides(stack);
  options.say("bulk updates");
  const measures = await bulkUpdates(stack, options.rounds);
  options.say("single rows");
  measures.push(...await singleRows(stack, options));
  options.say("RSVPs");
  return [...measures, ...await rsvps(stack, options)];
}
