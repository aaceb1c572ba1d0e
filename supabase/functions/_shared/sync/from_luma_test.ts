import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type LumaSimulator,
  startSimulator,
} from "../../../../scripts/luma-simulator/mod.ts";
import { DEFAULT_COVER_URL } from "../../../../scripts/luma-simulator/images.ts";
import { createLumaClient, type LumaClient } from "../luma/client.ts";
import { EVENT, GUEST } from "../luma/testing.ts";
import { LumaEvent, LumaGuest } from "../luma/types.ts";
import {
  fromLumaEvent,
  fromLumaGuest,
  NewsError,
  newsOf,
  slugOf,
  toldFields,
} from "./from_luma.ts";

const BLR = "cal-ZVonmjVxLk7F2oM";
const START = Date.parse("2026-12-01T12:00:00Z");
const HOUR = 3_600_000;

/** What a host types into Luma's page. */
const TYPED = {
  name: " Open mic ",
  start_at: "2027-01-01T19:30:00+05:30",
  end_at: "2027-01-01T16:30:00Z",
  timezone: "Asia/Kolkata",
  slug: "Open-Mic",
  description_md: "Bring a __song__.",
  coordinate: { latitude: 12.933456789, longitude: -0.000004 },
  geo_address_json: {
    type: "manual" as const,
    address: "Zo House,\n80 Feet Road (Meeting point: roof (north))",
  },
  meeting_url: "https://meet.example/abc",
  visibility: "members-only" as const,
};

/** What becomes of it. */
const FIELDS = {
  name: { value: "Open mic", columns: { title: "Open mic" } },
  description_md: {
    value: "Bring a **song**.",
    columns: { description: "Bring a **song**." },
  },
  start_at: {
    value: "2027-01-01T14:00:00.000Z",
    columns: { starts_at: "2027-01-01T14:00:00.000Z" },
  },
  end_at: {
    value: "2027-01-01T16:30:00.000Z",
    columns: { ends_at: "2027-01-01T16:30:00.000Z" },
  },
  timezone: { value: "Asia/Kolkata", columns: { tz: "Asia/Kolkata" } },
  coordinate: {
    value: { latitude: 12.93346, longitude: 0 },
    columns: {
      lat: 12.933456789,
      lng: -0.000004,
      geocode_status: "success",
    },
  },
  geo_address_json: {
    value: "Zo House, 80 Feet Road (Meeting point: roof (north))",
    columns: {
      location_raw: "Zo House, 80 Feet Road",
      location_name: null,
      meeting_point: "roof (north)",
    },
  },
  meeting_url: {
    value: "https://meet.example/abc",
    columns: { meeting_url: "https://meet.example/abc" },
  },
  cover_url: {
    value: DEFAULT_COVER_URL,
    columns: { cover_image_url: DEFAULT_COVER_URL },
  },
  visibility: {
    value: "members-only",
    columns: { visibility: "members-only" },
  },
};

interface Scene {
  simulator: LumaSimulator;
  client: LumaClient;
  /** Lets an hour pass on Luma's clock. */
  later(): void;
  /** The `data` of the last delivery of this type. */
  last(type: string): Record<string, unknown>;
}

/** A Luma that tells everything to an endpoint which nobody serves: only what it would send is looked at. */
async function withLuma(test: (scene: Scene) => Promise<void>) {
  let time = START;
  const simulator = await startSimulator({
    now: () => time,
    webhookRetryMs: [],
  });
  const client = createLumaClient({
    apiKey: "luma-key-blr",
    baseUrl: simulator.url,
  });
  try {
    await client.createWebhook({
      url: "http://127.0.0.1:1/",
      event_types: ["*"],
    });
    await test({
      simulator,
      client,
      later: () => time += HOUR,
      last: (wanted) => {
        const { body } = simulator.deliveries.findLast(({ type }) =>
          type === wanted
        )!;
        return JSON.parse(body).data;
      },
    });
  } finally {
    await simulator.stop();
  }
}

/** `rest` of a simulated event with nothing out of the ordinary. */
function restOf(simulator: LumaSimulator, id: string) {
  const { calendar_id, created_at, geo_address_json, slug } = simulator.event(
    id,
  )!;
  return {
    platform: "luma",
    id,
    calendar_id,
    created_at,
    user_id: simulator.calendars[0]!.owner.id,
    duration_interval: "PT2H30M",
    geo_address_json: { ...geo_address_json },
    location_type: "offline",
    location_visibility: "public",
    registration_questions: [],
    url: `https://luma.com/${slug}`,
    waitlist_status: "disabled",
    feedback_email: { enabled: true, delay: "PT0M" },
  };
}

