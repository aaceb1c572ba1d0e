/** What a sweep says in the end. */
import { pointsNotHit } from "../counts.ts";
import { type Report, reportOf, textOf } from "../report.ts";
import type { Sweep } from "./sweep.ts";

export interface SweepReport extends Omit<Report, "failed"> {
  scenarios: number;
  runs: number;
  failed: { scenario: string; call: string | null; invariant: string }[];
}

export function sweepReport(
  { scenarios, runs, counts, failed }: Sweep,
  seed: number,
  seconds: number,
): SweepReport {
  return {
    ...reportOf([seed], seconds, counts, []),
    scenarios,
    runs,
    failed: failed.map(({ scenario, call, outcome }) => ({
      scenario,
      call,
      invariant: outcome.failure?.invariant ?? "",
    })),
  };
}

/** A point that no scenario comes to is a failure: it is not known what happens there. */
export function hasFailed(report: SweepReport): boolean {
  return report.failed.length > 0 || pointsNotHit(report.counts).length > 0;
}

export function sweepText(report: SweepReport): string {
  const { scenarios, runs, failed } = report;
  return [
    textOf({ ...report, failed: [] }).replace(/\nfailed: 0$/, ""),
    `${scenarios} scenarios, ${runs} runs, failed: ${failed.length}`,
    ...failed.map(({ scenario, call, invariant }) =>
      `  ${scenario}, ${call ?? "undisturbed"}: ${invariant}`
    ),
  ].join("\n");
}
