/** Events that are on Luma already: the row that shows one is linked with it, and keeps its id and its RSVPs. */
import { assertEquals } from "@std/assert";
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { duplicates, feedRow, linked, rowCount } from "./adoption_for_tests.ts";
import {
  conflicts,
  deliverer,
  intercepted,
  lumaColumns,
  picked,
  rowColumns,
} from "./luma_deliveries.ts";
import { changingCalls } from "./luma_guests.ts";
import { hostEvent, lumaTest, rowOf, rsvpsOf, settle } from "./luma_side.ts";
import { manyCalls } from "./linked_events.ts";
import {
  type EventRow,
  guestList,
  insertEvent,
  insertUsers,
  pull,
  rsvp,
} from "./testing.ts";

/** An address of a page in each form that people and programs write; in which columns. */
const SHOWN_AS: [string, (event: SimEvent) => EventRow][] = [
  ["the iCal worker's row", (e) => feedRow(e)],
  [
    "source_refs as an array",
    (e) => ({
      source_type: "ical",
      description: null,
      source_refs: [{ event_url: `https://lu.ma/${e.slug}` }],
    }),
  ],
  [
    "source_refs as an array, of the app's own row",
    (e) => ({ source_refs: [{ event_url: `https://luma.com/${e.slug}/` }] }),
  ],
  [
    "a feed's description with words around the address",
    (e) => ({
      source_type: "ical",
      description: `Get up-to-date information at: https://luma.com/${e.slug}.`,
    }),
  ],
  ["luma.com", (e) => ({ external_rsvp_url: `https://luma.com/${e.slug}` })],
  ["lu.ma", (e) => ({ external_rsvp_url: `https://lu.ma/${e.slug}` })],
  ["www", (e) => ({ external_rsvp_url: `https://www.luma.com/${e.slug}` })],
  ["www.lu.ma", (e) => ({ external_rsvp_url: `http://www.lu.ma/${e.slug}/` })],
  ["no scheme", (e) => ({ external_rsvp_url: `lu.ma/${e.slug}` })],
  [
    "spaces around",
    (e) => ({ external_rsvp_url: `  https://lu.ma/${e.slug}\n` }),
  ],
  [
    "a query string",
    (e) => ({ external_rsvp_url: `https://lu.ma/${e.slug}?utm_source=a&b=c` }),
  ],
  [
    "a trailing slash and a query string",
    (e) => ({ external_rsvp_url: `https://luma.com/${e.slug}/?k=c` }),
  ],
  [
    "a fragment",
    (e) => ({ external_rsvp_url: `https://luma.com/${e.slug}#register` }),
  ],
  [
    "capitals",
    (e) => ({ external_rsvp_url: `HTTPS://LU.MA/${e.slug.toUpperCase()}` }),
  ],
  [
    "the page's address by id",
    (e) => ({ external_rsvp_url: `https://luma.com/event/${e.id}` }),
  ],
  [
    "the host's page of the event",
    (e) => ({ external_rsvp_url: `https://luma.com/event/manage/${e.id}` }),
  ],
  [
    "the description of the app's own row, of the same name",
    (e) => ({
      title: e.name.toUpperCase(),
      starts_at: new Date(Date.parse(e.start_at) + 5 * 86_400_000),
      ends_at: null,
      description: `Register [here](https://lu.ma/${e.slug}), please!`,
    }),
  ],
  [
    "the description of the app's own row, of the same day",
    (e) => ({
      title: "Something",
      starts_at: new Date(Date.parse(e.start_at) + 3_600_000),
      ends_at: null,
      description: `<a href="https://lu.ma/${e.slug}">Register</a>`,
    }),
  ],
];

