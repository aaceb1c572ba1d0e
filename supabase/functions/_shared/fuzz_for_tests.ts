/** How long the fuzz tests look. */

/**
 * What fast-check is given for a property that usually has so many runs. `LUMA_FUZZ_RUNS=50` makes them fifty times as
 * many. A failure prints its seed and path: `LUMA_FUZZ_SEED=… LUMA_FUZZ_PATH=…` repeats it, with `--filter` for the
 * one test.
 */
export function fuzz(usual: number): {
  numRuns: number;
  seed?: number;
  path?: string;
} {
  const { LUMA_FUZZ_RUNS: times, LUMA_FUZZ_SEED: seed, LUMA_FUZZ_PATH: path } =
    Deno.env.toObject();
  const numRuns = Math.ceil(usual * Number(times ?? 1));
  if (!(numRuns > 0)) {
    throw new Error(`LUMA_FUZZ_RUNS is ${times} but must be above 0`);
  }
  return {
    numRuns,
    ...(seed ? { seed: Number(seed) } : {}),
    ...(path ? { path } : {}),
  };
}
