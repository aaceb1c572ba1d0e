/** How few calls could tell of edits, when two calls about one row are to be this far apart. */

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
