/** No transaction of the app's fails or is held up, and no trigger of ours misses a change. */
import type { Invariant } from "./invariant.ts";

export const appUndisturbed: Invariant = {
  name: "app-undisturbed",

  always: async ({ appTrouble, stack }) => {
    const missed = await stack
      .sql`select entity, entity_id, error from luma.missed_changes`;
    return [
      ...appTrouble,
      ...missed.map(({ entity, entity_id, error }) =>
        `a trigger missed a change of ${entity} ${entity_id}: ${error}`
      ),
    ];
  },
};