Deno.test("event.created, event.updated and event.canceled tell every field, its columns, and the rest", async () => {
  await withLuma(async ({ simulator, client, last }) => {
    const { id } = simulator.host.createEvent(BLR, TYPED);
    const created = {
      luma_event_id: id,
      calendar_id: BLR,
      url: "https://luma.com/Open-Mic",
      slug: "open-mic",
      fields: FIELDS,
      tags: [] as string[],
      rest: { ...restOf(simulator, id), tags: [] as string[] },
      gone: false,
    };
    assertEquals(newsOf("event.created", last("event.created")), {
      event: created,
    });
    await client.createEventTag({ name: "Music", color: "purple" });
    await client.applyEventTag("Music", [id]);
    simulator.host.updateEvent(id, { name: "Open mic 2" });
    const tags = [{ id: simulator.event(id)!.tags[0]!.id, name: "Music" }];
    const updated = {
      ...created,
      fields: {
        ...FIELDS,
        name: { value: "Open mic 2", columns: { title: "Open mic 2" } },
      },
      tags: ["Music"],
      rest: { ...created.rest, tags },
    };
    assertEquals(newsOf("event.updated", last("event.updated")), {
      event: updated,
    });
    simulator.host.cancelEvent(id);
    assertEquals(newsOf("event.canceled", last("event.canceled")), {
      event: { ...updated, gone: true },
    });
  });
});

Deno.test("events/get tells the first host and no tags; a list tells tags, and neither host nor description", async () => {
  await withLuma(async ({ simulator, client }) => {
    const { id } = simulator.host.createEvent(BLR, TYPED);
    const news = {
      luma_event_id: id,
      calendar_id: BLR,
      url: "https://luma.com/Open-Mic",
      slug: "open-mic",
      gone: false,
    };
    const rest = restOf(simulator, id);
    assertEquals(fromLumaEvent(await client.getEvent(id)), {
      ...news,
      fields: FIELDS,
      host_email: "host@blrxzo.example",
      rest,
    });
    const { description_md: _, ...listed } = FIELDS;
    const [entry] = (await client.listEvents()).entries;
    assertEquals(fromLumaEvent(entry!), {
      ...news,
      fields: listed,
      tags: [],
      rest: { ...rest, tags: [] },
    });
  });
});

Deno.test("calendar.event.added tells a part of an event, and nothing of other platforms", async () => {
  await withLuma(({ simulator, last }) => {
    const { id } = simulator.host.createEvent(BLR, TYPED);
    const added = last("calendar.event.added");
    const { name, start_at, end_at, timezone, cover_url } = FIELDS;
    const news = {
      event: {
        luma_event_id: id,
        calendar_id: BLR,
        url: "https://luma.com/Open-Mic",
        slug: "open-mic",
        fields: { name, start_at, end_at, timezone, cover_url },
        rest: {
          id,
          url: "https://luma.com/Open-Mic",
          platform: "luma",
          calendar_id: BLR,
        },
        gone: false,
      },
    };
    assertEquals(newsOf("calendar.event.added", added), news);
    // What the document does not name is not read.
    const more = { ...added, description_md: 5, tags: "x" };
    assertEquals(newsOf("calendar.event.added", more), news);
    for (const none of [{ calendar: null }, { platform: undefined }]) {
      const data = { ...added, ...none };
      assertEquals(newsOf("calendar.event.added", data), null);
    }
    simulator.host.addExternalEvent(BLR, {
      name: "Elsewhere",
      url: "https://tickets.example/1",
      start_at: "2027-01-01T14:00:00Z",
      end_at: "2027-01-01T16:00:00Z",
      timezone: "UTC",
    });
    const external = last("calendar.event.added");
    assertEquals(external["platform"], "external");
    assertEquals(newsOf("calendar.event.added", external), null);
    return Promise.resolve();
  });
});

