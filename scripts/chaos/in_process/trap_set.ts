/** The traps of a world in process, and every call that came to a kill point. */
import type { Trap } from "../acts.ts";
import { CALLERS } from "../kill_points.ts";
import type { TrapCounts } from "../world.ts";
import { type Arrival, isPoint } from "./network.ts";

/** What becomes of a call, by its number among all calls to kill points. */
export type Plan = (number: number, arrival: Arrival) => Trap[];

export class TrapSet implements TrapCounts {
  readonly set = new Map<string, number>();
  readonly sprung = new Map<string, number>();
  /** In order. */
  readonly calls: string[] = [];
  plan: Plan = () => [];
  #armed: Trap[] = [];
  #planned: Trap[] = [];

  arm(trap: Trap): void {
    count(this.set, trap);
    this.#armed.push(trap);
  }

  disarm(): void {
    this.#armed = [];
    this.plan = () => [];
  }

  /** What happens to a call now. */
  take(arrival: Arrival, when: Trap["when"]): Trap | undefined {
    const { point, process } = arrival;
    if (!isPoint(point)) return undefined;
    if (when === "before") {
      this.#planned = this.plan(this.calls.length, arrival);
      this.calls.push(`${process.name} ${point}`);
    }
    const planned = this.#planned.find((trap) => trap.when === when);
    const at = planned
      ? -1
      : this.#armed.findIndex((trap) =>
        trap.point === point && trap.when === when &&
        CALLERS[point]?.includes(process.name)
      );
    const trap = planned ?? (at < 0 ? undefined : this.#armed.splice(at, 1)[0]);
    if (trap) count(this.sprung, trap);
    return trap;
  }
}

function count(counts: Map<string, number>, { point, when, how }: Trap): void {
  const name = `${point} ${when} ${how}`;
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
