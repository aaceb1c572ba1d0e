import type { TagColor } from "../inputs.ts";
import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";

/** The calendar's event tags. */
export function tagMethods({ call }: Transport) {
  return {
    /** The calendar's event tags; the route has no paging. */
    async listEventTags(options?: CallOptions): Promise<T.CalendarTag[]> {
      const list = await call(R.listEventTags, {
        schema: T.listOf(T.CalendarTag),
        ...options,
      });
      return list.entries;
    },

    /** Creates an event tag and answers its id. */
    createEventTag: (
      tag: { name: string; color?: TagColor },
      options?: CallOptions,
    ) => call(R.createEventTag, { body: tag, schema: T.Id, ...options }),

    /** Puts one tag, by id or name, on events. Events of other calendars are skipped and counted. */
    applyEventTag: (tag: string, eventIds: string[], options?: CallOptions) =>
      call(R.applyEventTag, {
        body: { tag, event_ids: eventIds },
        schema: T.TagApplied,
        ...options,
      }),

    /** Takes one tag, by id or name, off events. */
    unapplyEventTag: (tag: string, eventIds: string[], options?: CallOptions) =>
      call(R.unapplyEventTag, {
        body: { tag, event_ids: eventIds },
        schema: T.TagUnapplied,
        ...options,
      }),
  };
}