Deno.test("guest.registered, guest.updated and ticket.registered tell the guest and the event", async () => {
  await withLuma(async ({ simulator, client, last, later }) => {
    const { id } = simulator.host.createEvent(BLR, TYPED);
    const { id: ticketType } = await client.createTicketType({
      event_id: id,
      name: "Speaker pass",
      type: "free",
    });
    later();
    const registered = simulator.guest.register(id, {
      name: "Ann Rao",
      email: "Ann@Example.com",
      phone_number: "+919876543210",
      ticket_type_id: ticketType,
    });
    const [ticket] = registered.event_tickets;
    const guest = {
      luma_event_id: id,
      luma_guest_id: registered.id,
      email: "ann@example.com",
      name: "Ann Rao",
      phone: "+919876543210",
      status: "approved",
      registered_at: "2026-12-01T13:00:00.000Z",
      checked_in_at: null,
      rsvp_type: "speaker",
      tickets: [{
        id: ticket!.id,
        name: "Speaker pass",
        event_ticket_type_id: ticketType,
      }],
    };
    const event = {
      luma_event_id: id,
      calendar_id: BLR,
      url: "https://luma.com/Open-Mic",
      slug: "open-mic",
      fields: FIELDS,
      tags: [],
      rest: { ...restOf(simulator, id), tags: [] },
      gone: false,
    };
    for (
      const type of ["guest.registered", "guest.updated", "ticket.registered"]
    ) assertEquals(newsOf(type, last(type)), { event, guest }, type);

    later();
    simulator.host.checkIn(id, registered.id);
    assertEquals(newsOf("guest.updated", last("guest.updated")), {
      event,
      guest: { ...guest, checked_in_at: "2026-12-01T14:00:00.000Z" },
    });
    const listed = (await client.listGuests(id)).entries[0]!;
    assertEquals(fromLumaGuest(id, listed), {
      ...guest,
      checked_in_at: "2026-12-01T14:00:00.000Z",
    });
    // The ticket that a delivery is about may be missing from the guest's.
    const { event_tickets: tickets, ...alone } = last("ticket.registered");
    assert(Array.isArray(tickets) && tickets.length === 1);
    for (const event_tickets of [undefined, null, []]) {
      const data = { ...alone, event_tickets };
      assertEquals(newsOf("ticket.registered", data), { event, guest });
    }
    const others = { ...alone, event_tickets: [{ id: "tkt-other" }] };
    assertEquals(newsOf("ticket.registered", others)?.guest?.tickets, [
      { id: "tkt-other", name: null, event_ticket_type_id: null },
      ...guest.tickets,
    ]);
  });
});

Deno.test("other types, and events of other platforms, are no news", () => {
  const none: [string, Record<string, unknown>][] = [
    ["calendar.person.subscribed", { id: "usr-1", email: "a@example.com" }],
    ["event.unheard-of", EVENT],
    ["", {}],
    ["event.created", { ...EVENT, platform: "external" }],
    ["event.updated", { platform: "partiful" }],
    ["calendar.event.added", {}],
  ];
  for (const [type, data] of none) assertEquals(newsOf(type, data), null, type);
  assertEquals(
    newsOf("event.created", EVENT)?.event.rest["platform"],
    undefined,
  );
});

/** The field that this part of an event becomes. */
function told(name: string, part: Record<string, unknown>) {
  const event = LumaEvent.parse({ ...EVENT, ...part });
  return fromLumaEvent(event).fields[name];
}

Deno.test("what was not told is no field, and null empties", () => {
  const same = (value: string, column: string) => ({
    value,
    columns: { [column]: value },
  });
  const required = {
    name: same("Morning run", "title"),
    start_at: same("2026-12-01T01:30:00.000Z", "starts_at"),
    end_at: same("2026-12-01T03:00:00.000Z", "ends_at"),
    timezone: same("Asia/Kolkata", "tz"),
    visibility: same("public", "visibility"),
  };
  assertEquals(fromLumaEvent(LumaEvent.parse(EVENT)), {
    luma_event_id: "evt-1",
    calendar_id: "cal-1",
    url: "https://luma.com/morning-run",
    slug: "morning-run",
    fields: required,
    rest: {
      id: "evt-1",
      calendar_id: "cal-1",
      url: "https://luma.com/morning-run",
    },
    gone: false,
  });
  const emptied = fromLumaEvent(LumaEvent.parse({
    ...EVENT,
    url: "",
    calendar_id: "",
    description_md: null,
    coordinate: null,
    geo_address_json: null,
    meeting_url: null,
    cover_url: null,
    tags: null,
    hosts: null,
    waitlist_status: null,
  }));
  assertEquals(emptied, {
    luma_event_id: "evt-1",
    calendar_id: null,
    url: null,
    slug: null,
    fields: {
      ...required,
      description_md: { value: "", columns: { description: null } },
      coordinate: { value: null, columns: { lat: null, lng: null } },
      geo_address_json: {
        value: null,
        columns: {
          location_raw: null,
          location_name: null,
          meeting_point: null,
        },
      },
      meeting_url: { value: null, columns: { meeting_url: null } },
      cover_url: { value: null, columns: { cover_image_url: null } },
    },
    tags: [],
    host_email: null,
    rest: {
      id: "evt-1",
      calendar_id: "",
      url: "",
      geo_address_json: null,
      tags: null,
      waitlist_status: null,
    },
    gone: false,
  });
});