lumaTest(
  "a row that shows a Luma event is linked with it, whatever the form and the place of the address",
  async (stack) => {
    await manyCalls(stack);
    const deliver = await deliverer(stack);
    const expected: Record<string, string> = {};
    for (const how of ["webhook", "pull"]) {
      for (const [form, columns] of SHOWN_AS) {
        let event!: SimEvent;
        const deliveries = await intercepted(
          stack,
          () =>
            event = hostEvent(stack, {
              name: `${form} (${how})`,
              slug: `night-${crypto.randomUUID().slice(0, 8)}`,
            }),
        );
        const id = await insertEvent(stack, { title: form, ...columns(event) });
        expected[id] = event.id;
        if (how === "pull") continue;
        for (const sent of deliveries) {
          assertEquals(await deliver(sent), "applied", form);
        }
      }
      if (how === "pull") await pull(stack);
      assertEquals(await linked(stack), expected, how);
    }
    await settle(stack);
    assertEquals(await rowCount(stack), 2 * SHOWN_AS.length);
    assertEquals(stack.simulator.events().length, 2 * SHOWN_AS.length);
    assertEquals(await duplicates(stack), []);
  },
  { simulator: { rateLimitPerMinute: 10_000 } },
);

lumaTest(
  "an 'ical' row becomes the luma row: its id and RSVPs stay, all else is Luma's, and nothing of it is sent",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 3);
    const events: [string, SimEvent][] = [];
    for (const how of ["pull", "event.created", "calendar.event.added"]) {
      let event!: SimEvent;
      const deliveries = await intercepted(
        stack,
        () =>
          event = hostEvent(stack, {
            visibility: "members-only",
            meeting_url: "https://meet.example.com/swim",
          }),
      );
      const id = await insertEvent(stack, feedRow(event));
      await rsvp(stack, id, "u1", "going");
      events.push([id, event]);
      const sent = deliveries.find(({ type }) => type === how);
      if (sent) assertEquals(await (await deliverer(stack))(sent), "applied");
    }
    await pull(stack);
    await settle(stack);
    for (const [id, event] of events) {
      const row = await rowOf(stack, event.id);
      assertEquals(row.id, id);
      assertEquals(rowColumns(row), lumaColumns(event));
      assertEquals(
        picked(row, ["source_type", "external_rsvp_url", "culture"]),
        {
          source_type: "luma",
          external_rsvp_url: `https://luma.com/${event.slug}`,
          culture: "default",
        },
      );
      assertEquals(await rsvpsOf(stack, id), { u1: "going" });
      assertEquals(guestList(stack, event.id), { u1: "approved" });
    }
    assertEquals(await conflicts(stack), []);
    assertEquals(await duplicates(stack), []);
    assertEquals(
      changingCalls(stack),
      Array(3).fill("/v1/events/guests/add"),
      "only the RSVPs",
    );
    assertEquals(simulator.emails, [], "who was in before is told nothing");

    // From now on it is a luma row as any other.
    const [id, event] = events[0]!;
    simulator.host.updateEvent(event.id, { name: "Later Swim" });
    await settle(stack);
    await sql`update public.canonical_events set description = 'Edited' where id = ${id}`;
    await settle(stack);
    const row = await rowOf(stack, event.id);
    assertEquals([row.title, event.description_md], ["Later Swim", "Edited"]);
  },
);

