/** What Luma tells of events, on the whole stack: every kind of delivery, every field, and no echo. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import {
  bothKinds,
  changedColumns,
  conflicts,
  deliverer,
  delivery,
  intercepted,
  lumaColumns,
  passDays,
  picked,
  rowColumns,
  rowWithVersion,
  type Sent,
  uploadedCover,
} from "./luma_deliveries.ts";
import {
  BLR,
  hostEvent,
  lumaTest,
  outcomes,
  rowOf,
  settle,
  ZO_EVENTS,
} from "./luma_side.ts";
import {
  calls,
  drain,
  type EventRow,
  insertEvent,
  one,
  passTime,
  type Stack,
  until,
} from "./testing.ts";

type Patch = Parameters<Stack["simulator"]["host"]["updateEvent"]>[1];

/** Written with every change; what else changes is for the test to say. */
const STAMPS = ["updated_at", "luma_synced_at", "xmin"];
/** Luma's other words for a place, a length and a link, beside those that have a column. */
const DERIVED = ["raw_payload"];

const QUESTION = {
  id: "q-1",
  label: "What do you eat?",
  required: false,
  question_type: "text" as const,
};

/** A change that Luma's own form of the texts tells nothing new of. */
function withoutStamps(changed: EventRow): EventRow {
  const names = Object.keys(changed).filter((name) =>
    ![...STAMPS, ...DERIVED].includes(name)
  );
  return picked(changed, names);
}

async function eventCount({ sql }: Stack): Promise<number> {
  return (await one(sql`select count(*)::int from public.canonical_events`))
    .count;
}

/** As the webhook of an event that has this tag. */
function withTag(sent: Sent, name: string): Sent {
  const body = JSON.parse(sent.body);
  body.data.tags = [{ id: "tag-1", name }];
  return { id: sent.id, body: JSON.stringify(body) };
}

/** The whole row of an event that came from Luma; what is left out here has a default of the app. */
function expectedRow(event: SimEvent, columns: EventRow): EventRow {
  return {
    ...lumaColumns(event),
    canonical_uid: `luma-${event.id}`,
    source_type: "luma",
    submission_status: "approved",
    luma_event_id: event.id,
    luma_sync_status: "pulled",
    external_rsvp_url: `https://luma.com/${event.slug}`,
    source_refs: [{
      source: "luma",
      event_url: `https://luma.com/${event.slug}`,
      luma_event_id: event.id,
      calendar: "blr",
    }],
    geocode_status: "success",
    geocode_attempted_at: null,
    event_version: 1,
    category: "community",
    culture: "food",
    host_id: "host",
    host_type: "citizen",
    max_capacity: null,
    current_rsvp_count: 0,
    meeting_point: null,
    location_type: "custom",
    zo_property_id: null,
    is_ticketed: false,
    ticket_price: null,
    ticket_currency: "INR",
    ...columns,
  };
}

function withoutIdentity(row: EventRow): EventRow {
  const own = ["id", "created_at", "updated_at", "luma_synced_at"];
  return picked(row, Object.keys(row).filter((name) => !own.includes(name)));
}

lumaTest(
  "a new event on Luma becomes one row with all that Luma tells, whichever webhook comes first",
  async (stack) => {
    const { sql } = stack;
    await sql`insert into public.users (id, name, email) values ('host', 'Host', ' Host@BLRxZo.example')`;
    const deliver = await deliverer(stack);
    const cover = await uploadedCover(stack);
    for (const isCreatedFirst of [true, false]) {
      let event!: SimEvent;
      const deliveries = await intercepted(
        stack,
        () =>
          event = hostEvent(stack, {
            description_md: "**Bring**\n\n\n* a towel",
            geo_address_json: {
              type: "google",
              place_id: "ChIJ",
              description: "The jetty",
            },
            meeting_url: "https://meet.example.com/swim",
            cover_url: cover,
            visibility: "members-only",
            registration_questions: [QUESTION],
          }),
      );
      event.tags.push({ id: "tag-1", name: "FOOD", color: "red" });
      const sent = deliveries.map((sent) =>
        sent.type === "event.created" ? withTag(sent, "FOOD") : sent
      );
      for (const one of isCreatedFirst ? sent : sent.toReversed()) {
        assertEquals(await deliver(one), "applied");
      }
      await settle(stack);

      const row = await rowOf(stack, event.id);
      assertEquals(
        withoutIdentity(row),
        expectedRow(event, {
          description: "**Bring**\n\n- a towel",
          location_raw: "Google place ChIJ",
          location_name: "The jetty",
          raw_payload: {
            platform: "luma",
            id: event.id,
            user_id: stack.simulator.calendars[0]!.owner.id,
            calendar_id: BLR,
            duration_interval: "PT2H",
            created_at: event.created_at,
            geo_address_json: event.geo_address_json,
            location_type: "offline",
            location_visibility: "public",
            registration_questions: [QUESTION],
            url: `https://luma.com/${event.slug}`,
            waitlist_status: "disabled",
            feedback_email: { enabled: true, delay: "PT0M" },
            tags: [{ id: "tag-1", name: "FOOD" }],
          },
        }),
      );
      assert(row.luma_synced_at instanceof Date);
    }
    assertEquals(await eventCount(stack), 2);
    // Each is read once, for its host; event.created has told the tags.
    assertEquals(calls(stack), ["/v1/events/get", "/v1/events/get"]);
  },
);

