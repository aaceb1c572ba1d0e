/** What Luma's limit and the spacing of edits allow, and how much of it was used. */

/**
 * The first edit is sent at once; what follows, as soon as the spacing allows, and everything until then together. The
 * calls themselves take no time here, so no sync can do with fewer and be as prompt.
 */
export function idealCalls(
  times: readonly number[],
  spacingMs: number,
): number {
  let calls = 0;
  let sentAt = -Infinity;
  for (const at of times.toSorted((a, b) => a - b)) {
    // The last call was made after this edit.
    if (at <= sentAt) continue;
    sentAt = Math.max(at, sentAt + spacingMs);
    calls++;
  }
  return calls;
}

const MINUTE_MS = 60_000;

/**
 * How much of a limit a minute was used while there was more to do, in %. It counts from the first call to the last one
 * that had to wait for whole minutes' worth of others, so that waiting for too long shows. NaN when none had to.
 */
export function limitUsed(times: readonly number[], limit: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  const minutes = Math.floor((sorted.length - 1) / limit);
  if (minutes < 1) return NaN;
  const took = sorted[minutes * limit]! - sorted[0]!;
  return 100 * minutes * MINUTE_MS / took;
}