Deno.test("a value that the columns cannot hold is not told", () => {
  assertEquals(told("name", { name: " \n" }), undefined);
  assertEquals(told("timezone", { timezone: " " }), undefined);
  assertEquals(told("visibility", { visibility: "secret" }), undefined);
  // An hour before the year 1, and one past 9999, where Postgres reads no such text.
  for (
    const start_at of [
      "0000-06-01T00:00:00Z",
      "0001-01-01T00:00:00+01:00",
      "9999-12-31T23:30:00-01:00",
    ]
  ) assertEquals(told("start_at", { start_at }), undefined, start_at);
  assertEquals(told("description_md", { description_md: " " }), {
    value: " ",
    columns: { description: " " },
  });
});

Deno.test("a place may be (0, 0), or come in the deprecated strings; what is no point says nothing", () => {
  const at = (latitude: number, longitude: number, lat = latitude) => ({
    value: { latitude, longitude },
    columns: { lat, lng: longitude, geocode_status: "success" },
  });
  const cases: [Record<string, unknown>, unknown][] = [
    [{ coordinate: { latitude: 0, longitude: 0 } }, at(0, 0)],
    [{ coordinate: { latitude: -90, longitude: 180 } }, at(-90, 180)],
    [{ coordinate: { latitude: -33.8567844, longitude: 1 } }, {
      ...at(-33.85678, 1, -33.8567844),
    }],
    [{ coordinate: { latitude: 91, longitude: 0 } }, undefined],
    [{ coordinate: { latitude: 0, longitude: -180.5 } }, undefined],
    [{ geo_latitude: "12.5", geo_longitude: " 77.25 " }, at(12.5, 77.25)],
    [{ geo_latitude: "0", geo_longitude: "0" }, at(0, 0)],
    [{ geo_latitude: null, geo_longitude: null }, {
      value: null,
      columns: { lat: null, lng: null },
    }],
    [{ geo_latitude: "", geo_longitude: "" }, undefined],
    [{ geo_latitude: "12.5" }, undefined],
    [{ geo_latitude: "12.5", geo_longitude: null }, undefined],
    [{ geo_latitude: "12.5N", geo_longitude: "77" }, undefined],
    [{ geo_latitude: "12.5", geo_longitude: "1e999" }, undefined],
    [{ geo_latitude: 12.5, geo_longitude: 77.25 }, undefined],
    // What is not deprecated counts.
    [{ coordinate: null, geo_latitude: "1", geo_longitude: "2" }, {
      value: null,
      columns: { lat: null, lng: null },
    }],
  ];
  for (const [part, field] of cases) {
    assertEquals(told("coordinate", part), field, JSON.stringify(part));
  }
});

Deno.test("an address is one line; its name and the meeting point are told apart from it", () => {
  const field = (
    value: string | null,
    raw: string | null,
    name = "",
    point = "",
  ) => ({
    value,
    columns: {
      location_raw: raw,
      location_name: name || null,
      meeting_point: point || null,
    },
  });
  const cases: [Record<string, unknown>, unknown][] = [
    [
      { address: " Zo  House ", full_address: "Zo House,\n80 Feet Road " },
      field("Zo House, 80 Feet Road", "Zo House, 80 Feet Road", "Zo House"),
    ],
    [
      {
        address: "80 Feet Road",
        full_address: "80 Feet Road, Bengaluru",
        description: " Zo\tHouse",
      },
      field("80 Feet Road, Bengaluru", "80 Feet Road, Bengaluru", "Zo House"),
    ],
    [{ address: "Zo House" }, field("Zo House", "Zo House")],
    [
      { address: "Zo House", full_address: null, description: "" },
      field("Zo House", "Zo House"),
    ],
    [
      { address: "Zo House ", full_address: " Zo House", description: null },
      field("Zo House", "Zo House"),
    ],
    [{ full_address: "Zo House" }, field("Zo House", "Zo House")],
    [{ address: null, full_address: " " }, field(null, null)],
    [
      { address: "", description: "Zo House" },
      field(null, null, "Zo House"),
    ],
    [
      { address: "Zo House (Meeting point: roof (north))" },
      field(
        "Zo House (Meeting point: roof (north))",
        "Zo House",
        "",
        "roof (north)",
      ),
    ],
    [
      { address: "Meeting point: roof" },
      field("Meeting point: roof", null, "", "roof"),
    ],
    [
      { address: "Zo House (Meeting point: roof), Bengaluru" },
      field(
        "Zo House (Meeting point: roof), Bengaluru",
        "Zo House (Meeting point: roof), Bengaluru",
      ),
    ],
    // Neither of the lines was told.
    [{ city: "Bengaluru", description: "Zo House" }, undefined],
  ];
  for (const [geo_address_json, expected] of cases) {
    assertEquals(
      told("geo_address_json", { geo_address_json }),
      expected,
      JSON.stringify(geo_address_json),
    );
  }
});

