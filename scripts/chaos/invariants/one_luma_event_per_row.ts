/** A row never becomes two Luma events, and at rest each has just its one. */
import { mark } from "../world.ts";
import type { Invariant } from "./invariant.ts";

export const oneLumaEventPerRow: Invariant = {
  name: "one-luma-event-per-row",

  always: ({ events, stack }) =>
    Promise.resolve([...events.values()].flatMap(({ id }) => {
      if (id === undefined) return [];
      const made = stack.simulator.events().filter(({ slug }) =>
        slug.includes(mark(id))
      );
      return made.length > 1
        ? [
          `row ${id} has ${made.length} Luma events: ${
            made.map(({ id }) => id).join(", ")
          }`,
        ]
        : [];
    })),

  atRest: async ({ events, stack }) => {
    const { sql, simulator } = stack;
    const rows = await sql`
      select id, luma_event_id from public.canonical_events where submission_status = 'approved'`;
    const unsent = rows.filter(({ luma_event_id }) =>
      !simulator.event(luma_event_id ?? "")
    )
      .map(({ id, luma_event_id }) =>
        `row ${id} is not on Luma (luma_event_id ${luma_event_id})`
      );
    const linked = new Set(rows.map(({ luma_event_id }) => luma_event_id));
    // What the app has deleted stays on Luma, hidden.
    const over = [...events.values()].filter(({ isOver }) => isOver);
    const isHidden = (
      { slug, visibility }: { slug: string; visibility: string },
    ) =>
      visibility === "private" &&
      over.some(({ id }) => id !== undefined && slug.includes(mark(id)));
    const unknown = simulator.events().filter((event) =>
      !linked.has(event.id) && !isHidden(event)
    )
      .map(({ id, slug, visibility }) =>
        `Luma's event ${id} (${slug}, ${visibility}) has no row that is shown`
      );
    return [...unsent, ...unknown];
  },
};