lumaTest(
  "calendar.event.added alone is enough: the rest is read, tags included",
  async (stack) => {
    const deliver = await deliverer(stack);
    let event!: SimEvent;
    const deliveries = await intercepted(stack, () => event = hostEvent(stack));
    event.tags.push({ id: "tag-1", name: "Gaming", color: "red" });
    const added = deliveries.find(({ type }) =>
      type === "calendar.event.added"
    );
    assertEquals(await deliver(added!), "applied");
    await settle(stack);
    const row = await rowOf(stack, event.id);
    assertEquals(rowColumns(row), lumaColumns(event));
    assertEquals(row.culture, "game");
    assertEquals(await eventCount(stack), 1);
    assertEquals(calls(stack), [
      "/v1/events/get",
      "/v1/calendars/events/list",
    ]);
  },
);

lumaTest(
  "an event with a meeting link alone is online, one without anything is not, and a place makes it one at a place",
  async (stack) => {
    const { simulator } = stack;
    const bare = { coordinate: undefined, geo_address_json: undefined };
    const online = hostEvent(stack, {
      ...bare,
      meeting_url: "https://zoom.us/j/1",
    });
    const nowhere = hostEvent(stack, bare);
    await settle(stack);
    const place = async (event: SimEvent) =>
      picked(await rowOf(stack, event.id), [
        "location_type",
        "meeting_url",
        "lat",
        "location_raw",
        "geocode_status",
      ]);
    assertEquals(await place(online), {
      location_type: "online",
      meeting_url: "https://zoom.us/j/1",
      lat: null,
      location_raw: null,
      geocode_status: "pending",
    });
    assertEquals((await place(nowhere)).location_type, "custom");

    simulator.host.updateEvent(online.id, {
      geo_address_json: { type: "manual", address: "1 Pier" },
    });
    await settle(stack);
    assertEquals((await place(online)).location_type, "custom");
    simulator.host.updateEvent(online.id, { geo_address_json: null });
    await settle(stack);
    assertEquals((await place(online)).location_type, "online");
    assertEquals(simulator.event(online.id)!.geo_address_json, null);
  },
);

lumaTest(
  "an event of another platform, of another calendar, a new member and an unknown type are stored and change nothing",
  async (stack) => {
    const { simulator, sql } = stack;
    const deliver = await deliverer(stack);
    const own = hostEvent(stack);
    await settle(stack);
    const row = await rowOf(stack, own.id);
    const before = await rowWithVersion(stack, String(row.id));
    simulator.clearRequests();
    const known = (await outcomes(stack)).length;

    simulator.host.addExternalEvent(BLR, {
      name: "Elsewhere",
      url: "https://tickets.example.com/1",
      start_at: "2027-01-01T14:00:00Z",
      end_at: "2027-01-01T16:00:00Z",
      timezone: "Asia/Kolkata",
    });
    await simulator.webhooksIdle();
    const [created] = await intercepted(
      stack,
      () => hostEvent(stack, {}, ZO_EVENTS),
    );
    const strange = JSON.parse(created!.body).data;
    const managed = {
      ...strange,
      calendar: { id: ZO_EVENTS },
      hosts: [],
    };
    assertEquals(
      await deliver(
        delivery("calendar.person.subscribed", {
          id: "usr-1",
          email: "a@example.com",
        }),
      ),
      "stored",
    );
    assertEquals(
      await deliver(delivery("calendar.renamed", { id: BLR })),
      "stored",
    );
    assertEquals(
      await deliver(delivery("event.created", strange)),
      "applied",
    );
    assertEquals(
      await deliver(delivery("event.updated", strange)),
      "applied",
    );
    assertEquals(
      await deliver(delivery("calendar.event.added", managed)),
      "applied",
    );
    await settle(stack);

    assertEquals((await outcomes(stack)).slice(known), [
      "calendar.event.added stored",
      "calendar.person.subscribed stored",
      "calendar.renamed stored",
      "event.created another calendar's",
      "event.updated another calendar's",
      "calendar.event.added another calendar's",
    ]);
    const due =
      await sql`select from luma.webhook_inbox where due_at is not null`;
    assertEquals(due.length, 0);
    assertEquals(await eventCount(stack), 1);
    assertEquals(await rowWithVersion(stack, String(row.id)), before);
    assertEquals(calls(stack), []);
  },
);

