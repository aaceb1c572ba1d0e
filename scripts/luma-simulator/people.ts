import { ApiError } from "./errors.ts";
import {
  cancelEvent,
  createEvent,
  type EventInput,
  type EventPatch,
  updateEvent,
} from "./events.ts";
import {
  findGuest,
  goingCount,
  join,
  setStatus,
  tellUpdated,
  ticketTypeOf,
} from "./guests.ts";
import { externalEventAddedData } from "./views.ts";
import type {
  GuestStatus,
  SimCalendar,
  SimEvent,
  SimExternalEvent,
  SimGuest,
  World,
} from "./world.ts";

export type { EventInput, EventPatch };

export interface ExternalEventInput {
  name: string;
  url: string;
  start_at: string;
  end_at: string;
  timezone: string;
  host?: string | null | undefined;
}

export interface Registration {
  name: string;
  email: string;
  /** International form, as Luma keeps it: `+91…`. */
  phone_number?: string | null | undefined;
  ticket_type_id?: string | undefined;
}

export interface GuestEdit {
  name?: string | undefined;
  email?: string | undefined;
  phone_number?: string | null | undefined;
}

/**
 * What a host does on Luma's own pages: no key, no rate limit, webhooks as for any other change.
 * All throw ApiError: 404 for an unknown calendar, event or guest, 400 for what Luma would refuse.
 */
export class Host {
  constructor(private readonly world: () => World) {}

  createEvent(calendarId: string, input: EventInput): SimEvent {
    return createEvent(this.world(), this.#calendar(calendarId), input);
  }

  updateEvent(eventId: string, patch: EventPatch): SimEvent {
    const event = eventById(this.world(), eventId);
    updateEvent(this.world(), event, patch);
    return event;
  }

  makePrivate(eventId: string): SimEvent {
    return this.updateEvent(eventId, { visibility: "private" });
  }

  cancelEvent(eventId: string): void {
    cancelEvent(this.world(), eventById(this.world(), eventId));
  }

  /** `guest`: guest id, guest key, ticket id or e-mail address. */
  setGuestStatus(
    eventId: string,
    guest: string,
    status: GuestStatus,
  ): SimGuest {
    const event = eventById(this.world(), eventId);
    const found = findGuest(event, guest);
    setStatus(this.world(), event, found, status);
    return found;
  }

  invite(eventId: string, email: string, name?: string): SimGuest {
    const event = eventById(this.world(), eventId);
    return join(this.world(), event, this.world().user(email, name), "invited");
  }

  /** Checks in all tickets of the guest. */
  checkIn(eventId: string, guest: string): SimGuest {
    const event = eventById(this.world(), eventId);
    const found = findGuest(event, guest);
    for (const ticket of found.event_tickets) {
      ticket.checked_in_at ??= this.world().time();
    }
    tellUpdated(this.world(), event, found);
    return found;
  }

  /** Puts an event of another platform on the calendar's page. */
  addExternalEvent(
    calendarId: string,
    input: ExternalEventInput,
  ): SimExternalEvent {
    const world = this.world();
    const event = {
      id: world.id("evt"),
      calendar_id: this.#calendar(calendarId).id,
      created_at: world.time(),
      ...input,
      start_at: new Date(input.start_at).toISOString(),
      end_at: new Date(input.end_at).toISOString(),
      host: input.host ?? null,
    };
    world.externalEvents.push(event);
    const data = externalEventAddedData(event);
    world.emit("calendar.event.added", calendarId, data);
    return event;
  }

  /** Without Stripe the calendar refuses paid ticket types. */
  setStripeConnected(calendarId: string, connected: boolean): void {
    this.#calendar(calendarId).stripeConnected = connected;
  }

  #calendar(id: string): SimCalendar {
    const calendar = this.world().calendars.find((c) => c.id === id);
    if (!calendar) throw new ApiError(404, `no calendar "${id}"`);
    return calendar;
  }
}

/** What a guest does on Luma's own pages. Throws as Host does. */
export class Guest {
  constructor(private readonly world: () => World) {}

  /**
   * Registers for the event: approved, pending where the ticket type wants approval, on the
   * waitlist when the event is full and has one.
   */
  register(eventId: string, input: Registration): SimGuest {
    const world = this.world();
    const event = eventById(world, eventId);
    const type = input.ticket_type_id === undefined
      ? event.ticketTypes.find((t) => !t.is_hidden)
      : ticketTypeOf(event, input.ticket_type_id);
    const user = world.user(input.email, input.name);
    user.phone_number = input.phone_number ?? user.phone_number;
    const status = registrationStatus(event, type?.require_approval ?? false);
    return join(world, event, user, status, type ? [type] : []);
  }

  /** Changes what the guest's registration says; guest.updated follows. */
  update(eventId: string, guest: string, edit: GuestEdit): SimGuest {
    const world = this.world();
    const event = eventById(world, eventId);
    const found = findGuest(event, guest);
    if (edit.name !== undefined) found.user_name = edit.name;
    if (edit.email !== undefined) found.user_email = edit.email.toLowerCase();
    if (edit.phone_number !== undefined) found.phone_number = edit.phone_number;
    tellUpdated(world, event, found);
    return found;
  }

  /** The guest declines. */
  cancel(eventId: string, guest: string): SimGuest {
    const event = eventById(this.world(), eventId);
    const found = findGuest(event, guest);
    setStatus(this.world(), event, found, "declined");
    return found;
  }
}

function eventById(world: World, id: string): SimEvent {
  const event = world.events.get(id);
  if (!event) throw new ApiError(404, `no event "${id}"`);
  return event;
}

function registrationStatus(
  event: SimEvent,
  requireApproval: boolean,
): GuestStatus {
  const full = event.max_capacity !== null &&
    goingCount(event) >= event.max_capacity;
  if (full && event.waitlist_status === "enabled") return "waitlist";
  if (full) throw new ApiError(400, `event ${event.id} is sold out`);
  return requireApproval ? "pending_approval" : "approved";
}
