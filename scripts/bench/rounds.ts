/** Rounds that take turns, and what is made of their numbers. */

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value below which this share of the values lies, between the two next to it. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error("There are no values.");
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)]!;
  const above = sorted[Math.ceil(place)]!;
  return below + (above - below) * (place - Math.floor(place));
}

/** What each round gave for each side. */
export type Rounds<Side extends string> = Record<Side, number[]>;

/**
 * Measures every side once a round. The order turns around with every round, so that a machine that gets slower,
 * or a table that gets longer, is to nobody's advantage.
 */
export async function takeTurns<Side extends string>(
  rounds: number,
  sides: readonly Side[],
  measure: (side: Side, round: number) => Promise<number>,
): Promise<Rounds<Side>> {
  const taken = Object.fromEntries(
    sides.map((side) => [side, []]),
  ) as unknown as Rounds<Side>;
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 ? sides.toReversed() : sides;
    for (const side of order) taken[side].push(await measure(side, round));
  }
  return taken;
}

/** Round by round, what `compare` makes of the two. */
export function pairs(
  one: readonly number[],
  other: readonly number[],
  compare: (one: number, other: number) => number,
): number[] {
  return one.map((value, round) => compare(value, other[round]!));
}

/** How many milliseconds something takes. */
export async function millis(
  work: () => PromiseLike<unknown>,
): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Waits so many milliseconds; none when it is already time. */
export async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((done) => setTimeout(done, ms));
}
