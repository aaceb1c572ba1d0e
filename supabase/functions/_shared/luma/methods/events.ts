import { z } from "zod";
import type { CancelInput, EventChanges, EventInput } from "../inputs.ts";
import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";
import { type PageQuery, paging } from "../paging.ts";

/** Which events to list; `after` and `before` are ISO 8601 times that bound the start. */
export interface EventQuery extends PageQuery {
  after?: string;
  before?: string;
  direction?: "asc" | "desc";
}

function eventQuery(query: EventQuery) {
  return {
    after: query.after,
    before: query.before,
    sort_column: "start_at",
    sort_direction: query.direction ?? "asc",
    ...paging(query),
  };
}

/** Reading and writing events. */
export function eventMethods({ call }: Transport) {
  return {
    /** A page of the events that this calendar manages, by start. Entries have tags and no descriptions. */
    listEvents: (query: EventQuery = {}, options?: CallOptions) =>
      call(R.listEvents, {
        query: eventQuery(query),
        schema: T.pageOf(T.LumaEvent),
        ...options,
      }),

    /** The same page, its entries as they came: one that cannot be read does not make the others unreadable. */
    listEventEntries: (query: EventQuery = {}, options?: CallOptions) =>
      call(R.listEvents, {
        query: eventQuery(query),
        schema: T.pageOf(z.unknown()),
        ...options,
      }),

    /** One event whole, with hosts and without tags. */
    getEvent: (id: string, options?: CallOptions) =>
      call(R.getEvent, {
        query: { event_id: id },
        schema: T.LumaEvent,
        ...options,
      }),

    /** Creates an event and answers its id, all that Luma tells. A slug that is taken is refused. */
    createEvent: (input: EventInput, options?: CallOptions) =>
      call(R.createEvent, { body: input, schema: T.Id, ...options }),

    /** Changes the given fields. Guests are told of a new name, time or place unless `suppressNotifications`. */
    async updateEvent(
      id: string,
      changes: EventChanges,
      { suppressNotifications, ...options }: CallOptions & {
        suppressNotifications?: boolean;
      } = {},
    ): Promise<void> {
      const body = {
        ...changes,
        event_id: id,
        suppress_notifications: suppressNotifications,
      };
      await call(R.updateEvent, { body, schema: T.Empty, ...options });
    },

    /** The token that cancelEvent wants, good for 15 minutes. Changes nothing by itself. */
    requestCancel: (eventId: string, options?: CallOptions) =>
      call(R.requestCancel, {
        body: { event_id: eventId },
        schema: T.CancelRequest,
        ...options,
      }),

    /** Deletes the event for good, mails its guests and refunds them if asked. */
    async cancelEvent(
      input: CancelInput,
      options?: CallOptions,
    ): Promise<void> {
      await call(R.cancelEvent, { body: input, schema: T.Empty, ...options });
    },
  };
}
