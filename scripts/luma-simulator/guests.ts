import type { z } from "zod";
import { ApiError } from "./errors.ts";
import type { addGuests as addSchema } from "./schemas.ts";
import { guestData, ticketView } from "./views.ts";
import type {
  GuestStatus,
  SimEvent,
  SimGuest,
  SimTicket,
  SimTicketType,
  SimUser,
  World,
} from "./world.ts";

type AddGuests = z.output<typeof addSchema>;

/** The statuses that take a seat. */
const GOING: ReadonlySet<GuestStatus> = new Set(["approved", "session"]);

/**
 * The guest of this name: guest id, guest key, ticket or e-mail address (any letter case).
 * @throws ApiError 404
 */
export function findGuest(event: SimEvent, id: string): SimGuest {
  const guest = guestByEmail(event, id) ??
    event.guests.find((g) =>
      g.id === id || g.key === id || g.event_tickets.some((t) => t.id === id)
    );
  if (!guest) throw new ApiError(404, `guest "${id}" is not on ${event.id}`);
  return guest;
}

function guestByEmail(event: SimEvent, email: string): SimGuest | undefined {
  const wanted = email.trim().toLowerCase();
  return event.guests.find((g) => g.user_email === wanted);
}

/** guests/add: hosts may go past capacity and payment; a guest who is there takes the new status. */
export function addGuests(
  world: World,
  event: SimEvent,
  input: AddGuests,
): void {
  if (input.ticket && input.tickets) {
    throw new ApiError(400, `ticket: cannot be used together with "tickets"`);
  }
  const refs = input.tickets ?? (input.ticket ? [input.ticket] : []);
  const types = refs.map((ref) =>
    ticketTypeOf(event, ref.event_ticket_type_id)
  );
  const status = input.approval_status ?? "approved";
  for (const { email, name } of input.guests) {
    const user = world.user(email, name);
    join(world, event, user, status, types);
    if (input.send_email ?? true) {
      world.mail({
        to: user.email,
        event_id: event.id,
        about: "guest-added",
      });
    }
  }
}

/** Puts a person on the guest list, or an earlier guest back on it, and tells the webhooks. */
export function join(
  world: World,
  event: SimEvent,
  user: SimUser,
  status: GuestStatus,
  ticketTypes: SimTicketType[] = [],
): SimGuest {
  const known = guestByEmail(event, user.email);
  if (known?.registered_at) {
    const returns = known.approval_status === "declined";
    setStatus(world, event, known, status, returns);
    return known;
  }
  const guest = known ?? newGuest(world, event, user);
  guest.approval_status = status;
  if (status === "invited") {
    guest.invited_at ??= world.time();
    return guest;
  }
  guest.registered_at = world.time();
  const types = ticketTypes.length > 0 ? ticketTypes : [defaultOf(event)];
  guest.event_tickets = types.map((type) => newTicket(world, type));
  tellRegistered(world, event, guest);
  return guest;
}

function newGuest(world: World, event: SimEvent, user: SimUser): SimGuest {
  const guest: SimGuest = {
    id: world.id("gst"),
    key: world.id("g"),
    user_id: user.id,
    user_email: user.email,
    user_name: user.name,
    phone_number: user.phone_number,
    approval_status: "invited",
    created_at: world.time(),
    registered_at: null,
    invited_at: null,
    event_tickets: [],
  };
  event.guests.push(guest);
  return guest;
}

function newTicket(world: World, type: SimTicketType): SimTicket {
  return {
    id: world.id("tkt"),
    name: type.name,
    event_ticket_type_id: type.id,
    amount: type.cents ?? 0,
    currency: type.currency,
    checked_in_at: null,
  };
}

/**
 * Changes one guest's status. `registered`: somebody who had declined came back, which fires
 * guest.registered again (Luma OpenAPI, webhooks). An unchanged status fires nothing.
 */
export function setStatus(
  world: World,
  event: SimEvent,
  guest: SimGuest,
  status: GuestStatus,
  registered = false,
): void {
  if (guest.approval_status === status) return;
  guest.approval_status = status;
  guest.registered_at ??= world.time();
  if (registered) {
    const data = guestData(world, event, guest);
    world.emit("guest.registered", event.calendar_id, data);
  }
  tellUpdated(world, event, guest);
}

export function tellUpdated(
  world: World,
  event: SimEvent,
  guest: SimGuest,
): void {
  const data = guestData(world, event, guest);
  world.emit("guest.updated", event.calendar_id, data);
}

/** A registration fires guest.registered, guest.updated, and ticket.registered for each ticket. */
function tellRegistered(world: World, event: SimEvent, guest: SimGuest): void {
  const data = guestData(world, event, guest);
  world.emit("guest.registered", event.calendar_id, data);
  world.emit("guest.updated", event.calendar_id, data);
  for (const ticket of guest.event_tickets) {
    const event_ticket = ticketView(ticket);
    world.emit("ticket.registered", event.calendar_id, {
      ...data,
      event_ticket,
    });
  }
}

/** How many guests take a seat. */
export function goingCount(event: SimEvent): number {
  return event.guests.filter((g) => GOING.has(g.approval_status)).length;
}

/** @throws ApiError 404 when the event has no such ticket type. */
export function ticketTypeOf(event: SimEvent, id: string): SimTicketType {
  const type = event.ticketTypes.find((t) => t.id === id);
  if (type) return type;
  throw new ApiError(
    404,
    `event_ticket_type_id: ${event.id} has no ticket type "${id}"`,
  );
}

function defaultOf(event: SimEvent): SimTicketType {
  const type = event.ticketTypes.find((t) => !t.is_hidden) ??
    event.ticketTypes[0];
  if (!type) throw new Error(`event ${event.id} has no ticket type`);
  return type;
}
