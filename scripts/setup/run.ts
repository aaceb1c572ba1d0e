/** Plans and takes the steps. */
import { table } from "../admin/text.ts";
import { Problem } from "../webhooks/problem.ts";
import type { Scene, Step } from "./scene.ts";

/** What is to be done: of each step that differs, its lines. */
export type Plan = Map<Step, string[]>;

/** Looks at every step. */
export async function makePlan(
  scene: Scene,
  steps: readonly Step[],
): Promise<Plan> {
  const plan: Plan = new Map();
  for (const step of steps) {
    const lines = await named(step, () => step.look(scene));
    if (lines.length > 0) plan.set(step, lines);
  }
  return plan;
}

/** The plan as text. */
export function planText(plan: Plan): string {
  const rows = [...plan].flatMap(([{ name }, lines]) =>
    lines.map((line, index) => [index === 0 ? name : "", line])
  );
  return table(["step", "what will be done"], rows, 200);
}

/** Takes the steps of the plan, and nothing else. */
export async function takeSteps(
  scene: Scene,
  steps: readonly Step[],
  plan: Plan,
): Promise<void> {
  const done: string[] = [];
  for (const step of steps) {
    try {
      const isTaken = await named(step, () => take(scene, step, plan));
      if (!isTaken) continue;
      done.push(step.name);
      scene.world.out(`✓ ${step.name}`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const before = done.length > 0 ? done.join(", ") : "nothing";
      throw new Problem(
        `${error.message}\n\nStopped there. Done before: ${before}. What is done stays; run deno task setup again, and it goes on from here.`,
      );
    }
  }
}

async function take(scene: Scene, step: Step, plan: Plan): Promise<boolean> {
  const lines = await step.look(scene);
  if (lines.length === 0) return false;
  const planned = plan.get(step) ?? [];
  const other = lines.filter((line) => !planned.includes(line));
  if (other.length > 0) {
    throw new Problem(
      `This was not in the plan: ${
        other.join("; ")
      }. Something has changed meanwhile.`,
    );
  }
  await step.apply(scene);
  const left = await step.look(scene);
  if (left.length > 0) {
    throw new Problem(`Afterwards there is still to do: ${left.join("; ")}.`);
  }
  return true;
}

/** Says in which step a Problem, or an error of the database, was met. */
async function named<T>(step: Step, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isKnown = error instanceof Problem || "code" in error;
    if (!isKnown) throw error;
    const { hint } = error as { hint?: string };
    throw new Problem(
      `${step.name}: ${error.message}${hint ? `\n${hint}` : ""}`,
    );
  }
}
