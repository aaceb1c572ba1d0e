import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { EventState } from "./job.ts";
import { RowError, toLumaEvent, toLumaGuest } from "./mapping.ts";
import { FIELDS, STATE, stateWith } from "./testing.ts";

type Changes = Partial<EventState>;

/** The fields of STATE with these changes, and the warnings about them. */
function mapped(changes: Changes) {
  return toLumaEvent(stateWith(changes));
}

function rowError(changes: Changes): string {
  return assertThrows(() => mapped(changes), RowError).message;
}

/** The one warning about a row, which must name what was found there. */
function warning(changes: Changes): string {
  const { warnings } = mapped(changes);
  assertEquals(warnings.length, 1, warnings.join(" | "));
  return warnings.join();
}

Deno.test("a whole row becomes all of Luma's fields", () => {
  assertEquals(toLumaEvent(STATE), { fields: FIELDS, warnings: [] });
});

Deno.test("a row with nothing but a title and a start becomes an event without a place or a limit", () => {
  const empty = Object.fromEntries(
    Object.keys(EventState.shape).map((key) => [key, null]),
  );
  const state = EventState.parse({
    ...empty,
    shown: true,
    title: "Run",
    starts_at: "2027-01-01T01:30:00+00:00",
  });
  assertEquals(toLumaEvent(state), {
    fields: {
      name: "Run",
      description_md: "",
      start_at: "2027-01-01T01:30:00.000Z",
      end_at: "2027-01-01T03:30:00.000Z",
      timezone: "Asia/Kolkata",
      coordinate: undefined,
      geo_address_json: undefined,
      meeting_url: "",
      visibility: "public",
      max_capacity: null,
    },
    warnings: [],
  });
});

Deno.test("a row without a title is refused", () => {
  for (const title of [null, "", "  \t\n", "\u0000\u001b"]) {
    assertEquals(
      rowError({ title }),
      "title is empty: give the event a title.",
    );
  }
});

Deno.test("titles lose control characters and line ends, and nothing else", () => {
  assertEquals(
    mapped({ title: " a\r\nb\rc\u0007d\te " }).fields.name,
    "a b cd e",
  );
  assertEquals(mapped({ title: "ज़ो 🎤 & <b>" }).fields.name, "ज़ो 🎤 & <b>");
});

Deno.test("a title of 5,000 characters is sent whole, because Luma names no longest one", () => {
  const title = "x".repeat(5_000);
  assertEquals(mapped({ title }), {
    fields: { ...FIELDS, name: title },
    warnings: [],
  });
});

Deno.test("descriptions keep their lines and lose control characters", () => {
  const { fields } = mapped({ description: "\r\na\r\nb\rc\u0000\td\u007f\n" });
  assertEquals(fields.description_md, "a\nb\nc\td");
});

const IMAGES: [description: string, shown: string][] = [
  ["![x](https://a.test/i.png)", "[x](https://a.test/i.png)"],
  ["![](https://a.test/i.png)", "[Image](https://a.test/i.png)"],
  ['![x](https://a.test/i.png "Title")', '[x](https://a.test/i.png "Title")'],
  ["![x]( https://a.test/i.png )", "[x]( https://a.test/i.png )"],
  ["![x](<https://a.test/i j.png>)", "[x](<https://a.test/i j.png>)"],
  ["![x](https://a.test/i_(1).png)", "[x](https://a.test/i_(1).png)"],
  ["![x](/local.png) ![y](b.png)", "[x](/local.png) [y](b.png)"],
  [
    "![x](https://images.lumacdn.com.evil.test/i.png)",
    "[x](https://images.lumacdn.com.evil.test/i.png)",
  ],
];

Deno.test("images that are not on Luma's CDN become links, with a warning", () => {
  for (const [description, shown] of IMAGES) {
    assertEquals(mapped({ description }).fields.description_md, shown);
    assertMatch(warning({ description }), /images .* shown as links/);
  }
});

Deno.test("images on Luma's CDN and plain links stay as they are", () => {
  const description =
    "![x](https://images.lumacdn.com/i.png) [y](https://a.test) wow! [z](https://b.test)";
  const { fields, warnings } = mapped({ description });
  assertEquals(fields.description_md, description);
  assertEquals(warnings, []);
});

