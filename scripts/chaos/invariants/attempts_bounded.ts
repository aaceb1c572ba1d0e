/** Nothing is tried for ever, and nothing is given up: work is in proportion to what was changed and what broke. */
import type { Invariant } from "./invariant.ts";

/** Attempts at one entity for each thing that may have called for one. */
const PER_CAUSE = 3;
const AT_LEAST = 20;

export const attemptsBounded: Invariant = {
  name: "attempts-bounded",

  atRest: async (world) => {
    const { sql } = world.stack;
    const bound = AT_LEAST + PER_CAUSE * causes(world);
    const many = await sql`
      select entity, entity_id, count(*)::int as attempts from luma.attempts
      group by entity, entity_id having count(*) > ${bound}`;
    const dead =
      await sql`select entity, entity_id, error from luma.dead_letters`;
    return [
      ...many.map(({ entity, entity_id, attempts }) =>
        `${entity} ${entity_id} was tried ${attempts} times; ${bound} are enough for what happened`
      ),
      ...dead.map(({ entity, entity_id, error }) =>
        `${entity} ${entity_id} was given up: ${error}`
      ),
    ];
  },
};

/** Changes of any one entity, and faults that may have hit it, at the most. */
function causes(
  { faults, traps, ledger, crashes }: Parameters<
    NonNullable<Invariant["atRest"]>
  >[0],
): number {
  const sum = (counts: Map<string, number>) =>
    [...counts.values()].reduce((all, count) => all + count, 0);
  return sum(faults) + sum(traps.sprung) + crashes.count + ledger.mostWrites;
}
