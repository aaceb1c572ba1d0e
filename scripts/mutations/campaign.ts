/** Takes one guard away at a time and tells whether its test notices. */
import { copyCheckout } from "./checkout.ts";
import type { Mutation } from "./mutation.ts";
import { type Ending, runAll, runTests } from "./named_tests.ts";

/** What became of a mutation. */
export interface Verdict {
  mutation: Mutation;
  /**
   * `broken`: it says nothing, because the test fails without it too, or fails with it for another reason than what it
   * tests.
   */
  verdict: "noticed" | "unnoticed" | "broken";
  why: string;
}

/** Assertions, and what the tests' own helpers say: until(), eventually(), one(). */
const BY_ITSELF =
  /AssertionError|^Error: (?:After \d+ s still not so|Not within \d+ ms|\d+ rows, expected one)/;

/** Runs the mutations one after another; `told` hears of each verdict at once. */
export async function campaign(
  mutations: readonly Mutation[],
  { postgres, told }: {
    postgres?: string;
    told: (verdict: Verdict) => void;
  },
): Promise<Verdict[]> {
  await using checkout = await copyCheckout();
  const where = { ...checkout, postgres };
  const sound = new Map<string, Ending>();
  await runAll(
    mutations.map(({ test }) => test),
    where,
    ({ file, name }, ending) => sound.set(`${file} ${name}`, ending),
  );
  const verdicts: Verdict[] = [];
  for (const mutation of mutations) {
    const { file, name } = mutation.test;
    const verdict = {
      mutation,
      ...await verdictOf(
        sound.get(`${file} ${name}`),
        mutation,
        () =>
          checkout.without(
            mutation,
            async () => (await runTests(file, [name], where)).get(name)!,
          ),
      ),
    };
    verdicts.push(verdict);
    told(verdict);
  }
  return verdicts;
}

async function verdictOf(
  sound: Ending | undefined,
  { failsWith = BY_ITSELF }: Mutation,
  run: () => Promise<Ending>,
): Promise<Omit<Verdict, "mutation">> {
  if (sound?.how !== "passed") {
    const why = `with the guard its test ${
      sound ? `${sound.how}: ${sound.why}` : "was not run"
    }`;
    return { verdict: "broken", why };
  }
  const ending = await run();
  if (ending.how === "passed") {
    return { verdict: "unnoticed", why: "the test passes without the guard" };
  }
  const isNoticed = ending.how === "failed" && failsWith.test(ending.why);
  return { verdict: isNoticed ? "noticed" : "broken", why: ending.why };
}
