import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { startSimulator } from "../../../../scripts/luma-simulator/mod.ts";
import { PNG } from "../../../../scripts/luma-simulator/testing.ts";
import { createLumaClient } from "../luma/client.ts";
import { EventChanges, type EventInput } from "../luma/inputs.ts";
import { EVENT, GUEST } from "../luma/testing.ts";
import { fuzz } from "../fuzz_for_tests.ts";
import { LumaEvent } from "../luma/types.ts";
import { delivery, event, text, type } from "./deliveries_for_tests.ts";
import {
  type EventNews,
  fromLumaEvent,
  type News,
  NewsError,
  newsOf,
  toldFields,
} from "./from_luma.ts";

/** The news, or null when there is none or the delivery is refused with a message. */
function news(
  type: string,
  data: Record<string, unknown>,
  refused = (_message: string) => {},
): News | null {
  try {
    return newsOf(type, data);
  } catch (error) {
    assert(error instanceof NewsError, String(error));
    assert(error.message.startsWith(`${type}: data`), error.message);
    refused(error.message);
    return null;
  }
}

Deno.test("whatever is delivered, it is refused with a message or is news in the form of JSON", () => {
  const seen = { refused: 0, events: 0, guests: 0 };
  fc.assert(
    fc.property(delivery, ([type, data]) => {
      const before = structuredClone(data);
      const told = news(type, data, () => seen.refused++);
      assertEquals(data, before);
      assertEquals(JSON.parse(JSON.stringify(told)), told);
      assertEquals(news(type, JSON.parse(JSON.stringify(data))), told);
      if (told) seen.events++;
      if (told?.guest) seen.guests++;
    }),
    fuzz(3_000),
  );
  assert(Object.values(seen).every((n) => n > 100), JSON.stringify(seen));
});

/** Every event that is read. */
function forEachEvent(check: (event: EventNews, data: LumaEvent) => void) {
  let read = 0;
  fc.assert(
    fc.property(event, (told) => {
      const data = LumaEvent.safeParse(told);
      if (!data.success) return;
      read++;
      check(fromLumaEvent(data.data), data.data);
    }),
    fuzz(2_000),
  );
  assert(read > 200, `${read} events were read`);
}

