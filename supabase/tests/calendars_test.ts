/** Calendars: which are read through the API, which the app's iCal worker reads, and how another city is added. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  DEFAULT_CALENDARS,
  type SimEvent,
} from "../../scripts/luma-simulator/mod.ts";
import { applyMigrations } from "../../scripts/stack/database.ts";
import { subscribeWebhooks } from "../../scripts/stack/webhooks.ts";
import { intercepted } from "./luma_deliveries.ts";
import {
  BLR,
  hostEvent,
  lumaTest,
  rowOf,
  rsvpsOf,
  settle,
  ZO_EVENTS,
} from "./luma_side.ts";
import {
  drainAll,
  type EventRow,
  guestList,
  insertEvent,
  insertUsers,
  one,
  pull,
  rsvp,
  type Stack,
  stackTest,
} from "./testing.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const FEED = "https://api2.luma.com/ics/get?entity=";
const SQL_ONLY = {
  migrate: false,
  functions: false,
  dataApi: false,
  simulator: false,
};

/** The app's calendars as they were before this project came: all are read by its iCal worker. */
async function insertFeeds({ sql }: Pick<Stack, "sql">): Promise<void> {
  await sql`
    insert into public.calendars (name, url, is_active) values
      ('Zo House Bangalore', ${`${FEED}calendar&id=${BLR}`}, true),
      ('Discover', ${`${FEED}discover&id=discplace-BDj7GNbGlsF7Cka`}, true),
      ('SFOxZo', ${`${FEED}calendar&id=${ZO_EVENTS}`}, true),
      ('ETHGlobal Events', ${`${FEED}calendar&id=cal-4BIGfE8WhTFQj9H`}, true)
    on conflict (url) do update set is_active = true`;
}

/** What the app reads of its calendars, by luma_key or name. */
async function calendars({ sql }: Pick<Stack, "sql">): Promise<EventRow> {
  const rows =
    await sql`select name, luma_key, is_active, has_api_key, sync_method from public.calendars order by name`;
  return Object.fromEntries(
    rows.map((row) => [
      row.luma_key ?? row.name,
      `${row.is_active ? "read by the iCal worker" : "skipped"}, ${
        row.has_api_key ? "key" : "no key"
      }, ${row.sync_method}`,
    ]),
  );
}

const FEEDS_ONLY = {
  Discover: "read by the iCal worker, no key, ical",
  "ETHGlobal Events": "read by the iCal worker, no key, ical",
};
const AS_BEFORE = {
  ...FEEDS_ONLY,
  blr: "read by the iCal worker, no key, ical",
  zo_events: "read by the iCal worker, no key, ical",
};
const GIVEN_BACK = {
  ...FEEDS_ONLY,
  blr: "read by the iCal worker, key, luma_api",
  zo_events: "read by the iCal worker, key, luma_api",
};
const TAKEN_OVER = {
  ...FEEDS_ONLY,
  blr: "skipped, key, luma_api",
  zo_events: "skipped, key, luma_api",
};

stackTest(
  "the migrations rename San Francisco's calendar, take nothing from the iCal worker, and keep a name given since",
  async ({ sql }) => {
    const old = ["SFOxZo", "Zo House San Francisco", "Zo SF, renamed"];
    await sql.unsafe(`
      create table public.calendars (
        id uuid primary key default gen_random_uuid(), name text not null, url text not null unique, type text default 'ical',
        is_active boolean default true, created_at timestamptz default now(), updated_at timestamptz default now()
      )`);
    await insertFeeds({ sql });
    await applyMigrations(sql, ROOT);
    assertEquals(await calendars({ sql }), AS_BEFORE);
    const file = `${ROOT}supabase/migrations/20261126000660_calendars.sql`;
    const named = [];
    for (const name of old) {
      await sql`update public.calendars set name = ${name} where luma_key = 'zo_events'`;
      await sql.unsafe(await Deno.readTextFile(file));
      const row = await one(
        sql`select name from public.calendars where luma_key = 'zo_events'`,
      );
      named.push(row.name);
    }
    assertEquals(named, ["Zo Events", "Zo Events", "Zo SF, renamed"]);
  },
  SQL_ONLY,
);

