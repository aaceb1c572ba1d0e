/** Every call of every scenario, killed before and after its effect, or without its answer: one fault a run. */
import type { Config, History, Trap } from "../acts.ts";
import { added, type Counts } from "../counts.ts";
import { type Outcome, play } from "../run.ts";
import type { HistoryDatabase } from "./database.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";
import type { Plan } from "./trap_set.ts";
import { VirtualWorld } from "./world.ts";

const CONFIG: Config = {
  lossy: false,
  contended: false,
  cancelOnLuma: false,
  callsPerMinute: 2_000,
};

export interface SweepFailure {
  scenario: string;
  /** The number of the call, what it is, and what was done to it; none for the run that is left alone. */
  call: string | null;
  outcome: Outcome;
}

export interface Sweep {
  scenarios: number;
  /** Each is a history with one fault. */
  runs: number;
  counts: Counts;
  failed: SweepFailure[];
}

/** Two ways to die at each call; of what has changed something on Luma the answer may also be lost. */
function waysAt(call: string): Pick<Trap, "when" | "how">[] {
  return [
    { when: "before", how: "kill" },
    { when: "after", how: "kill" },
    ...(call.includes("POST ")
      ? [{ when: "after", how: "lost" } as const]
      : []),
  ];
}

/** A drain that waits asks again and again, and begins and ends: of these calls so many of a scenario are disturbed. */
const ALIKE_MAX = 2;
const REPEATED =
  /luma_(claim|drain_start|drain_end|renew|take_permits|apply_deliveries|note_rate_limit)$/;

/** The numbers of the calls to disturb. */
function worthwhile(calls: string[]): number[] {
  const seen = new Map<string, number>();
  return calls.flatMap((call, at) => {
    const count = (seen.get(call) ?? 0) + 1;
    seen.set(call, count);
    return count <= ALIKE_MAX || !REPEATED.test(call) ? [at] : [];
  });
}

/** `part`: every so many calls only, from the given one on; a test has no time for all. */
export async function sweep(
  database: HistoryDatabase,
  {
    seed,
    say,
    once = false,
    part = { every: 1, from: 0 },
    scenarios = SCENARIOS,
  }: {
    seed: number;
    /** Each kill point of each function only where it is come to first. */
    once?: boolean;
    say: (text: string) => void;
    part?: { every: number; from: number };
    scenarios?: readonly Scenario[];
  },
): Promise<Sweep> {
  const swept: { counts?: Counts; runs: number; failed: SweepFailure[] } = {
    runs: 0,
    failed: [],
  };
  const note = (scenario: string, call: string | null, outcome: Outcome) => {
    const { counts, failure } = outcome;
    swept.counts = swept.counts ? added(swept.counts, counts) : counts;
    swept.runs++;
    if (!failure) return;
    swept.failed.push({ scenario, call, outcome });
    say(
      `${scenario}, ${call ?? "undisturbed"}: ${failure.invariant}\n  ${
        failure.details.join("\n  ")
      }`,
    );
  };
  const done = new Set<string>();
  for (const scenario of scenarios) {
    const alone = await run(database, seed, scenario, () => []);
    note(scenario.name, null, alone);
    for (const at of worthwhile(alone.calls)) {
      if (at % part.every !== part.from) continue;
      const called = alone.calls[at]!;
      if (once && done.has(called)) continue;
      done.add(called);
      for (const way of waysAt(called)) {
        const disturbed = await run(
          database,
          seed,
          scenario,
          (number, { point }) => number === at ? [{ ...way, point }] : [],
        );
        const call = `call ${at} (${
          disturbed.calls[at]
        }) ${way.when} ${way.how}`;
        note(scenario.name, call, disturbed);
      }
    }
    say(`${scenario.name}: ${alone.calls.length} calls`);
  }
  if (!swept.counts) throw new Error("There is no scenario.");
  return { scenarios: scenarios.length, ...swept, counts: swept.counts };
}

/** `calls`: those to kill points while the scenario was played. */
async function run(
  database: HistoryDatabase,
  seed: number,
  scenario: Scenario,
  plan: Plan,
): Promise<Outcome & { calls: string[] }> {
  const history: History = {
    seed,
    config: { ...CONFIG, ...scenario.config },
    acts: [],
  };
  let calls: string[] = [];
  let world: VirtualWorld | undefined;
  const outcome = await play(history, async () => {
    world = await VirtualWorld.start(history, database);
    return world;
  }, {
    before: async () => {
      if (!world) return;
      await scenario.before?.(world);
      world.traps.calls.length = 0;
      world.traps.plan = plan;
      await scenario.play(world);
      calls = [...world.traps.calls];
      world.traps.plan = () => [];
      await scenario.after?.(world);
    },
  });
  return { ...outcome, calls };
}