lumaTest(
  "of the app's own row what it says goes to Luma, what it leaves open comes from there, and what was there is kept",
  async (stack) => {
    const { sql, simulator } = stack;
    for (const how of ["pull", "event.created", "calendar.event.added"]) {
      let event!: SimEvent;
      const deliveries = await intercepted(
        stack,
        () =>
          event = hostEvent(stack, {
            name: "Luma's name",
            description_md: "Luma's words.",
            meeting_url: "https://meet.example.com/luma",
            visibility: "private",
          }),
      );
      let open!: SimEvent;
      await intercepted(
        stack,
        () => open = hostEvent(stack, { description_md: "Luma's alone." }),
      );
      const id = await insertEvent(stack, {
        title: "The app's name",
        description: "The app's words.",
        external_rsvp_url: `https://lu.ma/${event.slug}?utm_source=app`,
        max_capacity: 30,
      });
      const openId = await insertEvent(stack, {
        title: open.name,
        description: null,
        external_rsvp_url: `https://lu.ma/${open.slug}`,
      });
      const sent = deliveries.find(({ type }) => type === how);
      if (sent) assertEquals(await (await deliverer(stack))(sent), "applied");
      await pull(stack);
      await settle(stack);
      const row = await rowOf(stack, event.id);
      assertEquals(
        picked(row, ["id", "source_type", "title", "description"]),
        {
          id,
          source_type: "community",
          title: "The app's name",
          description: "The app's words.",
        },
        how,
      );
      assertEquals(
        {
          name: event.name,
          description_md: event.description_md,
          max_capacity: event.max_capacity,
          visibility: event.visibility,
        },
        {
          name: "The app's name",
          description_md: "The app's words.",
          max_capacity: 30,
          visibility: "private",
        },
        how,
      );
      assertEquals(
        picked(row, ["visibility", "meeting_url", "external_rsvp_url"]),
        {
          visibility: "private",
          meeting_url: "https://meet.example.com/luma",
          external_rsvp_url: `https://lu.ma/${event.slug}?utm_source=app`,
        },
        how,
      );
      const kept =
        await sql`select field, luma_value, winner from luma.conflicts where event_id = ${id}`;
      const kept_ = new Map(kept.map((c) => [c.field, c]));
      for (
        const [field, luma_value] of [
          ["name", "Luma's name"],
          ["description_md", "Luma's words."],
        ] as const
      ) {
        assertEquals(
          kept_.get(field),
          { field, luma_value, winner: "app" },
          `${how}: ${field}`,
        );
      }
      const openRow = await rowOf(stack, open.id);
      assertEquals(
        picked(openRow, ["id", "description"]),
        { id: openId, description: "Luma's alone." },
        how,
      );
      assertEquals(open.description_md, "Luma's alone.");
      assertEquals(simulator.emails, []);
    }
    assertEquals(await duplicates(stack), []);
  },
  { simulator: { rateLimitPerMinute: 10_000 } },
);

lumaTest(
  "RSVPs of an adopted row wait until Luma's guest list was read, and who is in before is mailed nothing",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 5);
    const adopted: [string, SimEvent][] = [];
    for (const source_type of ["ical", "community"]) {
      let event!: SimEvent;
      await intercepted(stack, () => {
        event = hostEvent(stack);
        for (const user of ["u1", "u2"]) {
          simulator.guest.register(event.id, {
            name: user,
            email: `${user}@example.com`,
          });
        }
        simulator.host.setGuestStatus(event.id, "u2@example.com", "declined");
      });
      const id = await insertEvent(stack, {
        ...feedRow(event),
        source_type,
        external_rsvp_url: `https://luma.com/${event.slug}`,
      });
      for (const user of ["u1", "u2", "u3"]) {
        await rsvp(stack, id, user, user === "u1" ? "interested" : "going");
      }
      adopted.push([id, event]);
      // A guest of Luma's tells of the event; the others are not known yet.
      simulator.guest.register(event.id, {
        name: "u4",
        email: "u4@example.com",
      });
      await simulator.webhooksIdle();
      assertEquals((await rowOf(stack, event.id)).id, id);
      await rsvp(stack, id, "u5", "going");
      await settle(stack);
      assertEquals(guestList(stack, event.id), {
        u1: "approved",
        u2: "declined",
        u4: "approved",
      }, "nothing is sent to a list that was not read");
    }
    // What was asked for with the adoption; no more.
    await pull(stack, {});
    await settle(stack);
    // Of one that comes from Luma its word stands, of the app's own the later one: the RSVP's.
    const [feeds, own] = adopted;
    assertEquals(await rsvpsOf(stack, feeds![0]), {
      u1: "going",
      u2: "rejected",
      u3: "going",
      u4: "going",
      u5: "going",
    });
    assertEquals(guestList(stack, feeds![1].id), {
      u1: "approved",
      u2: "declined",
      u3: "approved",
      u4: "approved",
      u5: "approved",
    });
    assertEquals(await rsvpsOf(stack, own![0]), {
      u1: "interested",
      u2: "going",
      u3: "going",
      u4: "going",
      u5: "going",
    });
    assertEquals(guestList(stack, own![1].id), {
      u1: "pending_approval",
      u2: "approved",
      u3: "approved",
      u4: "approved",
      u5: "approved",
    });
    assertEquals(simulator.emails.map(({ to, about }) => `${about} ${to}`), []);
  },
);