Deno.test("a meeting link that its column would refuse is compared and not stored", () => {
  const stored = [
    "https://meet.example/abc?x=1#y",
    "HTTP://meet.example",
    "https://zoom.us/j/1?pwd=a.b",
    "https://10.0.0.1:8080/",
  ];
  const others = [
    "https://localhost/a.b",
    "https://user@meet.example/",
    "https://meet.example/a b",
    "https://meet.example/a\u0085b",
    "https://meet.example:99999/",
    "meet.example/abc",
    "javascript:alert(1)//.x",
    "zoommtg://zoom.us/join?a.b",
    "Room 5",
  ];
  for (const url of [...stored, ...others]) {
    assertEquals(told("meeting_url", { meeting_url: ` ${url}\n` }), {
      value: url,
      columns: { meeting_url: stored.includes(url) ? url : null },
    });
  }
  for (const meeting_url of ["", " ", null]) {
    assertEquals(told("meeting_url", { meeting_url }), {
      value: null,
      columns: { meeting_url: null },
    });
  }
});

Deno.test("the host is the first one, if there is one", () => {
  const host = (hosts: unknown) => {
    const news = fromLumaEvent(LumaEvent.parse({ ...EVENT, hosts }));
    return "host_email" in news ? news.host_email : "not told";
  };
  const second = { id: "usr-2", email: "b@example.com" };
  assertEquals(
    host([{ id: "usr-1", email: " A@Example.com" }, second]),
    "a@example.com",
  );
  assertEquals(host([{ id: "usr-1", email: null }, second]), null);
  assertEquals(host([{ id: "usr-1", email: " " }, second]), null);
  assertEquals(host([]), null);
  assertEquals(host(null), null);
  assertEquals(host([{ id: "usr-1" }, second]), "not told");
  assertEquals(host(undefined), "not told");
});

Deno.test("a guest of whom little is told", () => {
  const bare = {
    luma_event_id: "evt-1",
    luma_guest_id: "gst-1",
    email: "a@example.com",
    name: null,
    phone: null,
    status: "approved",
    registered_at: null,
    checked_in_at: null,
    rsvp_type: "standard",
    tickets: [],
  };
  const news = (part: object) =>
    fromLumaGuest("evt-1", LumaGuest.parse({ ...GUEST, ...part }));
  assertEquals(news({}), bare);
  assertEquals(
    news({
      user_email: " A@Example.COM\n",
      user_name: " ",
      phone_number: "",
      approval_status: "session",
      registered_at: null,
      event_tickets: null,
    }),
    bare,
  );
  for (const status of ["pending_approval", "invited", "declined", "new"]) {
    assertEquals(news({ approval_status: status }).status, status);
  }
});

Deno.test("a guest is checked in with the first of the tickets", () => {
  const tickets = [
    null,
    "2026-12-01T12:00:00+05:30",
    "2026-12-01T07:00:00Z",
    undefined,
  ].map((checked_in_at, index) => ({ id: `tkt-${index}`, checked_in_at }));
  const guest = LumaGuest.parse({ ...GUEST, event_tickets: tickets });
  assertEquals(
    fromLumaGuest("evt-1", guest).checked_in_at,
    "2026-12-01T06:30:00.000Z",
  );
});

