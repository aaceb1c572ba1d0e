/** Entries of Luma's lists, one by one: what cannot be read of one says nothing of the others. Pure. */
import { z } from "zod";
import { LumaEvent, LumaGuest } from "../luma/types.ts";
import {
  type EventNews,
  fromLumaEvent,
  fromLumaGuest,
  type GuestNews,
  problemsIn,
} from "./from_luma.ts";

/** An event or guest of a list, by its id on Luma; null when not even that can be read. */
export type Listed =
  & { id: string | null }
  & ({ news: EventNews | GuestNews } | { error: string });

/** An entry of `calendars/events/list`. */
export function listedEvent(entry: unknown): Listed {
  return listed(LumaEvent, entry, "event", fromLumaEvent);
}

/** An entry of the guest list of an event. */
export function listedGuest(lumaEventId: string, entry: unknown): Listed {
  return listed(
    LumaGuest,
    entry,
    "guest",
    (guest) => fromLumaGuest(lumaEventId, guest),
  );
}

const WithId = z.looseObject({ id: z.string().min(1) });

function listed<T>(
  schema: z.ZodType<T>,
  entry: unknown,
  name: string,
  newsOf: (value: T) => EventNews | GuestNews,
): Listed {
  const id = WithId.safeParse(entry).data?.id ?? null;
  const { success, data, error } = schema.safeParse(entry);
  return success
    ? { id, news: newsOf(data) }
    : { id, error: problemsIn(error, name) };
}
