import { ApiError } from "./errors.ts";
import { type Context, eventOf, type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import {
  addTicketType,
  changeTicketType,
  removeTicketType,
} from "./ticket_types.ts";
import type { SimEvent, SimTicketType } from "./world.ts";

const PATH = "/v1/events/ticket-types";

export const ticketTypeRoutes: Route[] = [
  route(
    "GET",
    `${PATH}/list`,
    schemas.listTicketTypes,
    (context, { event_id, include_hidden }) => {
      const { ticketTypes } = eventOf(context, event_id);
      const all = include_hidden === "true";
      return { entries: ticketTypes.filter((t) => all || !t.is_hidden) };
    },
  ),
  route(
    "GET",
    `${PATH}/get`,
    schemas.ticketTypeById,
    (context, { event_ticket_type_id }) =>
      ticketTypeAt(context, event_ticket_type_id).ticketType,
  ),
  route(
    "POST",
    `${PATH}/create`,
    schemas.createTicketType,
    (context, input) => {
      const event = eventOf(context, input.event_id);
      return addTicketType(context.world, context.calendar, event, input);
    },
  ),
  route(
    "POST",
    `${PATH}/update`,
    schemas.updateTicketType,
    (context, input) => {
      const { ticketType } = ticketTypeAt(context, input.event_ticket_type_id);
      return changeTicketType(context.calendar, ticketType, input);
    },
  ),
  route(
    "POST",
    `${PATH}/delete`,
    schemas.ticketTypeById,
    (context, { event_ticket_type_id }) => {
      const found = ticketTypeAt(context, event_ticket_type_id);
      removeTicketType(found.event, found.ticketType);
      return {};
    },
  ),
];

function ticketTypeAt(
  context: Context,
  id: string,
): { event: SimEvent; ticketType: SimTicketType } {
  for (const { id: eventId, ticketTypes } of context.world.events.values()) {
    const ticketType = ticketTypes.find((t) => t.id === id);
    if (ticketType) return { event: eventOf(context, eventId), ticketType };
  }
  throw new ApiError(404, `event_ticket_type_id: no ticket type "${id}"`);
}
