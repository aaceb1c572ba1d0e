import { z } from "zod";
import type { AddGuestsInput, GuestStatusInput } from "../inputs.ts";
import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";
import { type PageQuery, paging } from "../paging.ts";

/** Which guests to list, and in which order. */
export interface GuestQuery extends PageQuery {
  status?: T.GuestStatus;
  sortBy?: "name" | "email" | "created_at" | "registered_at" | "checked_in_at";
  direction?: "asc" | "desc" | "asc nulls last" | "desc nulls last";
}

function guestQuery(eventId: string, query: GuestQuery) {
  return {
    event_id: eventId,
    approval_status: query.status,
    sort_column: query.sortBy,
    sort_direction: query.direction,
    ...paging(query),
  };
}

/** Reading and writing guests. */
export function guestMethods({ call }: Transport) {
  return {
    /** A page of an event's guests. */
    listGuests: (
      eventId: string,
      query: GuestQuery = {},
      options?: CallOptions,
    ) =>
      call(R.listGuests, {
        query: guestQuery(eventId, query),
        schema: T.pageOf(T.LumaGuest),
        ...options,
      }),

    /** The same page, its entries as they came. */
    listGuestEntries: (
      eventId: string,
      query: GuestQuery = {},
      options?: CallOptions,
    ) =>
      call(R.listGuests, {
        query: guestQuery(eventId, query),
        schema: T.pageOf(z.unknown()),
        ...options,
      }),

    /** One guest, by id (`gst-…`) or e-mail. */
    getGuest: (eventId: string, guestId: string, options?: CallOptions) =>
      call(R.getGuest, {
        query: { event_id: eventId, id: guestId },
        schema: T.LumaGuest,
        ...options,
      }),

    /** Adds guests. No ids come back: list or get the guests to learn them. */
    async addGuests(
      input: AddGuestsInput,
      options?: CallOptions,
    ): Promise<void> {
      await call(R.addGuests, { body: input, schema: T.Empty, ...options });
    },

    /** Sets one guest's status. */
    async updateGuestStatus(
      input: GuestStatusInput,
      options?: CallOptions,
    ): Promise<void> {
      await call(R.updateGuestStatus, {
        body: input,
        schema: T.Empty,
        ...options,
      });
    },
  };
}
