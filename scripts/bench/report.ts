/** The table that the benchmark prints. */
import { table } from "../admin/text.ts";
import { median } from "./rounds.ts";
import type { Measure } from "./section.ts";

/** A number with as many digits as say something. */
export function rounded(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** The least and the most of the rounds; nothing when there was one. */
export function spread(rounds: readonly number[]): string {
  if (rounds.length < 2) return "";
  return `${rounded(Math.min(...rounds))} to ${rounded(Math.max(...rounds))}`;
}

/** The aim, and whether it was met. */
export function verdict({ aim, met }: Measure): string {
  return aim === undefined ? "" : `${aim}: ${met ? "met" : "missed"}`;
}

/** The table, one line a measure. */
export function measureTable(measures: readonly Measure[]): string {
  return table(
    ["section", "what", "who", "median", "unit", "rounds", "aim"],
    measures.map((measure) => [
      measure.section,
      measure.what,
      measure.side,
      rounded(median(measure.rounds)),
      measure.unit,
      spread(measure.rounds),
      verdict(measure),
    ]),
    70,
  );
}