lumaTest(
  "an event that is cancelled on Luma is cancelled here, and nothing that is told of it later changes that",
  async (stack) => {
    const { simulator } = stack;
    const deliver = await deliverer(stack);
    const event = hostEvent(stack);
    await settle(stack);
    const late = await intercepted(stack, () => {
      simulator.host.updateEvent(event.id, { name: "Late news" });
      simulator.guest.register(event.id, {
        name: "Late guest",
        email: "late@example.com",
      });
    });
    simulator.host.cancelEvent(event.id);
    await settle(stack);
    const row = await rowOf(stack, event.id);
    assertEquals(
      picked(row, ["submission_status", "title", "external_rsvp_url"]),
      {
        submission_status: "cancelled",
        title: "Full Moon Swim",
        external_rsvp_url: null,
      },
    );
    const before = await rowWithVersion(stack, String(row.id));
    simulator.clearRequests();

    for (const one of late) assertEquals(await deliver(one), "applied");
    for (const { id, body, type } of simulator.deliveries) {
      // The rest of its life again, as new deliveries.
      if (type === "event.canceled") continue;
      await deliver({ id: `${id}-again`, body });
    }
    await settle(stack);
    assertEquals(await rowWithVersion(stack, String(row.id)), before);
    assertEquals(await eventCount(stack), 1);
    assertEquals(calls(stack), []);
  },
);

lumaTest(
  "of an event that is cancelled before its creation is told there is never an approved row",
  async (stack) => {
    const { simulator, sql } = stack;
    const deliver = await deliverer(stack);
    const deliveries = await intercepted(stack, () => {
      const event = hostEvent(stack);
      simulator.host.cancelEvent(event.id);
    });
    for (const one of deliveries.toReversed()) await deliver(one);
    await settle(stack);
    const approved =
      await sql`select from public.canonical_events where submission_status = 'approved'`;
    assertEquals(approved.length, 0);
    assertEquals(calls(stack), []);

    // In the order in which it happened, the event was here for a moment.
    const ordered = await intercepted(stack, () => {
      const event = hostEvent(stack);
      simulator.host.cancelEvent(event.id);
    });
    for (const one of ordered) await deliver(one);
    await settle(stack);
    const rows = await sql`select submission_status from canonical_events`;
    assertEquals([...rows], [{ submission_status: "cancelled" }]);
  },
);

