/**
 * At rest both sides are equal, and every field of every event and everybody's place on its list is the last word of a
 * side. If both had one, the other's is in luma.conflicts.
 */
import { FIELDS } from "../acts.ts";
import { isField } from "../may_write.ts";
import { appSays, lumaSays, type Said } from "../sides.ts";
import { emailOf } from "../values.ts";
import { LUMA_FIELD, type World } from "../world.ts";
import type { Invariant } from "./invariant.ts";

export const noChangeLost: Invariant = {
  name: "no-change-lost",

  atRest: async (world) => {
    const app = await appSays(world);
    const luma = lumaSays(world);
    const differences = [...app].flatMap(([id, here]) => {
      const there = luma.get(id);
      return there ? differencesOf(world, id, here, there) : [];
    });
    if (differences.length > 0) return differences;
    const conflicts = await conflictsOf(world);
    return [...world.ledger.written].flatMap(([key, written]) => {
      const [number, what] = key.split(" ") as [string, string];
      const event = world.events.get(Number(number));
      const said = luma.get(event?.lumaId ?? "");
      if (!event?.id || !said) return [];
      const held = said[isField(what) ? what : emailOf(what)] ?? "declined";
      const lost = [written.app, written.luma].filter((value) =>
        value !== undefined && value !== held
      );
      // A word that nobody has spoken last would be an invention.
      const isLast = [written.app, written.luma, ...written.perhaps ?? []]
        .includes(held);
      if (
        isLast &&
        (lost.length === 0 || conflicts.has(conflictKey(event.id, what)))
      ) return [];
      return [
        `${key} (row ${event.id}): "${
          lost.join('", "')
        }" was overwritten by "${held}", and ${
          isLast
            ? "luma.conflicts does not have it"
            : "that was nobody's last word"
        }. ${world.ledger.story(key)}`,
      ];
    });
  },
};

function differencesOf(
  world: World,
  id: string,
  here: Said,
  there: Said,
): string[] {
  const names = new Set([...Object.keys(here), ...Object.keys(there)]);
  return [...names].filter((name) => here[name] !== there[name]).map((name) => {
    const [number] = [...world.events].find(([, { lumaId }]) =>
      lumaId === id
    ) ?? [];
    const key = `${number} ${name.split("@")[0]}`;
    return `${id} ${name}: the app says ${here[name]}, Luma ${there[name]}. ${
      world.ledger.story(key)
    }`;
  });
}

function conflictKey(eventId: string, what: string): string {
  return `${eventId} ${what}`;
}

async function conflictsOf({ stack }: World): Promise<Set<string>> {
  const rows = await stack.sql`
    select distinct c.event_id, c.field, coalesce(r.user_id, split_part(g.email, '@', 1)) as user_id from luma.conflicts c
    left join public.event_rsvps r on r.id = c.entity_id
    left join luma.guests g on g.id = c.entity_id`;
  return new Set(rows.map(({ event_id, field, user_id }) => {
    const column = FIELDS.find((name) => LUMA_FIELD[name] === field) ?? field;
    return conflictKey(event_id, user_id ?? column);
  }));
}
