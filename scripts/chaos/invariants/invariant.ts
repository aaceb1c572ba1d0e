import type { World } from "../world.ts";

/** What must be so whatever happens. A check answers what is wrong, in words; nothing when all is well. */
export interface Invariant {
  readonly name: string;
  /** Checked all along, also while everything breaks. */
  always?(world: World): Promise<string[]>;
  /** Checked when the faults have stopped and the system has come to rest. */
  atRest?(world: World): Promise<string[]>;
}