/** Each field as a host edits it, with the columns that this is in the row. */
async function lumaEdits(
  stack: Stack,
  event: SimEvent,
): Promise<[string, Patch, EventRow][]> {
  const cover = await uploadedCover(stack);
  const later = new Date(Date.parse(event.start_at) + 600_000);
  const end = new Date(Date.parse(event.end_at) + 600_000);
  const address = (text: string) => ({
    type: "manual" as const,
    address: text,
  });
  return [
    ["the name", { name: "Half Moon Swim" }, { title: "Half Moon Swim" }],
    ["the name's letter case", { name: "Half moon swim" }, {
      title: "Half moon swim",
    }],
    ["the name's punctuation", { name: "Half moon swim!" }, {
      title: "Half moon swim!",
    }],
    ["the description", { description_md: "Bring *two*\n* towels" }, {
      description: "Bring *two*\n- towels",
    }],
    [
      "the description's lines",
      { description_md: "Bring *two*\n\n- towels." },
      {
        description: "Bring *two*\n\n- towels.",
      },
    ],
    ["no description", { description_md: "" }, { description: null }],
    ["the start", { start_at: later.toISOString() }, { starts_at: later }],
    ["the end", { end_at: end.toISOString() }, { ends_at: end }],
    ["the time zone", { timezone: "Europe/Lisbon" }, { tz: "Europe/Lisbon" }],
    ["the place", { coordinate: { latitude: 12.5, longitude: 77.5 } }, {
      lat: 12.5,
      lng: 77.5,
    }],
    ["the hemisphere", { coordinate: { latitude: -12.5, longitude: 77.5 } }, {
      lat: -12.5,
    }],
    ["half the world", { coordinate: { latitude: -1.25, longitude: 77.5 } }, {
      lat: -1.25,
    }],
    ["the address", { geo_address_json: address("2 Lake Road, Bengaluru") }, {
      location_raw: "2 Lake Road, Bengaluru",
    }],
    ["the address's marks", {
      geo_address_json: address("2, Lake Road, Bengaluru"),
    }, { location_raw: "2, Lake Road, Bengaluru" }],
    ["the link", { meeting_url: "https://meet.example.com/a-b" }, {
      meeting_url: "https://meet.example.com/a-b",
    }],
    ["the link's letters", { meeting_url: "https://meet.example.com/A-B" }, {
      meeting_url: "https://meet.example.com/A-B",
    }],
    ["no link", { meeting_url: null }, { meeting_url: null }],
    ["the cover", { cover_url: cover }, { cover_image_url: cover }],
    ["members only", { visibility: "members-only" }, {
      visibility: "members-only",
    }],
    ["private", { visibility: "private" }, { visibility: "private" }],
    ["no address", { geo_address_json: null }, { location_raw: null }],
    ["no place", { coordinate: null }, { lat: null, lng: null }],
  ];
}

/** An edit on Luma after two quiet days, and the columns that its webhook alone has changed. */
async function editAlone(
  stack: Stack,
  id: string,
  event: SimEvent,
  patch: Patch,
): Promise<EventRow> {
  const { simulator } = stack;
  await passDays(stack);
  const before = await rowWithVersion(stack, id);
  simulator.host.updateEvent(event.id, patch);
  await simulator.webhooksIdle();
  return changedColumns(before, await rowWithVersion(stack, id));
}

lumaTest(
  "an edit of one field on Luma reaches the row at once and changes only its column",
  async (stack) => {
    const event = hostEvent(stack, { registration_questions: [QUESTION] });
    await settle(stack);
    const id = String((await rowOf(stack, event.id)).id);
    const edits = await lumaEdits(stack, event);
    stack.simulator.clearRequests();
    const found: [string, EventRow][] = [];
    for (const [what, patch] of edits) {
      const changed = await editAlone(stack, id, event, patch);
      found.push([what, withoutStamps(changed)]);
    }
    assertEquals(found, edits.map(([what, _, columns]) => [what, columns]));

    const other = { ...QUESTION, label: "What do you drink?" };
    const changed = await editAlone(stack, id, event, {
      registration_questions: [other],
    });
    assertEquals(
      Object.keys(changed).sort(),
      [...STAMPS, "raw_payload"].sort(),
    );
    assertEquals(
      (changed.raw_payload as EventRow).registration_questions,
      [other],
    );
    await settle(stack);
    assertEquals(calls(stack), []);
  },
);

lumaTest(
  "what Luma tells of an event is written without a word to the outbox",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    const { id } = await rowOf(stack, event.id);
    const versions = async () => [
      ...await sql`select entity, version, done_version from luma.sync_outbox where entity_id = ${id as string}`,
    ];
    const before = await versions();
    // Heard of a day ago, so that nothing has to be read.
    await sql`update luma.event_links set heard_at = null, told_at = null`;
    simulator.host.updateEvent(event.id, { name: "Half Moon Swim" });
    await until(
      "the row has the new title",
      async () => (await rowOf(stack, event.id)).title === "Half Moon Swim",
    );
    assertEquals(await versions(), before);
  },
);

lumaTest(
  "what Luma tells again, under the same id or another, changes nothing",
  async (stack) => {
    const { simulator } = stack;
    const deliver = await deliverer(stack);
    const event = hostEvent(stack);
    await settle(stack);
    const id = String((await rowOf(stack, event.id)).id);
    simulator.clearRequests();
    const changed = await editAlone(stack, id, event, {
      name: "Half Moon Swim",
    });
    assertEquals(Object.keys(changed).sort(), [...STAMPS, "title"].sort());
    const before = await rowWithVersion(stack, id);
    assert(before.updated_at instanceof Date);

    const { body } = simulator.deliveries.at(-1)!;
    const again = { id: "whd-again", body };
    assertEquals(await deliver(again), "applied");
    assertEquals(await deliver(again), "seen");
    await settle(stack);
    assertEquals((await outcomes(stack)).slice(-2), [
      "event.updated updated",
      "event.updated unchanged",
    ]);
    assertEquals(await rowWithVersion(stack, id), before);
    assertEquals(calls(stack), []);
  },
);

