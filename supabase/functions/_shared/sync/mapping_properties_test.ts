import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { startSimulator } from "../../../../scripts/luma-simulator/mod.ts";
import { createLumaClient } from "../luma/client.ts";
import { fuzz } from "../fuzz_for_tests.ts";
import { EventChanges, EventInput } from "../luma/inputs.ts";
import { EventState } from "./job.ts";
import { unlessRefused } from "./refused_for_tests.ts";
import {
  pickChanged,
  ticketPrice,
  toLumaEvent,
  toLumaGuest,
} from "./mapping.ts";

const KEY = "luma-key-blr";

/** Text as people, feeds and attackers write it; Postgres keeps no U+0000. */
const text = fc.option(fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(..."![]()<> \n\r\t\u001b\"'\\/:.ahtps") }),
  fc.constantFrom("", " ", "https://a.test/b", "![x](https://a.test/i.png)"),
));
const time = fc.option(fc.oneof(
  // Postgres writes years after 9999 with neither sign nor zeros before them.
  fc.date({ noInvalidDate: true, min: new Date("0001-01-01") })
    .map((date) => date.toISOString().replace(/^\+0*/, "")),
  fc.date({
    noInvalidDate: true,
    min: new Date("2027-01-01"),
    max: new Date("2027-01-03"),
  }).map((date) => date.toISOString().replace("Z", "456+00:00")),
  fc.constantFrom(
    "infinity",
    "0044-03-15T00:00:00+00:00 BC",
    "9999-12-31T23:59:59.999999+00:00",
  ),
));
const number = fc.option(fc.oneof(
  fc.double(),
  fc.double({ min: -200, max: 200 }),
  fc.constantFrom(0, -0, 90, -180),
));

const row: fc.Arbitrary<EventState> = fc.record({
  shown: fc.boolean(),
  title: text,
  description: text,
  starts_at: time,
  ends_at: time,
  tz: fc.oneof(text, fc.constantFrom("UTC", "asia/kolkata", "+05:30", "Mars")),
  lat: number,
  lng: number,
  location_raw: text,
  location_name: text,
  location_type: fc.constantFrom(null, "custom", "online", "zo_property"),
  meeting_point: text,
  meeting_url: text,
  cover_image_url: text,
  visibility: fc.oneof(text, fc.constantFrom("public", "private")),
  max_capacity: fc.option(fc.integer()),
  culture: text,
  category: fc.constantFrom(null, "community", "ticketed"),
  is_ticketed: fc.option(fc.boolean()),
  ticket_price: number,
  ticket_currency: fc.oneof(text, fc.constantFrom("INR", "JPY", "kwd")),
});

/** Rows that are sure to become events, so that what is tested with them is never nothing. */
const goodRow = row.map((state) => ({
  ...state,
  title: `x${state.title ?? ""}`,
  starts_at: "2027-01-01T14:00:00+00:00",
  ends_at: null,
}));

Deno.test("whatever the row, it is refused with a message or gives fields that Luma takes", () => {
  fc.assert(
    fc.property(row, (state) => {
      const event = unlessRefused(() => toLumaEvent(state));
      if (event) EventInput.parse(event.fields);
    }),
    fuzz(2_000),
  );
});

Deno.test("a good title and time are enough for an event, whatever the other columns hold", () => {
  fc.assert(fc.property(goodRow, (state) => {
    EventInput.parse(toLumaEvent(state).fields);
  }));
});

Deno.test("what was changed is a part of the whole, whichever columns it was", () => {
  const columns = fc.subarray(Object.keys(EventState.shape));
  fc.assert(fc.property(goodRow, columns, (state, changed) => {
    const event = toLumaEvent(state);
    const { changes } = pickChanged(event, changed);
    EventChanges.parse(changes);
    assertEquals({ ...event.fields, ...changes }, event.fields);
  }));
});

Deno.test("whatever the price, it is refused with a message or a whole number above 0", () => {
  fc.assert(
    fc.property(row, (state) => {
      const price = unlessRefused(() => ticketPrice(state));
      if (!price) return;
      assert(Number.isSafeInteger(price.cents) && price.cents > 0);
      assertEquals(price.currency, price.currency.toLowerCase());
    }),
    fuzz(2_000),
  );
});

Deno.test("the job's schema takes every row that Postgres can hold, so that none blocks the others", () => {
  fc.assert(fc.property(row, (state) => {
    // As Postgres writes it: JSON, with text for what JSON has no number for.
    const json = JSON.stringify(
      state,
      (_, value) =>
        typeof value === "number" && !Number.isFinite(value)
          ? String(value)
          : value,
    );
    const parsed = EventState.parse(JSON.parse(json));
    assertEquals(parsed.lat, state.lat === null ? null : state.lat + 0);
  }));
});

Deno.test("the job's schema takes what JSON has no number for, and refuses what is no number", () => {
  for (const value of [NaN, Infinity, -Infinity]) {
    assertEquals(EventState.shape.lat.parse(String(value)), value);
  }
  assertEquals(
    EventState.shape.ticket_price.parse(JSON.parse("1e400")),
    Infinity,
  );
  assertEquals(EventState.shape.ticket_price.safeParse("12").success, false);
  assertEquals(
    EventState.shape.ticket_price.safeParse(undefined).success,
    false,
  );
});

Deno.test("Luma creates an event from every row that is not refused, and takes every update of it", async () => {
  const simulator = await startSimulator({ rateLimitPerMinute: 100_000 });
  const client = createLumaClient({ apiKey: KEY, baseUrl: simulator.url });
  let created = 0;
  try {
    const { id: existing } = await client.createEvent({
      name: "Existing",
      start_at: "2027-01-01T14:00:00Z",
      timezone: "UTC",
    });
    const anyRow = fc.oneof({ weight: 1, arbitrary: row }, {
      weight: 3,
      arbitrary: goodRow,
    });
    await fc.assert(
      fc.asyncProperty(anyRow, async (state) => {
        const event = unlessRefused(() => toLumaEvent(state));
        if (!event) return;
        await client.createEvent(event.fields);
        await client.updateEvent(existing, pickChanged(event, null).changes);
        created++;
      }),
      fuzz(300),
    );
  } finally {
    await simulator.stop();
  }
  assert(created > 100, `${created} rows became events`);
});

/** Names of every length, also with half an emoji in them. */
const guestName = fc.oneof(
  text,
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: fc.constantFrom("x", " ", "\n", "\u0085", "\u2028", "🎤") })
    .map((name) => name.repeat(20)),
  fc.array(fc.integer({ max: 0xffff, min: 0 }), { maxLength: 300 })
    .map((units) => String.fromCharCode(...units)),
);

Deno.test("whatever a guest's name, it is left out or sent as one short line that Luma can read", () => {
  const email = "ann@example.com";
  fc.assert(
    fc.property(guestName, (given) => {
      const guest = toLumaGuest({ email, name: given });
      assertEquals(JSON.parse(JSON.stringify(guest)), guest);
      assertEquals(guest.email, email);
      const { name } = guest;
      if (name === undefined) return assert(!("name" in guest));
      assert(name !== "" && name === name.trim());
      assert(!/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name));
      assert([...name].length <= 100);
      assertEquals(toLumaGuest({ email, name }), guest);
    }),
    fuzz(2_000),
  );
});
