/** Plays a history on a system of its own, and says what became of it. */
import type { History } from "./acts.ts";
import { type Counts, countsOf } from "./counts.ts";
import { diagnosis } from "./diagnosis.ts";
import { INVARIANTS } from "./invariants/mod.ts";
import { perform } from "./perform.ts";
import { comeToRest } from "./rest.ts";
import type { World } from "./world.ts";

export interface Failure {
  /** An invariant, "comes-to-rest", or "acts" when an act itself could not be performed. */
  invariant: string;
  details: string[];
  /** What the outbox, the health views and the last attempts say. */
  why: string[];
}

export interface Outcome {
  failure: Failure | null;
  counts: Counts;
  seconds: number;
}

/** Makes the world for a history. */
export type MakeWorld = (history: History) => Promise<World>;

export interface PlayOptions {
  /** Called after the acts, before the faults stop. */
  before?: (world: World) => Promise<void>;
  /** Called when the system has come to rest, before it is looked at. */
  atRest?: (world: World) => Promise<void>;
}

/** How many acts between two looks at what must always be so. */
const LOOK_EVERY = 10;

export async function play(
  history: History,
  makeWorld: MakeWorld,
  options: PlayOptions = {},
): Promise<Outcome> {
  const started = performance.now();
  await using world = await makeWorld(history);
  const found = await problem(world, history, options);
  const failure = found && { ...found, why: await diagnosis(world) };
  const counts = await countsOf(world, history);
  return {
    failure,
    counts,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
}

type Found = Omit<Failure, "why"> | null;

async function problem(
  world: World,
  { acts }: History,
  { before, atRest }: PlayOptions,
): Promise<Found> {
  for (const [at, act] of acts.entries()) {
    const failed = await attempt("acts", () => perform(world, act));
    if (failed) {
      return {
        ...failed,
        details: [`act ${at + 1}, ${JSON.stringify(act)}`, ...failed.details],
      };
    }
    if (at % LOOK_EVERY !== LOOK_EVERY - 1) continue;
    const broken = await check(world, "always");
    if (broken) return broken;
  }
  const failed = await attempt("acts", async () => await before?.(world));
  if (failed) return failed;
  const stuck = await attempt("comes-to-rest", async () => {
    world.rest = await comeToRest(world);
  });
  if (stuck) return stuck;
  await atRest?.(world);
  return await check(world, "always") ?? await check(world, "atRest");
}

async function attempt(
  invariant: string,
  work: () => Promise<void>,
): Promise<Found> {
  try {
    await work();
    return null;
  } catch (error) {
    return {
      invariant,
      details: [error instanceof Error ? error.message : String(error)],
    };
  }
}

/** The first invariant that does not hold. */
export async function check(
  world: World,
  when: "always" | "atRest",
): Promise<Found> {
  for (const invariant of INVARIANTS) {
    const details = await invariant[when]?.(world) ?? [];
    if (details.length > 0) return { invariant: invariant.name, details };
  }
  return null;
}
