import type { TicketTypeChanges, TicketTypeInput } from "../inputs.ts";
import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";

/** The ticket types of an event. */
export function ticketTypeMethods({ call }: Transport) {
  return {
    /** The event's ticket types, hidden ones only if asked; the route has no paging. */
    async listTicketTypes(
      eventId: string,
      { includeHidden, ...options }: CallOptions & { includeHidden?: boolean } =
        {},
    ): Promise<T.TicketType[]> {
      const list = await call(R.listTicketTypes, {
        query: {
          event_id: eventId,
          include_hidden: includeHidden ? "true" : undefined,
        },
        schema: T.listOf(T.TicketType),
        ...options,
      });
      return list.entries;
    },

    createTicketType: (input: TicketTypeInput, options?: CallOptions) =>
      call(R.createTicketType, {
        body: input,
        schema: T.TicketType,
        ...options,
      }),

    updateTicketType: (changes: TicketTypeChanges, options?: CallOptions) =>
      call(R.updateTicketType, {
        body: changes,
        schema: T.TicketType,
        ...options,
      }),

    /** Luma refuses to delete a type with sold tickets, and the last visible one. */
    async deleteTicketType(id: string, options?: CallOptions): Promise<void> {
      await call(R.deleteTicketType, {
        body: { event_ticket_type_id: id },
        schema: T.Empty,
        ...options,
      });
    },
  };
}
