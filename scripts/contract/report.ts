/** What the check found, route by route, and how it reads. */
import type { Difference } from "./contract.ts";
import type { KnownDifference } from "./known.ts";

/** The findings about one route of the client, one of its methods, or one type of webhook. */
export interface Finding {
  name: string;
  calls: number;
  differences: Difference[];
}

/** The findings as a table, each difference on a line under its route, and a summary at the end. */
export function formatReport(
  findings: Finding[],
  known: KnownDifference[],
): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = [`${"route".padEnd(width)}  calls  result`];
  for (const { name, calls, differences } of findings) {
    const result = differences.length
      ? `${differences.length} different`
      : "ok";
    lines.push(
      `${name.padEnd(width)}  ${String(calls).padStart(5)}  ${result}`,
    );
    for (const { where, expected, got } of differences) {
      lines.push(`    ${where}: expected ${expected}, got ${got}`);
    }
  }
  lines.push("");
  for (const { route, absent, source } of known) {
    lines.push(
      `Not required of ${route}: ${absent.join(", ")} (${source}).`,
    );
  }
  const total = findings.flatMap((f) => f.differences).length;
  lines.push(
    `${findings.length} routes and webhooks checked; differences: ${total}.`,
  );
  return lines.join("\n");
}

/** Without repeats: the same difference in the same place is one. */
export function unique(differences: Difference[]): Difference[] {
  const seen = new Map<string, Difference>();
  for (const one of differences) {
    const key = `${one.where.replaceAll(/\[\d+\]/g, "[]")} ${one.expected}`;
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}