stackTest(
  "the iCal worker keeps its calendars until the first whole live pull, and gets them back when the mode is not live",
  async (stack) => {
    const { sql, simulator } = stack;
    const mode = (mode: string) => sql`select luma.set_mode(${mode})`;
    await insertFeeds(stack);
    assertEquals(await calendars(stack), AS_BEFORE);

    await mode("dry_run");
    await pull(stack);
    assertEquals(await calendars(stack), AS_BEFORE, "dry_run writes nothing");

    await mode("live");
    const event = hostEvent(stack);
    await pull(stack, { event: event.id, calendar: "blr" });
    assertEquals(await calendars(stack), GIVEN_BACK, "one event is not all");
    const refused = simulator.faults.add({
      path: "/v1/calendars/events/list",
      status: 400,
    });
    await pull(stack);
    refused.remove();
    assertEquals(await calendars(stack), GIVEN_BACK, "a failed pull is none");
    await pull(stack);
    assertEquals(await calendars(stack), TAKEN_OVER);

    await mode("off");
    assertEquals(await calendars(stack), GIVEN_BACK);
    await mode("live");
    await pull(stack, { calendar: "blr" });
    assertEquals(await calendars(stack), {
      ...GIVEN_BACK,
      blr: TAKEN_OVER.blr,
    }, "each for itself");
    await mode("dry_run");
    assertEquals(await calendars(stack), GIVEN_BACK);

    // What an admin has switched off stays off.
    await sql`update public.calendars set is_active = false where luma_key = 'blr'`;
    await mode("live");
    await pull(stack);
    await mode("off");
    assertEquals(await calendars(stack), {
      ...GIVEN_BACK,
      blr: TAKEN_OVER.blr,
    });
    await sql`update public.calendars set is_active = true where luma_key = 'blr'`;

    await sql`update luma.settings set skip_ical = false`;
    await mode("live");
    await pull(stack);
    assertEquals(await calendars(stack), GIVEN_BACK, "skip_ical is false");
  },
);

stackTest(
  "a calendar without its key stays with the iCal worker, and comes back to it when the key is taken away",
  async (stack) => {
    const { sql, functions } = stack;
    const without = {
      ...TAKEN_OVER,
      zo_events: "read by the iCal worker, no key, ical",
    };
    await insertFeeds(stack);
    await pull(stack);
    assertEquals(await calendars(stack), without);
    const run = await one(
      sql`select state, problems from luma.pulls where calendar = 'zo_events'`,
    );
    assertEquals(run.state, "failed");
    assertMatch(run.problems[0], /LUMA_ZO_EVENTS_API_KEY is not set/);

    await functions.setEnv({ LUMA_ZO_EVENTS_API_KEY: "luma-key-zo-events" });
    await pull(stack);
    assertEquals(await calendars(stack), TAKEN_OVER);
    await functions.setEnv({ LUMA_ZO_EVENTS_API_KEY: undefined });
    await drainAll(stack);
    assertEquals(await calendars(stack), without);
  },
  { env: { LUMA_ZO_EVENTS_API_KEY: undefined } },
);

lumaTest(
  "what was on Luma before going live is not taken for news whose webhooks were missed; what came since is",
  async (stack) => {
    const { sql, simulator } = stack;
    const missed = async () =>
      (await one(
        sql`select (calendars #>> '{blr,webhooks_missed}')::boolean as missed from luma.health`,
      )).missed;
    const pulledAMinuteAgo = async () => {
      await pull(stack);
      await settle(stack);
      await sql`update luma.event_links set pulled_at = pulled_at - interval '1 minute' where pulled_at is not null`;
      await sql`update luma.guests set pulled_at = pulled_at - interval '1 minute' where pulled_at is not null`;
      await pull(stack);
    };
    await sql`select luma.set_mode('off')`;
    let event!: SimEvent;
    await intercepted(stack, () => {
      event = hostEvent(stack);
      for (const email of ["a@example.com", "b@example.com"]) {
        simulator.guest.register(event.id, { name: "n", email });
      }
    });
    await insertEvent(stack, {
      external_rsvp_url: `https://lu.ma/${event.slug}`,
    });
    await sql`select luma.set_mode('live')`;
    await pulledAMinuteAgo();
    assertEquals(await missed(), false);

    const unheard = [
      () =>
        simulator.host.updateEvent(event.id, {
          meeting_url: "https://a.example/b",
        }),
      () => hostEvent(stack),
      () =>
        simulator.guest.register(event.id, {
          name: "n",
          email: "c@example.com",
        }),
      () => simulator.guest.cancel(event.id, "a@example.com"),
    ];
    for (const act of unheard) {
      await sql`delete from luma.calendar_state`;
      await sql`update luma.event_links set pulled_at = null, heard_at = heard_at - interval '5 minutes' where event_id is not null`;
      await sql`update luma.guests set pulled_at = null, heard_at = heard_at - interval '5 minutes' where event_id is not null`;
      await intercepted(stack, act);
      await pulledAMinuteAgo();
      assertEquals(await missed(), true, String(act));
    }
  },
);

