import type { z } from "zod";
import { CURRENCIES } from "./currencies.ts";
import { ApiError } from "./errors.ts";
import type { createTicketType, updateTicketType } from "./schemas.ts";
import type { SimCalendar, SimEvent, SimTicketType, World } from "./world.ts";

type Create = z.output<typeof createTicketType>;
type Update = z.output<typeof updateTicketType>;

/** The free type that every event starts with. */
export function defaultTicketType(world: World): SimTicketType {
  return {
    id: world.id("ttype"),
    name: "Standard",
    type: "free",
    cents: null,
    currency: null,
    require_approval: false,
    is_hidden: false,
    description: null,
    valid_start_at: null,
    valid_end_at: null,
    max_capacity: null,
    is_flexible: false,
    min_cents: null,
  };
}

export function addTicketType(
  world: World,
  calendar: SimCalendar,
  event: SimEvent,
  input: Create,
): SimTicketType {
  const { event_id: _event, ...fields } = input;
  const ticketType = merged(defaultTicketType(world), fields);
  checkPrice(calendar, ticketType);
  event.ticketTypes.push(ticketType);
  return ticketType;
}

export function changeTicketType(
  calendar: SimCalendar,
  ticketType: SimTicketType,
  input: Update,
): SimTicketType {
  const { event_ticket_type_id: _id, ...fields } = input;
  const next = merged({ ...ticketType }, fields);
  checkPrice(calendar, next);
  return Object.assign(ticketType, next);
}

/** @throws ApiError 400 as the document says: tickets sold, or the last visible type. */
export function removeTicketType(
  event: SimEvent,
  ticketType: SimTicketType,
): void {
  const sold = event.guests.some((guest) =>
    guest.event_tickets.some((t) => t.event_ticket_type_id === ticketType.id)
  );
  if (sold) {
    throw new ApiError(
      400,
      `event_ticket_type_id: tickets of ${ticketType.id} have been sold, so it cannot be deleted`,
    );
  }
  const others = event.ticketTypes.filter((t) => t !== ticketType);
  if (!others.some((t) => !t.is_hidden)) {
    throw new ApiError(
      400,
      `event_ticket_type_id: ${ticketType.id} is the last visible ticket type and cannot be deleted`,
    );
  }
  event.ticketTypes = others;
}

function merged(
  ticketType: SimTicketType,
  fields: Partial<Omit<Create, "event_id">>,
): SimTicketType {
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined) Object.assign(ticketType, { [field]: value });
  }
  return ticketType;
}

function checkPrice(calendar: SimCalendar, ticketType: SimTicketType): void {
  const { type, cents, min_cents, currency, is_flexible } = ticketType;
  if (type === "free") {
    if (!cents) return;
    throw new ApiError(400, `cents: a free ticket type has no price`);
  }
  if (!calendar.stripeConnected) {
    throw new ApiError(
      400,
      `Stripe is not connected: calendar ${calendar.id} cannot sell paid tickets`,
    );
  }
  const price = is_flexible ? min_cents ?? 0 : cents;
  if (
    price === null || !Number.isInteger(price) || price < 0 ||
    (price === 0 && !is_flexible)
  ) {
    throw new ApiError(
      400,
      `cents: ${price} is not a price in whole cents above 0`,
    );
  }
  if (currency === null || !CURRENCIES.has(currency)) {
    throw new ApiError(
      400,
      `currency: "${currency}" is not a currency such as "inr" or "usd" (lower case)`,
    );
  }
}