Deno.test("times are sent in UTC, whatever their offset and fraction", () => {
  const { fields } = mapped({
    starts_at: "2027-01-01T19:30:00.123456+05:30",
    ends_at: "2027-01-01T09:00:00.999999-08:00",
  });
  assertEquals(fields.start_at, "2027-01-01T14:00:00.123Z");
  assertEquals(fields.end_at, "2027-01-01T17:00:00.999Z");
});

Deno.test("an event without an end lasts two hours", () => {
  const { fields, warnings } = mapped({ ends_at: null });
  assertEquals(fields.end_at, "2027-01-01T16:00:00.000Z");
  assertEquals(warnings, []);
});

Deno.test("an end that is not after the start is refused with both times", () => {
  for (const ends_at of ["2027-01-01T14:00:00+00:00", "2026-12-31T14:00:00Z"]) {
    const message = rowError({ ends_at });
    assertStringIncludes(message, new Date(ends_at).toISOString());
    assertStringIncludes(message, "starts_at (2027-01-01T14:00:00.000Z)");
  }
  // Within one millisecond, which is all that Luma's times hold.
  rowError({
    starts_at: "2027-01-01T14:00:00.000100+00:00",
    ends_at: "2027-01-01T14:00:00.000900+00:00",
  });
});

Deno.test("what is no time is refused by its column", () => {
  const notTimes = [
    "infinity",
    "-infinity",
    "0044-03-15T00:00:00+00:00 BC",
    "",
  ];
  for (const time of notTimes) {
    assertStringIncludes(rowError({ starts_at: time }), `starts_at is ${time}`);
    assertStringIncludes(rowError({ ends_at: time }), `ends_at is ${time}`);
  }
  assertStringIncludes(rowError({ starts_at: null }), "starts_at is null");
});

Deno.test("a time that Luma's format cannot write is refused as a row, not as a defect", () => {
  const starts_at = "9999-12-31T23:00:00+00:00";
  assertStringIncludes(rowError({ starts_at, ends_at: null }), "+010000-01-01");
});

Deno.test("time zones are IANA names in their own spelling", () => {
  const cases: [tz: string | null, timezone: string][] = [
    ["America/New_York", "America/New_York"],
    [" Europe/Berlin ", "Europe/Berlin"],
    ["asia/kolkata", "Asia/Kolkata"],
    ["europe/berlin", "Europe/Berlin"],
    ["Asia/Calcutta", "Asia/Calcutta"],
    ["UTC", "UTC"],
    ["US/Pacific", "US/Pacific"],
    [null, "Asia/Kolkata"],
    ["  ", "Asia/Kolkata"],
  ];
  for (const [tz, timezone] of cases) {
    const { fields, warnings } = mapped({ tz });
    assertEquals(fields.timezone, timezone);
    assertEquals(warnings, []);
  }
});

Deno.test("a time zone that is none is replaced, and named", () => {
  for (const tz of ["Mars/Olympus", "+05:30", "-0800", "GMT+5:30", "IST5"]) {
    assertEquals(mapped({ tz }).fields.timezone, "Asia/Kolkata");
    assertStringIncludes(warning({ tz }), `tz "${tz}"`);
  }
});

Deno.test("(0, 0) and the globe's edges are places", () => {
  for (const [lat, lng] of [[0, 0], [90, 180], [-90, -180], [0, 77.63]]) {
    assertEquals(mapped({ lat, lng }), {
      fields: {
        ...FIELDS,
        coordinate: { latitude: Number(lat), longitude: Number(lng) },
      },
      warnings: [],
    });
  }
});

Deno.test("half a coordinate or a point off the globe is left out, and named", () => {
  const cases: [lat: number | null, lng: number | null][] = [
    [12.93, null],
    [null, 77.63],
    [90.001, 0],
    [0, -180.5],
    [NaN, 0],
    [0, Infinity],
  ];
  for (const [lat, lng] of cases) {
    assertEquals(mapped({ lat, lng }).fields.coordinate, undefined);
    assertStringIncludes(warning({ lat, lng }), `lat ${lat}, lng ${lng}`);
  }
});

const ADDRESSES: [Changes, string | undefined][] = [
  [{ meeting_point: null }, "Zo House, 80 Feet Road, Bengaluru"],
  [{ meeting_point: null, location_raw: null }, "Zo House"],
  [{ meeting_point: " ", location_name: "" }, "80 Feet Road, Bengaluru"],
  [
    { meeting_point: null, location_raw: "zo house, Koramangala" },
    "zo house, Koramangala",
  ],
  [
    { meeting_point: "a\n b\u0000", location_name: null, location_raw: null },
    "Meeting point: a b",
  ],
  [
    { location_type: "online", meeting_point: null },
    "Zo House, 80 Feet Road, Bengaluru",
  ],
  [
    { location_type: "online", location_name: null, location_raw: " " },
    undefined,
  ],
];

