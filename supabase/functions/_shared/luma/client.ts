/**
 * The typed Luma client: a line or few for each route (see methods/), no rows, no retries. Bodies are in
 * Luma's own field names. Every method throws LumaError and nothing else.
 * Source: Luma's OpenAPI document and, where a comment says so, its changelog.
 */
import { calendarMethods } from "./methods/calendar.ts";
import { eventMethods } from "./methods/events.ts";
import { guestMethods } from "./methods/guests.ts";
import { imageMethods } from "./methods/images.ts";
import { tagMethods } from "./methods/tags.ts";
import { ticketTypeMethods } from "./methods/ticket_types.ts";
import { webhookMethods } from "./methods/webhooks.ts";
import { createTransport, type LumaClientOptions } from "./transport.ts";

export type { RateLimitState } from "./answer.ts";
export type { EventQuery } from "./methods/events.ts";
export type { GuestQuery } from "./methods/guests.ts";
export type { PageQuery } from "./paging.ts";
export type { CallOptions, LumaClientOptions } from "./transport.ts";

export type LumaClient = ReturnType<typeof createLumaClient>;

/** A client for the calendar that `apiKey` belongs to. Throws a TypeError for a key or an address that cannot be used. */
export function createLumaClient(options: LumaClientOptions) {
  const transport = createTransport(options);
  return {
    ...calendarMethods(transport),
    ...eventMethods(transport),
    ...guestMethods(transport),
    ...imageMethods(transport),
    ...tagMethods(transport),
    ...ticketTypeMethods(transport),
    ...webhookMethods(transport),
  };
}
