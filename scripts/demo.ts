/** `deno task demo`: plays an event's way from the app to Luma on the local stack, and prints the timeline. */
import { parseArgs } from "node:util";
import { playStory } from "./demo/story.ts";
import { type Terminal, terminal } from "./demo/terminal.ts";
import { timelineTable } from "./demo/timeline.ts";
import { StoryError } from "./demo/wait.ts";
import { type Stack, startStack } from "./stack/mod.ts";

const HELP =
  `deno task demo [--postgres <npm|auto|bin folder>] [--timeout <seconds>]

Starts the local stack (Postgres, the Data API, the Edge Functions, a simulated Luma), writes to the app's tables
as the app does, shows what becomes of it on Luma, prints a timeline, and removes everything again.
Exits with 0, or with 1 and the reason.

  --postgres   see: deno task dev --help. Default auto
  --timeout    how many seconds one step may take. Default 30
  --help       this text
`;

interface Flags {
  help: boolean;
  postgres: string;
  timeoutMs: number;
}

/** The flags, or an Error that names the one that is wrong. */
function readFlags(args: string[]): Flags {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: "boolean", short: "h", default: false },
      postgres: { type: "string", default: "auto" },
      timeout: { type: "string", default: "30" },
    },
  });
  const timeoutMs = Number(values.timeout) * 1000;
  if (timeoutMs > 0 && timeoutMs <= 3_600_000) return { ...values, timeoutMs };
  throw new Error(
    `--timeout is "${values.timeout}": give the seconds that one step may take, at most 3600.`,
  );
}

/** Ends the story early, so that the stack is stopped in order. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

async function demo(flags: Flags, out: Terminal): Promise<void> {
  const started = performance.now();
  out.line(
    "Starting Postgres, the Data API, the Edge Functions and a simulated Luma ...",
  );
  await using stack = await startStack({
    postgres: flags.postgres,
    webhooks: true,
  });
  const { version, pgCron } = stack.postgres;
  const cron = pgCron === "real"
    ? "the real pg_cron"
    : "a stand-in for pg_cron";
  out.line(`Up after ${seconds(started)}: Postgres ${version} with ${cron}.`);

  const interrupted = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(
      signal,
      () => interrupted.reject(new Interrupted(`Stopped by ${signal}.`)),
    );
  }
  const timeline = await Promise.race([
    playStory({ stack, out, timeoutMs: flags.timeoutMs }),
    interrupted.promise,
  ]);

  out.line(`\n${out.bold("Timeline")}, from the app's statement on:\n`);
  for (const line of timelineTable(timeline)) out.line(`  ${line}`);
  out.line(`
  A trigger enqueues inside the app's transaction, so just before its commit. What closely follows an edit of the
  same event, a change of the same RSVP or an addition to the same guest list waits (luma.settings.edit_spacing_ms),
  so that a burst becomes one call or a few.`);
  await printTotals(stack, out);
  out.line(`
The demo took ${
    seconds(started)
  }. To go on: \`deno task dev\` keeps the stack up and prints statements to try.`);
}

async function printTotals(stack: Stack, out: Terminal): Promise<void> {
  const [counts] = await stack.sql<
    { rows: number; rsvps: number; linked: number }[]
  >`
    select (select count(*)::int from canonical_events) as rows,
      (select count(*)::int from event_rsvps) as rsvps,
      (select count(luma_event_id)::int from luma.event_links) as linked`;
  const events = stack.simulator.events();
  const guests = events.flatMap(({ id, guests }) =>
    guests.map(({ user_email }) => `${id} ${user_email.toLowerCase()}`)
  );
  const twiceOnLuma = events.length - (counts?.linked ?? 0);
  const twiceOnAList = guests.length - new Set(guests).size;
  out.line(
    `\n${
      out.bold("Totals")
    }: ${counts?.rows} rows in canonical_events, ${events.length} events on Luma, ` +
      `${counts?.rsvps} rows in event_rsvps, ${guests.length} guests on Luma, ` +
      `${stack.simulator.requests.length} calls to Luma, ${
        twiceOnLuma + twiceOnAList
      } duplicates.`,
  );
  if (twiceOnLuma !== 0) {
    throw new StoryError(
      `Luma has ${events.length} events for ${counts?.linked} rows that were pushed.`,
    );
  }
  if (twiceOnAList !== 0) {
    throw new StoryError(`${twiceOnAList} guests are on Luma's lists twice.`);
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

try {
  const flags = readFlags(Deno.args);
  if (flags.help) console.log(HELP);
  else await demo(flags, terminal());
  Deno.exit(0);
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : error}`);
  Deno.exit(error instanceof Interrupted ? 130 : 1);
}