lumaTest(
  "edits on Luma that follow each other closely all reach the row, by reading it",
  async (stack) => {
    const { simulator } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    const lost: Record<string, EventRow> = {};
    for (const [what, patch] of await lumaEdits(stack, event)) {
      simulator.clearRequests();
      simulator.host.updateEvent(event.id, patch);
      await settle(stack);
      const row = rowColumns(await rowOf(stack, event.id));
      const differing = changedColumns(row, lumaColumns(event));
      if (Object.keys(differing).length > 0) lost[what] = differing;
      assert(calls(stack).every((path) => path === "/v1/events/get"), what);
      assert(calls(stack).length <= 1, what);
    }
    assertEquals(lost, {});
  },
);

lumaTest(
  "a tag that is put on or taken off is the culture with the next webhook",
  async (stack) => {
    const { simulator } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    const culture = async () => (await rowOf(stack, event.id)).culture;
    assertEquals(await culture(), "default");
    for (
      const [tags, expected] of [
        [["Strange", "Gaming", "Food"], "game"],
        [["food"], "food"],
        [["Strange"], "default"],
        [[], "default"],
      ] as const
    ) {
      event.tags = tags.map((name) => ({ id: name, name, color: "red" }));
      simulator.host.updateEvent(event.id, { name: `Swim ${tags}` });
      await settle(stack);
      assertEquals(await culture(), expected);
    }
  },
);

lumaTest(
  "a tag of ours that a host takes off again is taken off in the row",
  async (stack) => {
    const { simulator } = stack;
    const id = await insertEvent(stack, { culture: "food" });
    await settle(stack);
    const event = simulator.events()[0]!;
    assertEquals(event.tags.map(({ name }) => name), ["Food"]);
    // Luma tells tags with other changes, so nobody has told yet that ours is there.
    event.tags = [];
    simulator.host.updateEvent(event.id, { name: "Without a tag" });
    await settle(stack);
    assertEquals(
      picked(await rowWithVersion(stack, id), ["title", "culture"]),
      { title: "Without a tag", culture: "default" },
    );
  },
);

/** Each column as the app edits it, with what Luma then holds. */
const APP_EDITS: [EventRow, (event: SimEvent) => unknown, unknown][] = [
  [{ title: "  App   title " }, (e) => e.name, "App title"],
  [
    { description: "A\r\n* b  \n\n\n\n__c__" },
    (e) => e.description_md,
    "A\n- b\n\n**c**",
  ],
  [{ description: null }, (e) => e.description_md, ""],
  [{ lat: 12.987654321, lng: 77.123456789 }, (e) => e.coordinate, {
    latitude: 12.987654321,
    longitude: 77.123456789,
  }],
  [
    { location_name: "The\n  Pier", location_raw: " 5  Sea Road" },
    (e) => e.geo_address_json?.full_address,
    "The Pier, 5 Sea Road",
  ],
  [
    { meeting_point: "gate (left)" },
    (e) => e.geo_address_json?.full_address,
    "The Pier, 5 Sea Road (Meeting point: gate (left))",
  ],
  [
    { meeting_url: "https://meet.example.com/x" },
    (e) => e.meeting_url,
    "https://meet.example.com/x",
  ],
  [{ meeting_url: null }, (e) => e.meeting_url, null],
  [{ visibility: "members-only" }, (e) => e.visibility, "members-only"],
  [{ visibility: "public" }, (e) => e.visibility, "public"],
  [{ max_capacity: 12 }, (e) => e.max_capacity, 12],
  [{ tz: "europe/lisbon" }, (e) => e.timezone, "Europe/Lisbon"],
  [{ submission_status: "cancelled" }, (e) => e.visibility, "private"],
  [{ submission_status: "approved" }, (e) => e.visibility, "public"],
];

/** Lets everything be sent while Luma's webhooks are held; then lets them come. */
async function sendThenHear(stack: Stack, id: string) {
  const { simulator } = stack;
  const held = simulator.faults.add({ on: "webhook", hold: true });
  await drain(stack);
  const sent = await rowWithVersion(stack, id);
  const told = calls(stack).length;
  held.remove();
  await settle(stack);
  return { sent, heard: await rowWithVersion(stack, id), told };
}

