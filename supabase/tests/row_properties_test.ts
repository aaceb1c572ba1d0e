/** Whatever stands in a row of the app's, it becomes an event for Luma or says why not, and stops no other row. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ISql } from "postgres";
import { fuzz } from "../functions/_shared/fuzz_for_tests.ts";
import { EventInput } from "../functions/_shared/luma/inputs.ts";
import { EventState } from "../functions/_shared/sync/job.ts";
import { ticketPrice, toLumaEvent } from "../functions/_shared/sync/mapping.ts";
import { unlessRefused } from "../functions/_shared/sync/refused_for_tests.ts";
import { one, stackTest } from "./testing.ts";
import { SQL_ONLY, text } from "./texts_for_tests.ts";

/** A value as Postgres reads it, null too. */
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 4 });
const time = fc.oneof(
  fc.date({
    noInvalidDate: true,
    min: new Date("2026-01-01"),
    max: new Date("2030-01-01"),
  })
    .map((date) => date.toISOString()),
  fc.constantFrom(
    "infinity",
    "-infinity",
    "4713-01-01 BC",
    "294275-12-31",
    "0001-01-01",
    "9999-12-31 23:59:59.999999+00",
    "now",
  ),
);
const number = fc.oneof(
  fc.double({ min: -200, max: 200, noNaN: true }).map(String),
  fc.constantFrom("NaN", "Infinity", "-Infinity", "0", "-0", "1e308", "5e-324"),
);
const price = fc.oneof(
  fc.constantFrom(
    "NaN",
    "Infinity",
    "0",
    "-1",
    "0.001",
    "0.005",
    "1e400",
    "99999999999999999999.99",
    "0.1",
  ),
  fc.integer({ min: 1, max: 1e6 }).map((cents) => String(cents / 100)),
);

/** Columns as texts; what the table's own checks refuse is left out there. */
const row = fc.record({
  title: text,
  description: maybe(text),
  starts_at: time,
  ends_at: maybe(time),
  tz: maybe(
    fc.oneof(text, fc.constantFrom("UTC", "Asia/Kolkata", "+05:30", "IST")),
  ),
  lat: maybe(number),
  lng: maybe(number),
  location_raw: maybe(text),
  location_name: maybe(text),
  location_type: fc.constantFrom(null, "custom", "online", "zo_property"),
  meeting_point: maybe(text),
  meeting_url: fc.constantFrom(
    null,
    "",
    "https://a.test/b",
    "HTTP://[::1].x",
    "https://ü.example/ä?#",
  ),
  cover_image_url: maybe(text),
  visibility: fc.constantFrom(null, "public", "private", "members-only"),
  max_capacity: maybe(
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(String),
  ),
  culture: fc.constantFrom(null, "default", "food"),
  category: fc.constantFrom(null, "community", "ticketed"),
  is_ticketed: fc.constantFrom(null, "true", "false"),
  ticket_price: maybe(price),
  ticket_currency: maybe(
    fc.oneof(text, fc.constantFrom("INR", "JPY", "kwd", "XXX")),
  ),
  submission_status: fc.constantFrom("approved", "cancelled"),
});
type Row = typeof row extends fc.Arbitrary<infer T> ? T : never;

/** What a claim says of these rows, in their order; null for one that the table refuses. */
async function states(sql: ISql, rows: Row[]): Promise<(EventState | null)[]> {
  const found = await sql`
    select luma.fuzz_state(r) as state from unnest(${
    rows.map((row) => JSON.stringify(row))
  }::text[]) with ordinality t (r, n)
    order by n`;
  return found.map(({ state }) =>
    state === null ? null : EventState.parse(state)
  );
}

stackTest(
  "every row that the table takes is read, and becomes an event that Luma takes or is refused with words",
  async ({ sql }) => {
    await sql.unsafe(`
      create function luma.fuzz_state(r text) returns jsonb language plpgsql as $$
      declare
        e public.canonical_events;
      begin
        insert into public.canonical_events (canonical_uid, title, description, starts_at, ends_at, tz, lat, lng, location_raw,
          location_name, location_type, meeting_point, meeting_url, cover_image_url, visibility, max_capacity, culture, category,
          is_ticketed, ticket_price, ticket_currency, submission_status)
        select 'fuzz-' || gen_random_uuid(), p.title, p.description, p.starts_at, p.ends_at, p.tz, p.lat, p.lng, p.location_raw,
          p.location_name, p.location_type, p.meeting_point, p.meeting_url, p.cover_image_url, p.visibility, p.max_capacity, p.culture,
          p.category, p.is_ticketed, p.ticket_price, p.ticket_currency, p.submission_status
        from jsonb_populate_record(null::public.canonical_events, r::jsonb) p
        returning * into e;
        return luma.event_state(e);
      exception when check_violation or invalid_text_representation or datetime_field_overflow or invalid_datetime_format
        or numeric_value_out_of_range then
        return null;
      end $$`);
    const seen = { rows: 0, events: 0, refused: 0, byTheTable: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 100, size: "max" }),
        async (rows) => {
          for (const state of await states(sql, rows)) {
            seen.rows++;
            if (state === null) {
              seen.byTheTable++;
              continue;
            }
            const event = unlessRefused(() => toLumaEvent(state));
            const price = unlessRefused(() => ticketPrice(state));
            if (price) assert(Number.isSafeInteger(price.cents));
            if (event === null) {
              seen.refused++;
              continue;
            }
            seen.events++;
            EventInput.parse(event.fields);
            assertEquals(
              JSON.parse(JSON.stringify(event.fields)),
              defined(event.fields),
            );
          }
        },
      ),
      fuzz(15),
    );
    assert(seen.events > 50 && seen.refused > 50, JSON.stringify(seen));
    const { missed } = await one(
      sql`select count(*)::int as missed from luma.missed_changes`,
    );
    assertEquals(missed, 0);
  },
  SQL_ONLY,
);

/** Without the fields that JSON leaves out. */
function defined(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  );
}