Deno.test("the names of the tickets tell the kind of guest", () => {
  const cases: [string, ...(string | null)[]][] = [
    ["standard"],
    ["standard", null, "General admission"],
    ["standard", "Ghosts and hostels", "VIPER", "Staffing", "Crewe"],
    ["vip", "vip"],
    ["vip", "Early bird", "VIPs - front row"],
    ["vip", "vip_pass"],
    ["speaker", "VIP speaker"],
    ["speaker", "Panelist"],
    ["speaker", "PANELLISTS"],
    ["speaker", "Mentor ticket"],
    ["organizer", "VIP", "Speaker", "Organiser"],
    ["organizer", "Speaker / Host"],
    ["organizer", "Crew"],
    ["organizer", "event staff"],
    ["organizer", "Organizers"],
  ];
  for (const [kind, ...names] of cases) {
    const event_tickets = names.map((name, i) => ({ id: `tkt-${i}`, name }));
    const guest = LumaGuest.parse({ ...GUEST, event_tickets });
    assertEquals(fromLumaGuest("evt-1", guest).rsvp_type, kind, `${names}`);
  }
});

Deno.test("what Luma was told compares with what it tells", () => {
  assertEquals(
    toldFields({
      ...TYPED,
      cover_url: DEFAULT_COVER_URL,
      max_capacity: 40,
      timezone: undefined,
    }),
    {
      name: "Open mic",
      description_md: "Bring a __song__.",
      start_at: "2027-01-01T14:00:00.000Z",
      end_at: "2027-01-01T16:30:00.000Z",
      coordinate: { latitude: 12.93346, longitude: 0 },
      geo_address_json: "Zo House, 80 Feet Road (Meeting point: roof (north))",
      meeting_url: "https://meet.example/abc",
      cover_url: DEFAULT_COVER_URL,
      visibility: "members-only",
    },
  );
  assertEquals(
    toldFields({
      meeting_url: "",
      description_md: "",
      max_capacity: null,
      geo_address_json: { type: "google", place_id: "p-1" },
    }),
    { meeting_url: null, description_md: "" },
  );
  assertEquals(toldFields({}), {});
});

Deno.test("a delivery that is not as expected is refused with the field's name and no value", () => {
  const guest = { ...GUEST, event: EVENT };
  const cases: [string, Record<string, unknown>, string][] = [
    [
      "guest.updated",
      { ...guest, event: { ...EVENT, start_at: "tomorrow" } },
      "guest.updated: data.event.start_at is not as expected: Invalid ISO datetime",
    ],
    [
      "event.created",
      { ...EVENT, id: 7, name: null },
      "event.created: data.id is not as expected: Invalid input: expected string, received number; data.name is not as expected: Invalid input: expected string, received null",
    ],
    [
      "ticket.registered",
      { ...guest, event_ticket: { id: "tkt-1", checked_in_at: "noon" } },
      "ticket.registered: data.event_ticket.checked_in_at is not as expected: Invalid ISO datetime",
    ],
    [
      "guest.registered",
      { ...guest, event_tickets: [{ id: "tkt-1", name: ["a"] }] },
      "guest.registered: data.event_tickets.0.name is not as expected: Invalid input: expected string, received array",
    ],
    [
      "guest.registered",
      { ...GUEST },
      "guest.registered: data.event is not as expected: Invalid input: expected object, received undefined",
    ],
    [
      "calendar.event.added",
      { ...EVENT, platform: "luma", calendar: "cal-1" },
      "calendar.event.added: data.calendar is not as expected: Invalid input: expected object, received string",
    ],
  ];
  for (const [type, data, message] of cases) {
    const error = assertThrows(() => newsOf(type, data), NewsError);
    assertEquals(error.message, message);
  }
  const many = assertThrows(() => newsOf("event.created", {}), NewsError);
  assertEquals(many.message.match(/is not as expected/g)?.length, 3);
});

Deno.test("the slug is the end of the page's path, in lower case", () => {
  const pages: [string, string | null][] = [
    ["https://luma.com/jam-0123456789ab", "jam-0123456789ab"],
    ["https://lu.ma/jam", "jam"],
    ["https://luma.com/jam/?utm_source=x#top", "jam"],
    ["https://luma.com/Jam", "jam"],
    ["https://luma.com/event/jam", "jam"],
    ["https://luma.com/", null],
    ["https://luma.com", null],
    ["jam", null],
    ["", null],
  ];
  for (const [url, slug] of pages) assertEquals(slugOf(url), slug, url);
});