const GOA = {
  id: "cal-GoaGoaGoaGoaGoa",
  name: "GOAxZo",
  slug: "goaxzo",
  key: "luma-key-goa",
};
/** Also closer than 500 km to Bangalore. */
const HAMPI = { lat: 15.335, lng: 76.46 };

stackTest(
  "another city is one row, one secret and one webhook: its events go there, and what happens there comes back",
  async (stack) => {
    const { sql, simulator, functions, functionsUrl } = stack;
    await insertUsers(stack, 2);
    const before = await insertEvent(stack, { title: "Before", ...HAMPI });
    await drainAll(stack);

    await sql`
      insert into public.calendars (name, url, type, luma_key, luma_calendar_id, fence_lat, fence_lng, fence_radius_km)
      values ('Zo Goa', ${`${FEED}calendar&id=${GOA.id}`}, 'luma', 'goa', ${GOA.id}, 15.5, 75.8, 150)`;
    await functions.setEnv({
      LUMA_GOA_API_KEY: GOA.key,
      ...await subscribeWebhooks(simulator, functionsUrl, {
        [BLR]: "BLR",
        [ZO_EVENTS]: "ZO_EVENTS",
        [GOA.id]: "GOA",
      }),
    });

    // Of two fences the nearer one; outside them what was before.
    const places = [
      ["Hampi", HAMPI, GOA.id],
      ["Bangalore", {}, BLR],
      ["Delhi", { lat: 28.6, lng: 77.2 }, ZO_EVENTS],
      ["Nowhere", { lat: null, lng: null }, ZO_EVENTS],
    ] as const;
    for (const [title, place] of places) {
      await insertEvent(stack, { title, ...place });
    }
    await settle(stack);
    const onCalendar = new Map(
      simulator.events().map((event) => [event.name, event.calendar_id]),
    );
    for (const [title, , calendar] of places) {
      assertEquals(onCalendar.get(title), calendar, title);
    }
    // An event stays on the calendar that it was created on.
    await sql`update public.canonical_events set title = 'Before, edited' where id = ${before}`;
    await settle(stack);
    assertEquals(
      simulator.events().find(({ name }) => name === "Before, edited")
        ?.calendar_id,
      BLR,
    );

    // Its own events, by webhook and by pull.
    const told = hostEvent(stack, { name: "Told" }, GOA.id);
    await settle(stack);
    assertEquals((await rowOf(stack, told.id)).title, "Told");
    let unheard!: SimEvent;
    await intercepted(
      stack,
      () => unheard = hostEvent(stack, { name: "Unheard" }, GOA.id),
    );
    await pull(stack);
    await settle(stack);
    for (const event of [told, unheard]) {
      const row = await rowOf(stack, event.id);
      assertEquals(
        (row.source_refs as { calendar: string }[])[0]!.calendar,
        "goa",
      );
    }
    // And their guests, both ways.
    const { id } = await rowOf(stack, told.id);
    simulator.guest.register(told.id, { name: "u1", email: "u1@example.com" });
    await rsvp(stack, String(id), "u2", "going");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, id), { u1: "going", u2: "going" });
    assertEquals(guestList(stack, told.id), { u1: "approved", u2: "approved" });

    assertEquals(
      (await calendars(stack)).goa,
      "skipped, key, luma_api",
    );
    const health = await one(
      sql`select calendars -> 'goa' as goa from luma.health`,
    );
    assertEquals(
      [health.goa.ready, health.goa.problem, health.goa.webhooks_missed],
      [true, null, false],
    );
    assertEquals([...await sql`select * from luma.dead_letters`], []);
  },
  {
    simulator: {
      calendars: [...DEFAULT_CALENDARS, GOA],
      rateLimitPerMinute: 10_000,
    },
  },
);
