/** A Luma event never becomes two rows, and our own event never comes back as a row of its own. */
import { mark } from "../world.ts";
import type { Invariant } from "./invariant.ts";

export const oneRowPerLumaEvent: Invariant = {
  name: "one-row-per-luma-event",

  always: async ({ stack }) => {
    const { sql, simulator } = stack;
    const rows =
      await sql`select id, luma_event_id, source_type from public.canonical_events where luma_event_id is not null`;
    const byEvent = Map.groupBy(rows, ({ luma_event_id }) => luma_event_id);
    const doubled = [...byEvent].filter(([, rows]) => rows.length > 1)
      .map(([event, rows]) =>
        `Luma's event ${event} has the rows ${
          rows.map(({ id }) => id).join(", ")
        }`
      );
    const ours =
      await sql`select id from public.canonical_events where source_type <> 'luma'`;
    const returned = rows.filter(({ source_type }) => source_type === "luma")
      .flatMap(({ id, luma_event_id }) => {
        const slug = simulator.event(luma_event_id)?.slug ?? "";
        const origin = ours.find((row) => slug.includes(mark(row.id)));
        return origin
          ? [
            `our own event ${luma_event_id} of row ${origin.id} came back as row ${id}`,
          ]
          : [];
      });
    return [...doubled, ...returned];
  },
};
