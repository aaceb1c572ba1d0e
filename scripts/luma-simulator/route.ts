import type { z } from "zod";
import { ApiError } from "./errors.ts";
import { validate } from "./validate.ts";
import type { SimCalendar, SimEvent, World } from "./world.ts";

/** What a route works on: the caller's calendar, and the server's own settings. */
export interface Context {
  world: World;
  calendar: SimCalendar;
  pageSize: number;
  /** Where this simulator is reached, without a slash at the end. */
  baseUrl: string;
}

export interface Route {
  method: "GET" | "POST";
  path: string;
  /** Checks `input` and does the work; throws ApiError for what Luma would refuse. */
  serve: (context: Context, input: unknown) => object;
}

/** A route whose handler gets its input as `schema` reads it. */
export function route<S extends z.ZodType>(
  method: Route["method"],
  path: string,
  schema: S,
  handle: (context: Context, input: z.output<S>) => object,
): Route {
  return {
    method,
    path,
    serve: (context, input) => handle(context, validate(schema, input)),
  };
}

/** @throws ApiError 404 for an unknown event, 403 for one of another calendar. */
export function eventOf(
  { world, calendar }: Pick<Context, "world" | "calendar">,
  eventId: string,
): SimEvent {
  const event = world.events.get(eventId);
  if (!event) throw new ApiError(404, `event_id: no event "${eventId}"`);
  if (event.calendar_id !== calendar.id) {
    throw new ApiError(
      403,
      `event_id: this key has no access to event "${eventId}"`,
    );
  }
  return event;
}