lumaTest(
  "an edit in the app reaches Luma, and its echo writes no row and makes no call",
  async (stack) => {
    const { sql, simulator } = stack;
    for (const { kind, id, event } of await bothKinds(stack)) {
      for (const [columns, shown, expected] of APP_EDITS) {
        const what = `${kind} ${JSON.stringify(columns)}`;
        await passTime(stack);
        simulator.clearRequests();
        const before = await rowWithVersion(stack, id);
        await sql`update public.canonical_events set ${
          sql(columns)
        } where id = ${id}`;
        const { sent, heard, told } = await sendThenHear(stack, id);
        assertEquals(shown(event), expected, what);
        const echo = changedColumns(sent, heard);
        // Of an event that came from Luma raw_payload keeps what Luma says.
        assertEquals(kind === "ours" ? echo : withoutStamps(echo), {}, what);
        assertEquals(calls(stack).slice(told), [], what);
        const changed = withoutStamps(changedColumns(before, heard));
        delete changed.luma_sync_status;
        assertEquals(changed, columns, what);
      }
      assertEquals(await conflicts(stack), []);
    }
  },
);

lumaTest(
  "another culture, which is another tag and another cover, is told without an echo",
  async (stack) => {
    const { sql } = stack;
    for (const { kind, id, event } of await bothKinds(stack)) {
      for (
        const [culture, tags] of [
          ["food", ["Food"]],
          ["game", ["Gaming"]],
          ["default", []],
        ] as const
      ) {
        await passTime(stack);
        stack.simulator.clearRequests();
        await sql`update public.canonical_events set culture = ${culture} where id = ${id}`;
        const { sent, heard, told } = await sendThenHear(stack, id);
        assertEquals(event.tags.map(({ name }) => name), [...tags], kind);
        assertEquals(heard, sent, kind);
        assertEquals(heard.culture, culture, kind);
        assertEquals(calls(stack).slice(told), [], `${kind} ${culture}`);
      }
    }
  },
);

lumaTest(
  "an edit of the times in the app reaches Luma, and so does a cover, without an echo",
  async (stack) => {
    const { sql, simulator } = stack;
    const start = new Date(Date.now() + 9 * 86_400_000);
    for (const { kind, id, event } of await bothKinds(stack)) {
      const edits: [EventRow, (event: SimEvent) => unknown, unknown][] = [
        [
          { starts_at: start, ends_at: null },
          (e) => [e.start_at, e.end_at],
          [
            start.toISOString(),
            new Date(Number(start) + 2 * 3_600_000).toISOString(),
          ],
        ],
        [
          { cover_image_url: "/covers/mine.png" },
          (e) => simulator.image(e.cover_url) !== undefined,
          true,
        ],
      ];
      for (const [columns, shown, expected] of edits) {
        await passTime(stack);
        simulator.clearRequests();
        await sql`update public.canonical_events set ${
          sql(columns)
        } where id = ${id}`;
        const { sent, heard, told } = await sendThenHear(stack, id);
        assertEquals(shown(event), expected, kind);
        assertEquals(withoutStamps(changedColumns(sent, heard)), {}, kind);
        assertEquals(picked(heard, Object.keys(columns)), columns, kind);
        assertEquals(calls(stack).slice(told), [], kind);
      }
    }
  },
);

