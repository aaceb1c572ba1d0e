/** Many histories, one after the other. */
import type { History } from "./acts.ts";
import { added, type Counts } from "./counts.ts";
import { history as historyOf, type Options } from "./generate.ts";
import {
  type Failed,
  failureText,
  type Report,
  reportOf,
  textOf,
} from "./report.ts";
import { type Failure, type MakeWorld, type Outcome, play } from "./run.ts";
import { shrink } from "./shrink.ts";

interface Common {
  /** How many histories may be played to shorten one that fails. */
  shrinks: number;
  /** The folder for histories that fail. */
  failures: string;
  makeWorld: MakeWorld;
  /** What plays such histories. Default: deno task chaos. */
  command?: string;
  say: (text: string) => void;
}

export async function campaign(
  { seed, steps, seeds, minutes, contended, inProcess, ...common }:
    & Common
    & Options
    & {
      seed: number;
      steps: number;
      seeds: number;
      minutes: number;
    },
): Promise<Report> {
  const until = performance.now() + minutes * 60_000;
  const histories = function* () {
    for (let n = 0; n < seeds && performance.now() < until; n++) {
      yield historyOf(seed + n, steps, { contended, inProcess });
    }
  };
  return await playAll(histories(), common);
}

export async function replay(
  { history, times, ...common }: Common & { history: History; times: number },
): Promise<Report> {
  return await playAll(Array.from({ length: times }, () => history), common);
}

async function playAll(
  histories: Iterable<History>,
  common: Common,
): Promise<Report> {
  const started = performance.now();
  const seeds: number[] = [];
  const failed: Failed[] = [];
  let counts: Counts | undefined;
  for (const history of histories) {
    const outcome = await playOne(history, common);
    seeds.push(history.seed);
    counts = counts ? added(counts, outcome.counts) : outcome.counts;
    common.say(
      `seed ${history.seed}: ${
        outcome.failure?.invariant ?? "ok"
      } (${outcome.seconds} s)`,
    );
    if (!outcome.failure) continue;
    const told = await explained(history, outcome.failure, common);
    common.say(failureText(told));
    failed.push(told);
  }
  if (!counts) {
    throw new Error("No history was played: the time was up at once.");
  }
  const report = reportOf(
    seeds,
    (performance.now() - started) / 1000,
    counts,
    failed,
  );
  common.say(textOf(report));
  return report;
}

function playOne(history: History, { makeWorld }: Common): Promise<Outcome> {
  return play(history, makeWorld);
}

/** Cuts a history short, and writes it down. */
async function explained(
  history: History,
  failure: Failure,
  common: Common,
): Promise<Failed> {
  let shortestFailure = failure;
  let left = common.shrinks;
  const acts = left === 0
    ? history.acts
    : await shrink(history.acts, async (acts) => {
      if (left-- <= 0) return false;
      const outcome = await playOne({ ...history, acts }, common);
      if (outcome.failure?.invariant !== failure.invariant) return false;
      shortestFailure = outcome.failure;
      return true;
    });
  const shortest = { ...history, acts };
  const file = `${common.failures}/seed-${history.seed}.json`;
  await Deno.writeTextFile(file, JSON.stringify(shortest, null, 2));
  await Deno.writeTextFile(
    `${common.failures}/seed-${history.seed}-whole.json`,
    JSON.stringify(history, null, 2),
  );
  const command = `${
    common.command ?? "deno task chaos"
  } --replay ${file} --times 10`;
  return { history, failure, shortest, shortestFailure, file, command };
}
