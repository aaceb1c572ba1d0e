/** What a run of many histories says in the end. */
import type { History } from "./acts.ts";
import { type Counts, percentile, pointsNotHit } from "./counts.ts";
import { KILL_POINTS } from "./kill_points.ts";
import type { Failure } from "./run.ts";

export interface Failed {
  history: History;
  failure: Failure;
  /** The shortest list of acts that was seen to fail, and its failure; the history itself when it was not cut short. */
  shortest: History;
  shortestFailure: Failure;
  /** Where the shortest history is written to, and how to play it again. */
  file: string;
  command: string;
}

export interface Report {
  seeds: number[];
  seconds: number;
  counts: Counts;
  killPoints: { all: number; hit: number; notHit: string[] };
  crashToRetryMs: { count: number; p50: number | null; p99: number | null };
  lookUpsPerAttemptAfterCrash: number | null;
  failed: Failed[];
}

export function reportOf(
  seeds: number[],
  seconds: number,
  counts: Counts,
  failed: Failed[],
): Report {
  const notHit = pointsNotHit(counts);
  const { retriedAfterMs, attemptsAfterCrash: attempts, lookUpsAfterCrash } =
    counts;
  return {
    seeds,
    seconds: Math.round(seconds),
    counts,
    killPoints: {
      all: KILL_POINTS.length,
      hit: KILL_POINTS.length - notHit.length,
      notHit,
    },
    crashToRetryMs: {
      count: retriedAfterMs.length,
      p50: percentile(retriedAfterMs, 0.5),
      p99: percentile(retriedAfterMs, 0.99),
    },
    lookUpsPerAttemptAfterCrash: attempts > 0
      ? Math.round(lookUpsAfterCrash / attempts * 100) / 100
      : null,
    failed,
  };
}

/** Acts that end a fault, which are listed with them. */
const HEALING = [
  "cron on again",
  "functions up again",
  "time passes",
  "time to recover",
];

export function textOf(
  {
    counts,
    killPoints,
    crashToRetryMs: retry,
    lookUpsPerAttemptAfterCrash,
    failed,
    seeds,
    seconds,
  }: Report,
): string {
  const { faults } = counts;
  const all = Object.entries(faults).reduce(
    (sum, [name, count]) => HEALING.includes(name) ? sum : sum + count,
    0,
  );
  return [
    `${counts.histories} histories (seeds ${seeds[0]} to ${
      seeds.at(-1)
    }) in ${seconds} s: ${counts.steps} acts (${counts.skipped} found nothing to act on, ${counts.withheld} were withheld), ${all} faults`,
    ...Object.entries(faults).map(([name, count]) => `  ${name}: ${count}`),
    `${counts.crashes} crashes of functions; kill points hit: ${killPoints.hit} of ${killPoints.all}`,
    `  not hit: ${killPoints.notHit.join(", ") || "none"}`,
    `duplicates: ${counts.duplicates}; conflicts noted: ${counts.conflicts}; calls to Luma: ${counts.calls}`,
    `look-ups per attempt that followed a crash: ${
      lookUpsPerAttemptAfterCrash ?? "none followed one"
    }`,
    `from crash to retry: ${retry.count} measured, p50 ${retry.p50} ms, p99 ${retry.p99} ms`,
    `the app: ${counts.appTransactions} transactions, the slowest took ${counts.slowestAppMs} ms`,
    `drains to come to rest: ${counts.drainsToRest} at the most`,
    `failed: ${failed.length}`,
  ].join("\n");
}

export function failureText(
  { history, failure, shortest, shortestFailure, command }: Failed,
): string {
  return [
    `Seed ${history.seed} fails: ${failure.invariant}`,
    ...failure.details.map((line) => `  ${line}`),
    `The shortest history that was seen to fail (${shortest.acts.length} of ${history.acts.length} acts, ${shortestFailure.invariant}):`,
    ...shortest.acts.map((act) => `  ${JSON.stringify(act)}`),
    ...shortestFailure.details.map((line) => `  ${line}`),
    "How things stand:",
    ...shortestFailure.why.map((line) => `  ${line}`),
    "Again with:",
    `  ${command}`,
  ].join("\n");
}