Deno.test("a place is one line: name, address, meeting point, each only once", () => {
  for (const [changes, address] of ADDRESSES) {
    assertEquals(
      mapped(changes).fields.geo_address_json,
      address === undefined ? undefined : { type: "manual", address },
    );
  }
});

Deno.test("meeting links are http addresses, sent as they were typed", () => {
  for (
    const url of ["https://Zoom.us/j/1?pwd=a", "HTTP://a.test", " https://a.b "]
  ) {
    const { fields, warnings } = mapped({ meeting_url: url });
    assertEquals(fields.meeting_url, url.trim());
    assertEquals(warnings, []);
  }
});

Deno.test("a meeting link that is none is left out, and named", () => {
  for (
    const url of [
      "zoom.us/j/1",
      "ask the host",
      "javascript:alert(1)",
      "ftp://a.test",
      "https:zoom.us",
      "https://",
      "https://a b.test",
    ]
  ) {
    assertEquals(mapped({ meeting_url: url }).fields.meeting_url, "");
    assertStringIncludes(warning({ meeting_url: url }), `meeting_url "${url}"`);
  }
});

Deno.test("a capacity that is not above 0 is no limit, and named", () => {
  assertEquals(mapped({ max_capacity: 1 }).fields.max_capacity, 1);
  for (const max_capacity of [0, -1]) {
    assertEquals(mapped({ max_capacity }).fields.max_capacity, null);
    assertStringIncludes(
      warning({ max_capacity }),
      `max_capacity ${max_capacity}`,
    );
  }
});

Deno.test("an event is seen as its column says while it is shown, and private otherwise", () => {
  const visible = (changes: Changes) => mapped(changes).fields.visibility;
  assertEquals(visible({ visibility: "members-only" }), "members-only");
  assertEquals(visible({ visibility: "private" }), "private");
  assertEquals(visible({ visibility: null }), "public");
  assertEquals(visible({ shown: false }), "private");
  assertEquals(visible({ visibility: "friends" }), "public");
  assertStringIncludes(warning({ visibility: "friends" }), '"friends"');
});

Deno.test("a row with many faults is corrected in all of them", () => {
  const { warnings } = mapped({
    tz: "x",
    lat: 91,
    meeting_url: "x",
    max_capacity: 0,
    visibility: "x",
    description: "![](x)",
  });
  assertEquals(warnings.length, 6);
});

/** The name that Luma is sent of a guest. */
function guestName(name: string | null): string | undefined {
  return toLumaGuest({ email: "ann@example.com", name }).name;
}

Deno.test("a guest is an e-mail address and a name, and nothing else of the row", () => {
  const row = { email: "ann@example.com", name: "Ann", phone: "+911" };
  assertEquals(toLumaGuest(row), { email: "ann@example.com", name: "Ann" });
});

Deno.test("a guest without a name is sent without one", () => {
  for (const name of [null, "", " \t\r\n ", "\u00a0\u3000", "\u0000\u009f"]) {
    assertEquals(toLumaGuest({ email: "ann@example.com", name }), {
      email: "ann@example.com",
    });
  }
});

Deno.test("a guest's name is one line without control characters", () => {
  assertEquals(guestName(" Ann\r\nB.\n\n\tC. "), "Ann B. C.");
  assertEquals(guestName("A\u0000n\u001bn\u007f \u0085\u009fB"), "Ann B");
  assertEquals(guestName("Ann\u2028B"), "Ann B");
  assertEquals(guestName("अनु 🎤 O'Neil <b>"), "अनु 🎤 O'Neil <b>");
});

Deno.test("a guest's name is cut to 100 characters, none of them in two", () => {
  assertEquals(guestName("x".repeat(100)), "x".repeat(100));
  assertEquals(guestName("x".repeat(5_000)), "x".repeat(100));
  assertEquals(guestName("🎤".repeat(5_000)), "🎤".repeat(100));
  assertEquals(guestName(`x${"🎤".repeat(5_000)}`), `x${"🎤".repeat(99)}`);
  // What is left ends in no space.
  assertEquals(guestName(`${"x".repeat(99)} y`), "x".repeat(99));
});
