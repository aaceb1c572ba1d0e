const ALPHABET =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Makes random text: `length` characters of letters and digits. */
export type RandomText = (length: number) => string;

/** Numbers from 0 up to 1. */
export type Random = () => number;

/**
 * A source of random numbers that repeats for the same seed (mulberry32), so that a test can be
 * replayed. Without a seed every start differs: a database that outlives the simulator must not
 * find its old ids on new events.
 */
export function seededRandom(
  seed: number = crypto.getRandomValues(new Uint32Array(1))[0] ?? 1,
): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A source of random text on these numbers. */
export function randomText(next: Random): RandomText {
  return (length) =>
    Array.from(
      { length },
      () => ALPHABET.charAt(Math.floor(next() * ALPHABET.length)),
    ).join("");
}
