import { z } from "zod";
import type { Guest, Host } from "./people.ts";
import {
  anyGuestStatus,
  dateTime,
  email,
  eventName,
  timezone,
} from "./schema_fields.ts";
import { createEvent, hostEventPatch } from "./schemas.ts";
import { validate } from "./validate.ts";

interface People {
  host: Host;
  guest: Guest;
}

/** Something a host or a guest does on Luma, as a POST to `/_admin/<name>` or a form of the page does it. */
type Action = (people: People, input: unknown) => unknown;

function action<S extends z.ZodType>(
  schema: S,
  run: (people: People, input: z.output<S>) => unknown,
): Action {
  return (people, input) => run(people, validate(schema, input));
}

const event = { event_id: z.string() };
/** Guest id, guest key, ticket id or e-mail address. */
const guest = { ...event, guest: z.string() };
/** An empty field of a form is one that was left out. */
const optionalText = z.preprocess(
  (value) => value === "" ? undefined : value,
  z.string().optional(),
);

export const ACTIONS: ReadonlyMap<string, Action> = new Map([
  [
    "host/create-event",
    action(
      createEvent.extend({ calendar_id: z.string() }),
      ({ host }, { calendar_id, ...input }) =>
        host.createEvent(calendar_id, input),
    ),
  ],
  [
    "host/update-event",
    action(
      hostEventPatch.extend(event),
      ({ host }, { event_id, ...patch }) => host.updateEvent(event_id, patch),
    ),
  ],
  [
    "host/make-private",
    action(
      z.strictObject(event),
      ({ host }, { event_id }) => host.makePrivate(event_id),
    ),
  ],
  [
    "host/cancel-event",
    action(z.strictObject(event), ({ host }, { event_id }) => {
      host.cancelEvent(event_id);
      return {};
    }),
  ],
  [
    "host/set-guest-status",
    action(
      z.strictObject({ ...guest, status: anyGuestStatus }),
      ({ host }, { event_id, guest, status }) =>
        host.setGuestStatus(event_id, guest, status),
    ),
  ],
  [
    "host/invite",
    action(
      z.strictObject({ ...event, email, name: optionalText }),
      ({ host }, { event_id, email, name }) =>
        host.invite(event_id, email, name),
    ),
  ],
  [
    "host/check-in",
    action(
      z.strictObject(guest),
      ({ host }, { event_id, guest }) => host.checkIn(event_id, guest),
    ),
  ],
  [
    "host/add-external-event",
    action(
      z.strictObject({
        calendar_id: z.string(),
        name: eventName,
        url: z.url(),
        start_at: dateTime,
        end_at: dateTime,
        timezone,
        host: z.string().nullish(),
      }),
      ({ host }, { calendar_id, ...input }) =>
        host.addExternalEvent(calendar_id, input),
    ),
  ],
  [
    "host/stripe",
    action(
      z.strictObject({ calendar_id: z.string(), connected: z.boolean() }),
      ({ host }, { calendar_id, connected }) => {
        host.setStripeConnected(calendar_id, connected);
        return {};
      },
    ),
  ],
  [
    "guest/register",
    action(
      z.strictObject({
        ...event,
        name: eventName,
        email,
        phone_number: optionalText,
        ticket_type_id: optionalText,
      }),
      ({ guest }, { event_id, ...input }) => guest.register(event_id, input),
    ),
  ],
  [
    "guest/update",
    action(
      z.strictObject({
        ...guest,
        name: eventName.optional(),
        email: email.optional(),
        phone_number: z.string().nullish(),
      }),
      ({ guest: people }, { event_id, guest, ...edit }) =>
        people.update(event_id, guest, edit),
    ),
  ],
  [
    "guest/cancel",
    action(
      z.strictObject(guest),
      ({ guest: people }, { event_id, guest }) =>
        people.cancel(event_id, guest),
    ),
  ],
]);