lumaTest(
  "the webhooks of our own new event write no row and cause no call, whatever form Luma gives its texts",
  async (stack) => {
    const { simulator } = stack;
    const rows: EventRow[] = [
      {},
      {
        title: "  Zoo \n Night ",
        description: "# Zoo\r\n\r\n\r\n\r\n* loud\n+ __louder__   \n***\n",
        location_name: "Zoo",
        location_raw: "Zoo,\n 1  Cage\tRoad",
        meeting_point: "Gate  2",
        meeting_url: "https://meet.example.com/zoo",
        cover_image_url: "/covers/zoo.png",
        max_capacity: 40,
        culture: "game",
        visibility: "members-only",
        lat: 12.98765432109,
        lng: 77.00000000001,
        tz: "asia/kolkata",
        ends_at: null,
      },
      {
        description: null,
        lat: null,
        lng: null,
        location_name: null,
        location_raw: null,
        location_type: "online",
        meeting_url: "https://meet.example.com/online",
      },
      // Luma shows a cover of its own for one that has none.
      { cover_image_url: "/covers/lost.txt", culture: "default" },
    ];
    for (const row of rows) {
      const what = JSON.stringify(row);
      simulator.clearRequests();
      const id = await insertEvent(stack, row);
      const { sent, heard, told } = await sendThenHear(stack, id);
      assert(sent.luma_event_id, what);
      assertEquals(heard, sent, what);
      assertEquals(calls(stack).slice(told), [], what);
      assertEquals(heard.luma_sync_status, "pushed", what);
    }
    assertEquals(await eventCount(stack), rows.length);
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "a paid event, which is closed until it has its ticket, is read once and its row stays",
  async (stack) => {
    const id = await insertEvent(stack, {
      is_ticketed: true,
      ticket_price: 100,
    });
    const { sent, heard, told } = await sendThenHear(stack, id);
    assertEquals(heard, sent);
    assertEquals(heard.visibility, "public");
    assertEquals(calls(stack).slice(told), ["/v1/events/get"]);
  },
);

lumaTest(
  "an event of ours without any cover keeps none when Luma shows its own",
  async (stack) => {
    const id = await insertEvent(stack);
    const { sent, heard, told } = await sendThenHear(stack, id);
    assertEquals(heard, sent);
    assertEquals(heard.cover_image_url, null);
    assertEquals(calls(stack).slice(told), []);
  },
  { env: { APP_BASE_URL: "http://127.0.0.1:1" } },
);

lumaTest(
  "an edit on Luma of each field of our event reaches its row, and nothing is sent back",
  async (stack) => {
    const { simulator } = stack;
    const id = await insertEvent(stack, {
      cover_image_url: "/covers/a.png",
      location_name: null,
      geocode_status: "success",
    });
    await settle(stack);
    const event = simulator.events()[0]!;
    const edits = await lumaEdits(stack, event);
    simulator.clearRequests();
    const found: [string, EventRow][] = [];
    for (const [what, patch] of edits) {
      const changed = await editAlone(stack, id, event, patch);
      delete changed.luma_sync_status;
      found.push([what, withoutStamps(changed)]);
    }
    assertEquals(found, edits.map(([what, _, columns]) => [what, columns]));
    await settle(stack);
    assertEquals(calls(stack), []);
    assertEquals((await rowWithVersion(stack, id)).luma_sync_status, "synced");
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "a cancelled event of ours that a host makes public again is hidden again, and the conflict is noted",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await settle(stack);
    const event = simulator.events()[0]!;
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${id}`;
    await settle(stack);
    assertEquals(event.visibility, "private");
    simulator.host.updateEvent(event.id, { visibility: "public" });
    await settle(stack);
    assertEquals(event.visibility, "private");
    const row = await rowWithVersion(stack, id);
    assertEquals(
      picked(row, ["submission_status", "visibility"]),
      { submission_status: "cancelled", visibility: "public" },
    );
    assertEquals(await conflicts(stack), [{
      field: "visibility",
      app_value: "cancelled",
      luma_value: "public",
      winner: "app",
    }]);
    simulator.clearRequests();
    await settle(stack);
    assertEquals(calls(stack), []);
    assertEquals(await rowWithVersion(stack, id), row);

    // Approved again it is what its column says.
    await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
    await settle(stack);
    assertEquals(event.visibility, "public");
  },
);

lumaTest(
  "an event of Luma's that was cancelled in the app and that a host makes public again is approved again",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    const { id } = await rowOf(stack, event.id);
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${
      String(id)
    }`;
    await settle(stack);
    assertEquals(event.visibility, "private");
    simulator.host.updateEvent(event.id, { visibility: "members-only" });
    await settle(stack);
    const row = await rowWithVersion(stack, String(id));
    assertEquals(
      picked(row, ["submission_status", "visibility"]),
      { submission_status: "approved", visibility: "members-only" },
    );
    assertEquals(event.visibility, "members-only");
    assertEquals(await conflicts(stack), []);
    simulator.clearRequests();
    await settle(stack);
    assertEquals(calls(stack), []);
  },
);

lumaTest(
  "an event of ours that is cancelled on Luma and approved again in the app becomes a new Luma event",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack, { culture: "food" });
    await settle(stack);
    const first = simulator.events()[0]!;
    simulator.host.cancelEvent(first.id);
    await settle(stack);
    const cancelled = await rowWithVersion(stack, id);
    assertEquals(
      picked(cancelled, ["submission_status", "external_rsvp_url"]),
      { submission_status: "cancelled", external_rsvp_url: null },
    );
    simulator.clearRequests();
    await settle(stack);
    assertEquals(calls(stack), []);

    await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
    await settle(stack);
    assertEquals(simulator.events().length, 1);
    const second = simulator.events()[0]!;
    assertNotEquals(second.slug, first.slug);
    assertEquals(second.tags.map((tag) => tag.name), ["Food"]);
    const row = await rowWithVersion(stack, id);
    assertEquals(
      picked(row, ["luma_event_id", "submission_status", "external_rsvp_url"]),
      {
        luma_event_id: second.id,
        submission_status: "approved",
        external_rsvp_url: `https://luma.com/${second.slug}`,
      },
    );
    assertEquals(await eventCount(stack), 1);
  },
);

