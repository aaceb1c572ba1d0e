import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";

/** Who the key is, and who owns a slug. */
export function calendarMethods({ call }: Transport) {
  return {
    /** The user behind the key: the cheapest way to see whether the key works. */
    getSelf: (options?: CallOptions) =>
      call(R.getSelf, { schema: T.Self, ...options }),

    /** The calendar behind the key. */
    getCalendar: (options?: CallOptions) =>
      call(R.getCalendar, { schema: T.Calendar, ...options }),

    /** The event or null that owns a slug. A calendar's slug is null too, though no event can be created under it. */
    async lookupSlug(slug: string, options?: CallOptions) {
      const { entity } = await call(R.lookupSlug, {
        query: { slug },
        schema: T.EntityLookup,
        ...options,
      });
      return entity?.type === "event" ? entity.event.id : null;
    },
  };
}