Deno.test("columns hold what Postgres takes, and the rest tells nothing of people", () => {
  forEachEvent((event) => {
    const columns = Object.assign(
      {},
      ...Object.values(event.fields).map(({ columns }) => columns),
    );
    for (const name of ["starts_at", "ends_at"]) {
      assert(/^(?!0000)\d{4}-.*Z$/.test(columns[name] ?? "2027-Z"));
    }
    if (columns.meeting_url) {
      assert(/^https?:\/\/[^\s/?#@]+\.\S+$/i.test(columns.meeting_url));
    }
    assert(columns.title !== "" && columns.location_raw !== "");
    for (const name of ["hosts", "name", "description", "description_md"]) {
      assert(!(name in event.rest));
    }
  });
});

Deno.test("a value told again is the same value, and the same as one that was sent", () => {
  forEachEvent(({ fields }) => {
    const values = Object.fromEntries(
      Object.entries(fields).map(([name, { value }]) => [name, value]),
    );
    const { geo_address_json: line, ...others } = values;
    const again = LumaEvent.safeParse({
      ...EVENT,
      ...others,
      ...(line !== undefined && { geo_address_json: { full_address: line } }),
    });
    const told = fromLumaEvent(again.data!).fields;
    for (const [name, value] of Object.entries(values)) {
      assertEquals(told[name]?.value, value, name);
    }
    const sent = Object.fromEntries(
      Object.entries({
        ...others,
        ...(line && { geo_address_json: { type: "manual", address: line } }),
      }).filter(([, value]) => value !== null),
    );
    const changes = EventChanges.safeParse({ ...sent, cover_url: undefined });
    if (!changes.success) return;
    for (const [name, value] of Object.entries(toldFields(changes.data))) {
      assertEquals(value, values[name], name);
    }
  });
});

Deno.test("less than half a metre is no change of a place", () => {
  const grid = fc.integer({ min: -9_000_000, max: 9_000_000 });
  const off = fc.double({ min: -0.45, max: 0.45, noNaN: true });
  const value = (latitude: number, longitude: number) =>
    toldFields({ coordinate: { latitude, longitude } });
  fc.assert(fc.property(grid, grid, off, off, (lat, lng, up, right) => {
    assertEquals(
      value(
        Math.max(-90, Math.min(90, (lat + up) / 1e5)),
        (lng + right) / 1e5,
      ),
      { coordinate: { latitude: lat / 1e5, longitude: lng / 1e5 } },
    );
  }));
});

Deno.test("no message tells who a guest is", () => {
  const secrets = ["zq7.person@example.com", "+919876500123", "Zq Personne"];
  const secret = fc.constantFrom(...secrets);
  const wrong = fc.oneof(
    secret,
    secret.map((who) => [who]),
    secret.map((who) => ({ [who]: who, id: who, email: [who] })),
    secret.map((who) => [{ id: who, email: { [who]: who }, name: 5 }]),
    fc.constant(7),
  );
  const fields = [...Object.keys(EVENT), ...Object.keys(GUEST)].concat(
    ["user_name", "phone_number", "registered_at", "event_tickets", "tags"],
    ["hosts", "coordinate", "geo_address_json", "event_ticket", "calendar"],
  );
  const part = fc.dictionary(fc.constantFrom(...fields), wrong);
  let refused = 0;
  fc.assert(
    fc.property(type, part, part, (type, ofGuest, ofEvent) => {
      const data = {
        ...EVENT,
        ...GUEST,
        platform: "luma",
        event: { ...EVENT, ...ofEvent },
        ...ofGuest,
      };
      news(type, data, (message) => {
        refused++;
        for (const who of secrets) assert(!message.includes(who), message);
      });
    }),
    fuzz(1_000),
  );
  assert(refused > 200, `${refused} were refused`);
});

const LATEST = "2028-01-01T00:00:00Z";

/** What the mapping can send, and more. */
const input = (covers: string[]): fc.Arbitrary<EventInput> => {
  const optional = <T>(value: fc.Arbitrary<T>) =>
    fc.option(value, { nil: undefined });
  const start = Date.parse("2027-01-01T14:00:00Z");
  const at = (ms: number) => new Date(ms).toISOString();
  return fc.record({
    name: text.filter((name) => name.trim() !== ""),
    start_at: fc.integer({ min: 0, max: 1e10 }).map((ms) => at(start + ms))
      .map((iso) => iso.replace("Z", "+00:00")),
    end_at: optional(
      fc.integer({ min: 2e10, max: 3e10 }).map((ms) => at(start + ms)),
    ),
    timezone: fc.constantFrom("Asia/Kolkata", "UTC", "Europe/Paris"),
    description_md: optional(fc.string({ unit: fc.constantFrom(..."*_ a\n") })),
    cover_url: optional(fc.constantFrom(...covers)),
    coordinate: optional(fc.record({
      latitude: fc.double({ min: -90, max: 90, noNaN: true }),
      longitude: fc.double({ min: -180, max: 180, noNaN: true }),
    })),
    geo_address_json: optional(fc.oneof(
      fc.record({
        type: fc.constant("manual" as const),
        address: text.filter((line) => line !== ""),
      }),
      fc.record({
        type: fc.constant("google" as const),
        place_id: fc.constant("place-1"),
      }),
    )),
    meeting_url: optional(text),
    visibility: optional(
      fc.constantFrom("public", "members-only", "private"),
    ),
    max_capacity: optional(fc.constantFrom(null, 40)),
  });
};

/** The names of those fields that Luma tells as they were sent. */
function comingBack(sent: EventInput): string[] {
  const { slug: _, max_capacity: __, ...fields } = sent;
  return Object.entries(fields).filter(([, value]) =>
    value !== undefined &&
    !(typeof value === "object" && "type" in value && value.type === "google")
  ).map(([name]) => name).sort();
}

Deno.test("what Luma was told comes back with the same values, except for a description's form", async () => {
  const simulator = await startSimulator({ rateLimitPerMinute: 100_000 });
  const client = createLumaClient({
    apiKey: "luma-key-blr",
    baseUrl: simulator.url,
  });
  try {
    const covers = [];
    for (let i = 0; i < 2; i++) {
      const upload = await client.createUploadUrl("image/png");
      await client.uploadImage(upload.upload_url, PNG, "image/png");
      covers.push(upload.file_url);
    }
    const check = async (id: string, sent: EventInput) => {
      const { fields } = fromLumaEvent(await client.getEvent(id));
      const values = toldFields(sent);
      assertEquals(Object.keys(values).sort(), comingBack(sent));
      for (const [name, value] of Object.entries(values)) {
        if (name === "description_md") continue;
        assertEquals(fields[name]?.value, value, name);
      }
    };
    await fc.assert(
      fc.asyncProperty(input(covers), input(covers), async (first, second) => {
        const { id } = await client.createEvent({
          ...first,
          slug: `e-${crypto.randomUUID()}`,
        });
        await check(id, first);
        // The first one's end could be too early for the second one's start.
        const changes = { ...second, end_at: second.end_at ?? LATEST };
        await client.updateEvent(id, changes);
        await check(id, changes);
      }),
      fuzz(150),
    );
  } finally {
    await simulator.stop();
  }
});