lumaTest(
  "an event of Luma's whose row the app deletes is hidden there, and not inserted again",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    await sql`delete from public.canonical_events where luma_event_id = ${event.id}`;
    await settle(stack);
    assertEquals(event.visibility, "private");
    simulator.clearRequests();
    simulator.host.updateEvent(event.id, { name: "Still there" });
    await settle(stack);
    assertEquals(await eventCount(stack), 0);
    assertEquals(calls(stack), []);
  },
);

lumaTest(
  "a cover that came from Luma is shown on Luma again when the app goes back to it",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack, { cover_url: await uploadedCover(stack) });
    await settle(stack);
    const { id, cover_image_url: cover } = await rowOf(stack, event.id);
    await sql`update public.canonical_events set cover_image_url = '/covers/b.png' where id = ${
      String(id)
    }`;
    await settle(stack);
    assertNotEquals(event.cover_url, cover);
    await sql`update public.canonical_events set cover_image_url = ${
      String(cover)
    } where id = ${String(id)}`;
    await settle(stack);
    assertEquals(event.cover_url, cover);
    assertEquals(simulator.events().length, 1);
  },
);

lumaTest(
  "the meeting point that a host changes in the address reaches the row",
  async (stack) => {
    const { simulator } = stack;
    const id = await insertEvent(stack, { meeting_point: "gate" });
    await settle(stack);
    const event = simulator.events()[0]!;
    const line = (point: string) =>
      `Zo House, 12 MG Road, Bengaluru (Meeting point: ${point})`;
    assertEquals(event.geo_address_json?.full_address, line("gate"));
    simulator.host.updateEvent(event.id, {
      geo_address_json: { type: "manual", address: line("roof") },
    });
    await settle(stack);
    assertEquals((await rowWithVersion(stack, id)).meeting_point, "roof");
    assertEquals(event.geo_address_json?.full_address, line("roof"));
  },
);

lumaTest(
  "an edit on Luma waits for the app's transaction on the same row, without holding it up",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack);
    await until(
      "the row is there",
      async () => await eventCount(stack) === 1,
    );
    await until("all is applied", async () => {
      const due =
        await sql`select from luma.webhook_inbox where due_at is not null`;
      return due.length === 0;
    });
    await sql.begin(async (app) => {
      await app`select from public.canonical_events for update`;
      simulator.host.updateEvent(event.id, { name: "Meanwhile" });
      await simulator.webhooksIdle();
      await app`update public.canonical_events set max_capacity = 9`;
    });
    await until(
      "the name is in the row and the capacity on Luma",
      async () =>
        (await rowOf(stack, event.id)).title === "Meanwhile" &&
        event.max_capacity === 9,
    );
    assertEquals(await conflicts(stack), []);
  },
  { bell: true },
);

lumaTest(
  "what Luma tells while the mode is off is applied when it is live again",
  async (stack) => {
    const { sql, simulator } = stack;
    const ours = await insertEvent(stack);
    const theirs = hostEvent(stack);
    await settle(stack);
    await sql`select luma.set_mode('off')`;
    simulator.clearRequests();
    const mine = simulator.events().find(({ id }) => id !== theirs.id)!;
    simulator.host.updateEvent(mine.id, { name: "Theirs now" });
    simulator.host.updateEvent(theirs.id, { name: "Renamed" });
    const fresh = hostEvent(stack, { name: "New meanwhile" });
    await simulator.webhooksIdle();
    await drain(stack);
    assertEquals(await eventCount(stack), 2);
    assertEquals(calls(stack), []);

    await sql`select luma.set_mode('live')`;
    await settle(stack);
    assertEquals((await rowWithVersion(stack, ours)).title, "Theirs now");
    assertEquals((await rowOf(stack, theirs.id)).title, "Renamed");
    assertEquals((await rowOf(stack, fresh.id)).title, "New meanwhile");
    assertEquals(await eventCount(stack), 3);
  },
);
