/** `deno task chaos`: the whole system, at random, with everything breaking. See docs/reliability.md. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import type { History } from "./chaos/acts.ts";
import { campaign, replay } from "./chaos/campaign.ts";
import { startHistoryDatabase } from "./chaos/in_process/database.ts";
import { sweep } from "./chaos/in_process/sweep.ts";
import {
  hasFailed,
  sweepReport,
  sweepText,
} from "./chaos/in_process/sweep_report.ts";
import { VirtualWorld } from "./chaos/in_process/world.ts";
import { StackWorld } from "./chaos/stack_world.ts";

const HELP = `deno task chaos [--seed N] [--steps M] [--seeds K | --minutes T]
deno task chaos --replay <file> [--times R]
deno task chaos --every-kill-point [--seed N]

Lets the app, admins, hosts, guests, drains, pulls and webhooks act at random on the real stack while everything between
them breaks; then the faults stop, and both sides must come to rest, equal, with nothing lost and nothing doubled.

  --seed N       the first seed. Default 1. The acts are a function of it alone; how the processes interleave is not
  --steps M      acts of a history. Default 100
  --seeds K      so many histories, of consecutive seeds. Default 1
  --minutes T    consecutive seeds until the time is up
  --fast         plays in one process, on a real database with time and a network of its own: many more histories,
                 and a seed that fails fails again
  --every-kill-point
                 plays, in one process, small scenarios that together make every call there is, once for each call and
                 each way to disturb it: killed before or after its effect, or left without its answer
  --once         of these calls only the first of each kind: every kill point once, in a few minutes
  --contended    lets both sides edit the same field before they have heard of each other in all histories, also in
                 those whose webhooks are lost. Without it in every second of the others
  --replay FILE  plays the history in this file instead, as a failure has written it
  --times R      plays it so often: what fails at times is seen sooner or later. Default 1
  --shrinks S    how many histories to play at most to find the shortest that fails. Default 40; 0 for none
  --out FILE     writes the report there as JSON
  --failures DIR where histories that fail are written to. Default: the temporary folder
  --postgres P   npm, auto or a bin folder, as in deno task dev
  --help         this text

Ends with 1 when a history fails.
`;

function wrong(problem: string): never {
  console.error(`${problem}\n\n${HELP}`);
  Deno.exit(2);
}

function read<T extends ParseArgsConfig>(config: T) {
  try {
    return parseArgs(config);
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

async function write(report: object): Promise<void> {
  if (values.out === undefined) return;
  await Deno.writeTextFile(values.out, JSON.stringify(report, null, 2) + "\n");
}

async function historyIn(file: string): Promise<History> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    return wrong(
      `--replay wants a history that a failure has written: ${file}: ${
        error instanceof Error ? error.message : error
      }`,
    );
  }
}

const { values } = read({
  options: {
    seed: { type: "string", default: "1" },
    steps: { type: "string", default: "100" },
    seeds: { type: "string", default: "1" },
    minutes: { type: "string" },
    fast: { type: "boolean", default: false },
    "every-kill-point": { type: "boolean", default: false },
    once: { type: "boolean", default: false },
    contended: { type: "boolean", default: false },
    replay: { type: "string" },
    times: { type: "string", default: "1" },
    shrinks: { type: "string", default: "40" },
    out: { type: "string" },
    failures: { type: "string" },
    postgres: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function number(
  name: "seed" | "steps" | "seeds" | "minutes" | "times" | "shrinks",
  least: number,
): number {
  const value = Number(values[name]);
  return Number.isInteger(value) && value >= least ? value : wrong(
    `--${name} wants a whole number from ${least} on, not "${values[name]}"`,
  );
}

if (values.help) {
  console.log(HELP);
  Deno.exit(0);
}
const postgres = values.postgres ?? Deno.env.get("LUMA_STACK_POSTGRES");
const database = values.fast || values["every-kill-point"]
  ? await startHistoryDatabase(postgres)
  : null;
if (values["every-kill-point"] && database) {
  const started = performance.now();
  const seed = number("seed", 0);
  const swept = await sweep(database, {
    seed,
    once: values.once,
    say: console.log,
  });
  const seconds = (performance.now() - started) / 1000;
  const report = sweepReport(swept, seed, seconds);
  console.log(sweepText(report));
  await write(report);
  await database[Symbol.asyncDispose]();
  Deno.exit(hasFailed(report) ? 1 : 0);
}
const common = {
  shrinks: number("shrinks", 0),
  failures: values.failures ?? await Deno.makeTempDir({ prefix: "chaos-" }),
  makeWorld: (history: History) =>
    database
      ? VirtualWorld.start(history, database)
      : StackWorld.start(history.config, postgres),
  command: `deno task chaos${database ? " --fast" : ""}`,
  say: console.log,
};
const report = values.replay === undefined
  ? await campaign({
    ...common,
    seed: number("seed", 0),
    steps: number("steps", 1),
    ...(values.contended ? { contended: true } : {}),
    inProcess: values.fast,
    ...(values.minutes === undefined
      ? { seeds: number("seeds", 1), minutes: Infinity }
      : { seeds: Infinity, minutes: number("minutes", 1) }),
  })
  : await replay({
    ...common,
    history: await historyIn(values.replay),
    times: number("times", 1),
  });
await write(report);
await database?.[Symbol.asyncDispose]();
Deno.exit(report.failed.length === 0 ? 0 : 1);
