import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { EventState } from "./job.ts";
import {
  coverChanged,
  pickChanged,
  RowError,
  ticketChanged,
  ticketPrice,
  toLumaEvent,
} from "./mapping.ts";
import { FIELDS, STATE, stateWith } from "./testing.ts";

const CHANGED_ALONE: [keyof EventState, (keyof typeof FIELDS)[]][] = [
  ["shown", ["visibility"]],
  ["title", ["name"]],
  ["description", ["description_md"]],
  ["starts_at", ["start_at"]],
  ["ends_at", ["end_at"]],
  ["tz", ["timezone"]],
  ["lat", ["coordinate"]],
  ["lng", ["coordinate"]],
  ["location_raw", ["geo_address_json"]],
  ["location_name", ["geo_address_json"]],
  ["location_type", ["geo_address_json"]],
  ["meeting_point", ["geo_address_json"]],
  ["meeting_url", ["meeting_url"]],
  ["visibility", ["visibility"]],
  ["max_capacity", ["max_capacity"]],
  ["cover_image_url", []],
  ["culture", []],
  ["category", []],
  ["is_ticketed", []],
  ["ticket_price", []],
  ["ticket_currency", []],
];

Deno.test("a change of one column sends the fields made of it and no others", () => {
  assertEquals(
    CHANGED_ALONE.map(([column]) => column).sort(),
    Object.keys(EventState.shape).sort(),
  );
  for (const [column, fields] of CHANGED_ALONE) {
    const { changes } = pickChanged(toLumaEvent(STATE), [column]);
    const wanted = Object.fromEntries(fields.map((f) => [f, FIELDS[f]]));
    assertEquals<unknown>(changes, wanted, column);
  }
});

Deno.test("an open end moves with the start", () => {
  const open = toLumaEvent(stateWith({ ends_at: null }));
  const { changes } = pickChanged(open, ["starts_at"], true);
  assertEquals(Object.keys(changes), ["start_at", "end_at"]);
});

Deno.test("every column of a row reaches Luma: as a field, by the ticket, by the cover, or as the tag", () => {
  const unused = Object.keys(EventState.shape).filter((column) =>
    Object.keys(pickChanged(toLumaEvent(STATE), [column]).changes).length ===
      0 &&
    !ticketChanged([column]) && !coverChanged(STATE, [column])
  );
  // A tag is made of it (push_event.ts); for events without a cover of their own it is the sticker too.
  assertEquals(
    unused.filter((column) => column !== "culture"),
    [],
  );
});

Deno.test("without a base every field is sent", () => {
  assertEquals<unknown>(pickChanged(toLumaEvent(STATE), null), {
    changes: FIELDS,
    warnings: [],
  });
});

Deno.test("columns that nobody knows send nothing", () => {
  assertEquals(pickChanged(toLumaEvent(STATE), ["moon_phase"]), {
    changes: {},
    warnings: [],
  });
});

Deno.test("the ticket's columns are those that decide its price", () => {
  assertEquals(
    Object.keys(EventState.shape).filter((column) => ticketChanged([column])),
    ["category", "is_ticketed", "ticket_price", "ticket_currency"],
  );
});

Deno.test("another culture gives another cover only to events without one of their own", () => {
  assert(coverChanged(stateWith({ cover_image_url: " " }), ["culture"]));
  const own = stateWith({ cover_image_url: "https://app.test/a.jpg" });
  assert(!coverChanged(own, ["culture"]));
  assert(coverChanged(own, ["cover_image_url"]));
  assert(!coverChanged(STATE, ["title"]));
});

Deno.test("emptied fields are sent as Luma empties them", () => {
  const columns = ["description", "meeting_url", "max_capacity"];
  const event = toLumaEvent(stateWith({
    description: null,
    meeting_url: "",
    max_capacity: null,
  }));
  assertEquals(pickChanged(event, columns), {
    changes: { description_md: "", meeting_url: "", max_capacity: null },
    warnings: [],
  });
});

Deno.test("a place that was emptied stays on Luma, and an admin is told", () => {
  const event = toLumaEvent(stateWith({
    lat: null,
    lng: null,
    location_name: null,
    location_raw: null,
    meeting_point: null,
  }));
  const place = ["lat", "lng", "location_name", "location_raw"];
  const { changes, warnings } = pickChanged(event, place);
  assertEquals(JSON.stringify(changes), "{}");
  assertEquals(warnings.length, 1);
  assertStringIncludes(warnings.join(), "The place was emptied");
  assertEquals(pickChanged(event, ["title"]).warnings, []);
  assertEquals(pickChanged(event, null).warnings, []);
});

Deno.test("each column of a place that is empty is told of, but not the type of place by itself", () => {
  const EMPTY = {
    lat: null,
    lng: null,
    location_name: null,
    location_raw: null,
    meeting_point: null,
  };
  const warned = (changed: string[]) =>
    pickChanged(toLumaEvent(stateWith(EMPTY)), changed).warnings.length;
  for (const column of Object.keys(EMPTY)) {
    assertEquals(warned([column]), 1, column);
    assertEquals(warned(["location_type", column]), 1, column);
  }
  assertEquals(warned(["location_type"]), 0);
  // A place that is still there was not emptied.
  const there = pickChanged(toLumaEvent(STATE), Object.keys(EMPTY));
  assertEquals(there.warnings, []);
});

Deno.test("prices are in the currency's smallest unit, with its code in lower case", () => {
  const cases: [number, string | null, number, string][] = [
    [499, "INR", 49900, "inr"],
    [19.99, " usd ", 1999, "usd"],
    [1500, "JPY", 1500, "jpy"],
    [0.1 + 0.2, "EUR", 30, "eur"],
    [100, null, 10000, "inr"],
    [100, "", 10000, "inr"],
  ];
  for (const [ticket_price, ticket_currency, cents, currency] of cases) {
    const price = { ticket_price, ticket_currency };
    assertEquals(ticketPrice(stateWith({ ...price, is_ticketed: true })), {
      cents,
      currency,
    });
    assertEquals(ticketPrice(stateWith({ ...price, category: "ticketed" })), {
      cents,
      currency,
    });
    assertEquals(ticketPrice(stateWith(price)), null);
  }
});

Deno.test("a ticketed event without a price that can be charged is refused with the price", () => {
  for (const ticket_price of [null, 0, -5, NaN, 0.001, Infinity, 1e300]) {
    const state = stateWith({ is_ticketed: true, ticket_price });
    const { message } = assertThrows(() => ticketPrice(state), RowError);
    assertMatch(message, /ticket_price/);
    assertStringIncludes(message, String(ticket_price));
  }
});

Deno.test("a currency that is none is refused by name", () => {
  for (const ticket_currency of ["rupees", "₹", "I R"]) {
    const state = stateWith({
      is_ticketed: true,
      ticket_price: 5,
      ticket_currency,
    });
    const { message } = assertThrows(() => ticketPrice(state), RowError);
    assertStringIncludes(message, `ticket_currency "${ticket_currency}"`);
  }
});
