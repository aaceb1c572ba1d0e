/**
 * What nobody can know (docs/architecture.md): an edit of the very field that the other side is just editing may be
 * overwritten before anybody has heard of it, and if its webhook is lost, luma.conflicts does not have it. So nobody makes
 * one, unless the history is a contended one; no loss is ever overlooked.
 */
import { guestStatus, lumaStatus, lumaValue, rowValue } from "./values.ts";
import type { KnownEvent, World } from "./world.ts";
import { type Field, FIELDS } from "./acts.ts";
import type { Side } from "./ledger.ts";

/** Whether this side may write a field of an event, or a person's place on its list, now. */
export async function mayWrite(
  world: World,
  side: Side,
  event: KnownEvent,
  key: string,
): Promise<boolean> {
  const other = world.ledger.lastWord(side === "app" ? "luma" : "app", key);
  if (world.config.contended || other === undefined) return true;
  if (await hasArrived(world, side, event, key, other)) return true;
  world.withheld++;
  return false;
}

async function hasArrived(
  world: World,
  side: Side,
  event: KnownEvent,
  key: string,
  other: unknown,
): Promise<boolean> {
  const { sql, simulator } = world.stack;
  if (event.id === undefined || event.lumaId === undefined) return false;
  const luma = simulator.event(event.lumaId);
  const what = key.split(" ")[1]!;
  const [row] = await sql`
    select e.*, (
      select r.status from public.event_rsvps r where r.event_id = e.id and r.user_id = ${what}
    ) as rsvp, exists (
      select from luma.sync_outbox o where o.event_id = e.id and (o.version > o.done_version or o.lease is not null)
      union all
      select from luma.sync_outbox o where o.entity_id = e.id and (o.version > o.done_version or o.lease is not null)
    ) as busy
    from public.canonical_events e where e.id = ${event.id}`;
  if (!row || !luma) return false;
  const { here, there } = isField(what)
    ? { here: rowValue(row, what), there: lumaValue(luma, what) }
    : { here: guestStatus(row.rsvp), there: lumaStatus(luma, what) };
  if (here !== there || here !== other) return false;
  return side === "app" || !row.busy;
}

export function isField(what: string): what is Field {
  return (FIELDS as readonly string[]).includes(what);
}
