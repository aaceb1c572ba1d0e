import { ApiError } from "./errors.ts";
import type { SimCalendar, SimEvent, SimTag, World } from "./world.ts";

/** The tag of this id, or else of this name. @throws ApiError 404 */
export function findTag(calendar: SimCalendar, tag: string): SimTag {
  const found = calendar.tags.find((t) => t.id === tag) ??
    calendar.tags.find((t) => t.name.toLowerCase() === tag.toLowerCase());
  if (found) return found;
  throw new ApiError(404, `calendar ${calendar.id} has no event tag "${tag}"`);
}

/** @throws ApiError 400 when the calendar has a tag of this name (`except` aside). */
export function checkTagName(
  calendar: SimCalendar,
  name: string,
  except?: SimTag,
): void {
  const taken = calendar.tags.some((t) =>
    t !== except && t.name.toLowerCase() === name.toLowerCase()
  );
  if (taken) {
    throw new ApiError(
      400,
      `name: calendar ${calendar.id} already has an event tag "${name}"`,
    );
  }
}

export function deleteTag(
  world: World,
  calendar: SimCalendar,
  tag: SimTag,
): void {
  calendar.tags = calendar.tags.filter((t) => t !== tag);
  for (const event of world.events.values()) {
    event.tags = event.tags.filter((t) => t !== tag);
  }
}

/** Does `change` to each of these events that is on the calendar; the others are counted as skipped. */
export function onEvents(
  world: World,
  calendar: SimCalendar,
  eventIds: string[],
  change: (event: SimEvent) => void,
): { done: number; skipped: number } {
  const events = eventIds
    .map((id) => world.events.get(id))
    .filter((event) => event?.calendar_id === calendar.id);
  for (const event of events) if (event) change(event);
  return { done: events.length, skipped: eventIds.length - events.length };
}
