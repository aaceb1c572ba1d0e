/** The tables of docs/benchmarks.md, from what `deno task bench --out` has written. */
import { z } from "zod";
import { median } from "./rounds.ts";
import { rounded, spread, verdict } from "./report.ts";
import type { Measure } from "./section.ts";

const Written = z.object({
  measures: z.array(z.object({
    section: z.string(),
    what: z.string(),
    side: z.string(),
    rounds: z.array(z.number()),
    unit: z.string(),
    aim: z.string().optional(),
    met: z.boolean().optional(),
  })),
});

/** The measures in the text of such a file; throws when it is none. */
export function writtenMeasures(text: string): Measure[] {
  return Written.parse(JSON.parse(text)).measures;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** One table for each section, in the order in which they were measured. */
export function markdownTables(measures: readonly Measure[]): string {
  const sections = Map.groupBy(measures, ({ section }) => section);
  return [...sections].map(([section, lines]) =>
    [
      `### ${section}`,
      "",
      row(["What", "Who", "Median", "Unit", "Rounds", "Aim"]),
      row(Array(6).fill("---")),
      ...lines.map((line) =>
        row([
          line.what,
          line.side,
          rounded(median(line.rounds)),
          line.unit,
          spread(line.rounds),
          verdict(line),
        ])
      ),
    ].join("\n")
  ).join("\n\n");
}
