import { ApiError } from "./errors.ts";
import { cancelEvent, createEvent, findBySlug, updateEvent } from "./events.ts";
import { goingCount } from "./guests.ts";
import { createUploadUrl } from "./images.ts";
import { page } from "./paging.ts";
import { eventOf, type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import {
  calendarEntity,
  calendarView,
  eventEntity,
  eventEntry,
  eventView,
  externalEventEntry,
  userView,
} from "./views.ts";
import type { SimEvent } from "./world.ts";

/** How long a cancellation token is good for (Luma OpenAPI, /v1/events/cancel/request). */
const TOKEN_MS = 15 * 60_000;

export const eventRoutes: Route[] = [
  route(
    "GET",
    "/v1/users/get-self",
    schemas.nothing,
    ({ calendar }) => userView(calendar.owner),
  ),
  route(
    "GET",
    "/v1/calendars/get",
    schemas.nothing,
    ({ calendar }) => calendarView(calendar),
  ),
  route("GET", "/v1/entity/lookup", schemas.lookup, ({ world }, { slug }) => {
    const found = findBySlug(world, slug);
    if (!found) return { entity: null };
    return {
      entity: "key" in found ? calendarEntity(found) : eventEntity(found),
    };
  }),
  route("GET", "/v1/events/get", schemas.eventById, (context, { event_id }) => {
    return eventView(context.world, eventOf(context, event_id));
  }),
  route("GET", "/v1/calendars/events/list", schemas.listEvents, listEvents),
  route("POST", "/v1/events/create", schemas.createEvent, (context, input) => {
    const { id } = createEvent(context.world, context.calendar, input);
    return { id };
  }),
  route("POST", "/v1/events/update", schemas.updateEvent, (context, input) => {
    const { event_id, suppress_notifications, ...patch } = input;
    const event = eventOf(context, event_id);
    updateEvent(context.world, event, patch, suppress_notifications);
    return {};
  }),
  route(
    "POST",
    "/v1/events/cancel/request",
    schemas.eventById,
    (context, { event_id }) => {
      const { world } = context;
      const event = eventOf(context, event_id);
      const cancellation_token = world.random(32);
      const expiresAt = world.now() + TOKEN_MS;
      world.cancellations.set(cancellation_token, {
        eventId: event.id,
        expiresAt,
      });
      return {
        cancellation_token,
        is_paid: hasPaidGuests(event),
        guest_count: goingCount(event),
      };
    },
  ),
  route("POST", "/v1/events/cancel", schemas.cancelEvent, (context, input) => {
    const { world } = context;
    const event = eventOf(context, input.event_id);
    const request = world.cancellations.get(input.cancellation_token);
    if (request?.eventId !== event.id || request.expiresAt < world.now()) {
      throw new ApiError(
        400,
        "cancellation_token: not a token for this event, or older than 15 minutes; request a new one",
      );
    }
    if (hasPaidGuests(event) && input.should_refund === undefined) {
      throw new ApiError(
        400,
        'missing field "should_refund": the event has paid guests',
      );
    }
    world.cancellations.delete(input.cancellation_token);
    cancelEvent(world, event);
    return {};
  }),
  route(
    "POST",
    "/v1/images/create-upload-url",
    schemas.createUploadUrl,
    ({ world, baseUrl }, { content_type }) =>
      createUploadUrl(world, baseUrl, content_type ?? null),
  ),
];

function listEvents(
  { world, calendar, pageSize }: Parameters<typeof eventOf>[0] & {
    pageSize: number;
  },
  query: ReturnType<typeof schemas.listEvents.parse>,
): object {
  const platforms = query.platforms ?? ["luma"];
  const after = query.after === undefined ? -Infinity : Date.parse(query.after);
  const before = query.before === undefined
    ? Infinity
    : Date.parse(query.before);
  const wanted = (event: { calendar_id: string; start_at: string }) => {
    const start = Date.parse(event.start_at);
    return event.calendar_id === calendar.id && start >= after &&
      start < before;
  };
  const luma = platforms.includes("luma")
    ? world.events.values().filter(wanted).map((e) => eventEntry(world, e))
    : [];
  const external = platforms.includes("external")
    ? world.externalEvents.filter(wanted).map(externalEventEntry)
    : [];
  // Nothing here waits for a calendar's approval, so that "pending" is always an empty list.
  const entries = query.status === "pending" ? [] : [...luma, ...external];
  return page(entries, query, pageSize, (entry) => entry.start_at);
}

function hasPaidGuests(event: SimEvent): boolean {
  return event.guests.some((g) => g.event_tickets.some((t) => t.amount > 0));
}
