/** Delta debugging: the shortest list, as far as leaving out goes, that still fails. */

/**
 * Leaves out more and more of `items` as long as `fails` says that the rest fails too. `fails` may be wrong about a list
 * that fails only at times: then the answer is longer than it need be, but was seen to fail.
 */
export async function shrink<T>(
  items: readonly T[],
  fails: (items: T[]) => Promise<boolean>,
): Promise<T[]> {
  let kept = [...items];
  let parts = 2;
  while (kept.length >= 2) {
    const size = Math.ceil(kept.length / parts);
    const shorter = await firstThatFails(kept, size, fails);
    if (shorter) {
      kept = shorter;
      parts = Math.max(2, parts - 1);
    } else if (size === 1) break;
    else parts = Math.min(kept.length, parts * 2);
  }
  return kept;
}

/** The list without one of its parts of this size. */
async function firstThatFails<T>(
  items: T[],
  size: number,
  fails: (items: T[]) => Promise<boolean>,
): Promise<T[] | null> {
  for (let from = 0; from < items.length; from += size) {
    const rest = items.toSpliced(from, size);
    if (await fails(rest)) return rest;
  }
  return null;
}
