/** Reads an event from Luma again, because webhooks have left unclear what it holds. */
import type { LumaClient } from "../luma/client.ts";
import { hasStatus } from "../luma/errors.ts";
import type { LumaEvent } from "../luma/types.ts";
import { type EventNews, fromLumaEvent, goneEvent } from "./from_luma.ts";
import type { EventJob } from "./job.ts";

/** Pages of events that begin in one second. More is no calendar's day. */
const MAX_PAGES = 4;

/** What Luma holds of a linked event; an event that is not there any more is `gone`. Throws LumaError. */
export async function readEvent(
  job: EventJob & { luma_event_id: string },
  client: Pick<LumaClient, "getEvent" | "listEvents">,
): Promise<EventNews> {
  const id = job.luma_event_id;
  let event: LumaEvent;
  try {
    event = await client.getEvent(id);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
    return goneEvent(id);
  }
  const news = fromLumaEvent(event);
  const tags = job.look_tags ? await readTags(event, client) : undefined;
  return tags ? { ...news, tags } : news;
}

/** Only lists tell tags (Luma OpenAPI, /v1/calendars/events/list). Undefined when the event is not listed. */
async function readTags(
  { id, start_at }: LumaEvent,
  client: Pick<LumaClient, "listEvents">,
): Promise<string[] | undefined> {
  const start = Date.parse(start_at);
  const around = {
    after: new Date(start - 1000).toISOString(),
    before: new Date(start + 1000).toISOString(),
  };
  let cursor: string | undefined;
  for (let read = 0; read < MAX_PAGES; read++) {
    const page = await client.listEvents({ ...around, cursor });
    const listed = page.entries.find((entry) => entry.id === id);
    if (listed) return fromLumaEvent(listed).tags;
    if (!page.next_cursor) return undefined;
    cursor = page.next_cursor;
  }
  return undefined;
}
