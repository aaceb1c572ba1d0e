/** Deliveries as Luma sends them, and not quite so, for property tests. */
import fc from "fast-check";
import { EVENT, GUEST } from "../luma/testing.ts";
import { WEBHOOK_EVENT_TYPES } from "../luma/types.ts";

/** What a body can hold: JSON has no -0. */
export const json = fc.jsonValue({ maxDepth: 3 })
  .map((value): unknown => JSON.parse(JSON.stringify(value)));
/** Texts that are like something else in a delivery. */
export const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(..."()<> \n\t\u0085\"'\\/:.@?#ahtps1") }),
  fc.constantFrom("", " ", "https://a.test/b", "Meeting point: x", "VIP"),
);
const time = fc.oneof(
  // The years that Luma's format has.
  fc.date({
    noInvalidDate: true,
    min: new Date("0000-01-01"),
    max: new Date("9999-12-31T23:59:59.999Z"),
  }).map((date) => date.toISOString().replace(/^\+0*/, "")),
  fc.constantFrom(
    "2027-01-01T14:00Z",
    "2027-01-01T19:30:00.123456+05:30",
    "0000-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.9999-23:59",
  ),
);
const degrees = fc.oneof(
  fc.double({ min: -200, max: 200, noNaN: true }).map((value) => value + 0),
  fc.constantFrom(0, 90, -180, 1e-9, 12.345678),
);

/** A field that is well told, emptied, nonsense, or not told. */
const field = <T>(good: fc.Arbitrary<T>) =>
  fc.option(
    fc.oneof(
      { weight: 60, arbitrary: good },
      { weight: 2, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: json },
    ),
    { nil: undefined, freq: 10 },
  );
const listed = <T>(entry: fc.Arbitrary<T>) =>
  field(fc.array(field(entry), { maxLength: 3 }));
const id = fc.constantFrom("x-1", "x-2");

/** JSON of the base with what is told in place of it. */
const over = (base: object) => (told: object): Record<string, unknown> => ({
  ...base,
  ...JSON.parse(JSON.stringify(told)),
});

/** Events as Luma tells them, and not quite so. */
export const event = fc.record({
  name: field(text),
  start_at: field(time),
  end_at: field(time),
  timezone: field(text),
  url: field(fc.oneof(text, fc.webUrl())),
  visibility: field(fc.constantFrom("public", "private", "secret")),
  platform: field(fc.constantFrom("luma", "luma", "luma", "external")),
  description: field(text),
  description_md: field(text),
  coordinate: field(fc.record({ latitude: degrees, longitude: degrees })),
  geo_latitude: field(fc.oneof(text, degrees.map(String))),
  geo_longitude: field(fc.oneof(text, degrees.map(String))),
  geo_address_json: field(
    fc.record({
      address: field(text),
      full_address: field(text),
      description: field(text),
    }),
  ),
  meeting_url: field(fc.oneof(text, fc.webUrl())),
  cover_url: field(text),
  tags: listed(fc.record({ id, name: text })),
  hosts: listed(fc.record({ id, email: field(text) })),
  calendar: field(fc.record({ id })),
  more: json,
}).map(over(EVENT));
const ticket = fc.record({
  id,
  name: field(text),
  event_ticket_type_id: field(id),
  checked_in_at: field(time),
});
const guest = fc.record({
  user_email: field(text),
  user_name: field(text),
  phone_number: field(text),
  approval_status: field(fc.constantFrom("approved", "session", "new")),
  registered_at: field(time),
  event_tickets: listed(ticket),
  event_ticket: field(ticket),
  event: field(event),
}).map(over({ ...GUEST, event: EVENT }));

/** What Luma tells of. */
export const type = fc.constantFrom(...WEBHOOK_EVENT_TYPES, "toString");
/** The type and the data of a delivery. */
export const delivery = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.tuple(type, fc.dictionary(fc.string(), json)),
  },
  { weight: 1, arbitrary: fc.tuple(type, event) },
  {
    weight: 4,
    arbitrary: fc.tuple(
      fc.constantFrom("event.updated", "event.canceled"),
      event,
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(
      fc.constantFrom("guest.updated", "ticket.registered"),
      guest,
    ),
  },
);
