/** Rules that live in the database alone. */
import { assert, assertEquals } from "@std/assert";
import { drain, insertEvent, one, stackTest } from "./testing.ts";

/** A value that differs from the one that insertEvent gives, for each synced column. */
const OTHER_VALUES: Record<string, unknown> = {
  title: "Other",
  description: "Other",
  starts_at: new Date(Date.now() + 8 * 86_400_000),
  ends_at: new Date(Date.now() + 9 * 86_400_000),
  tz: "Asia/Tokyo",
  lat: 1.5,
  lng: 2.5,
  location_raw: "Other",
  location_name: "Other",
  location_type: "online",
  meeting_point: "Other",
  meeting_url: "https://example.com/m",
  cover_image_url: "https://example.com/c.png",
  visibility: "private",
  max_capacity: 5,
  culture: "food",
  category: "sponsored",
  is_ticketed: true,
  ticket_price: 5,
  ticket_currency: "USD",
};

stackTest(
  "a dump of the database can be restored: every trigger's definition makes it again",
  async ({ admin }) => {
    const triggers = await admin`
      select t.tgname, t.tgrelid::regclass::text as table, pg_get_triggerdef(t.oid) as definition from pg_trigger t
      join pg_proc p on p.oid = t.tgfoid
      where not t.tgisinternal and p.pronamespace = 'luma'::regnamespace`;
    assert(triggers.length > 10);
    for (const { tgname, table, definition } of triggers) {
      await admin.begin(async (sql) => {
        await sql.unsafe(`drop trigger "${tgname}" on ${table}`);
        await sql.unsafe(definition);
      });
    }
  },
);

stackTest(
  "the triggers watch exactly the columns that luma.event_state() has",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    const { state } = await one(
      sql`select luma.event_state(e) as state from public.canonical_events e`,
    );
    assertEquals(
      Object.keys(state).sort(),
      [...Object.keys(OTHER_VALUES), "shown"].sort(),
    );
    let version = 1n;
    for (const [column, value] of Object.entries(OTHER_VALUES)) {
      await sql`update public.canonical_events set ${
        sql({ [column]: value })
      } where id = ${id}`;
      version += 1n;
      assertEquals(
        (await one(sql`select version from luma.sync_outbox`)).version,
        String(version),
        column,
      );
    }
  },
);

stackTest("equal rows have equal states in every time zone", async (stack) => {
  const { sql } = stack;
  await insertEvent(stack);
  const states = await sql.begin(async (session) => {
    const found = [];
    for (const zone of ["UTC", "Asia/Kolkata", "America/New_York"]) {
      await session`select set_config('timezone', ${zone}, true)`;
      found.push(
        (await one(
          session`select luma.event_state(e)::text as state from public.canonical_events e`,
        )).state,
      );
    }
    return found;
  });
  assertEquals(new Set(states).size, 1);
});

stackTest(
  "an event goes to the nearest fence that holds it, else to the default",
  async ({ sql }) => {
    await sql`
    insert into public.calendars (name, url, luma_key, fence_lat, fence_lng, fence_radius_km)
    values ('Goa', 'https://example.com/goa.ics', 'goa', 15.49, 73.83, 450)`;
    const cases: [number | null, number | null, string][] = [
      [12.9716, 77.5946, "blr"], // Bengaluru
      [13.0827, 80.2707, "blr"], // Chennai, 290 km
      [15.3, 74.1, "goa"], // in Goa; Bengaluru is 450 km away
      [37.7749, -122.4194, "zo_events"], // San Francisco
      [0, 0, "zo_events"],
      [null, null, "zo_events"],
      [12.9716, null, "zo_events"],
      [91, 77, "zo_events"],
    ];
    for (const [lat, lng, calendar] of cases) {
      const { routed } = await one(
        sql`select luma.route_event(${lat}, ${lng}) as routed`,
      );
      assertEquals(routed, calendar, `${lat}, ${lng}`);
    }
  },
);

stackTest("the fence ends at 500 km", async ({ sql }) => {
  // Due north of its centre a degree of latitude is 111.195 km.
  for (const [km, calendar] of [[499, "blr"], [501, "zo_events"]] as const) {
    const lat = 12.93 + km / 111.195;
    assertEquals(
      (await one(sql`select luma.route_event(${lat}, 77.63) as routed`)).routed,
      calendar,
    );
  }
});

stackTest(
  "slugs are Luma's kind of slug, whatever the title",
  async ({ sql }) => {
    for (
      const title of [
        "Rooftop Jam!",
        "",
        "   ",
        "ज़ो हाउस",
        "🎉🎉",
        "a".repeat(200),
        "--x--",
        "A  b\tc",
        "x".repeat(36) + " y",
      ]
    ) {
      const { slug } = await one(
        sql`select luma.slug_for('3f2a9c1b-7d00-4000-8000-000000000000', ${title}) as slug`,
      );
      assert(
        /^[a-z0-9]([a-z0-9-]{1,48})[a-z0-9]$/.test(slug) &&
          slug.endsWith("3f2a9c1b7d00") && slug.length <= 50,
        slug,
      );
      assert(!slug.includes("--"), slug);
    }
  },
);

stackTest("Luma's addresses are known in all their forms", async ({ sql }) => {
  for (
    const [address, known] of [
      ["https://luma.com/abc", true],
      ["https://lu.ma/abc?utm=1", true],
      ["http://www.lu.ma/abc/", true],
      ["luma.com/abc", true],
      ["https://luma.com", false],
      ["https://luma.com/", false],
      ["https://notluma.com/abc", false],
      ["https://example.com/?u=https://luma.com/abc", false],
      [null, false],
    ] as const
  ) {
    assertEquals(
      (await one(sql`select luma.is_luma_address(${address}) as known`)).known,
      known,
      `${address}`,
    );
  }
});

stackTest(
  "retry delays double up to the cap, with full jitter",
  async ({ sql }) => {
    for (
      const [attempts, most] of [[0, 2], [3, 16], [20, 600], [
        1000,
        600,
      ]] as const
    ) {
      const rows =
        await sql`select extract(epoch from luma.retry_delay(${attempts}))::float as s from generate_series(1, 200)`;
      const seconds = rows.map((row) => row.s);
      assert(
        Math.max(...seconds) <= most && Math.max(...seconds) > most * 0.8,
        `${attempts}: ${Math.max(...seconds)}`,
      );
      assert(Math.min(...seconds) < most * 0.2);
    }
  },
);

stackTest(
  "every failure has its sort, for good or for now",
  async ({ sql }) => {
    const sorts: [
      kind: string,
      status: number | null,
      attempts: number,
      string,
    ][] = [
      ["invalid_row", null, 0, "dead"],
      ["refused", 403, 0, "dead"],
      ["internal", null, 0, "retry"],
      ["internal", null, 7, "retry"],
      // An error of our own is tried a few times, not for ever.
      ["internal", null, 8, "dead"],
      ["timeout", null, 1000, "retry"],
      ["network", null, 1000, "retry"],
      ["invalid_response", 200, 1000, "retry"],
      ["http", 429, 1000, "rate_limited"],
      ["http", 401, 0, "stopped"],
      ["http", 403, 0, "stopped"],
      ["http", 408, 1000, "retry"],
      ["http", 425, 1000, "retry"],
      ["http", 500, 1000, "retry"],
      ["http", 599, 1000, "retry"],
      ["http", 400, 0, "dead"],
      ["http", 404, 0, "dead"],
      ["http", 422, 0, "dead"],
      // A redirect that is not followed: nothing that time would mend.
      ["http", 302, 0, "dead"],
      ["nobody knows", null, 0, "dead"],
    ];
    for (const [kind, status, attempts, expected] of sorts) {
      const { sort } = await one(
        sql`select luma.sort_failure(${kind}, ${status}, ${attempts}) as sort`,
      );
      assertEquals(sort, expected, `${kind} ${status}, attempt ${attempts}`);
    }
  },
);

stackTest(
  "the clean-up trims history and finished work, and nothing that is due",
  async (stack) => {
    const { sql } = stack;
    await insertEvent(stack, { title: "Done" });
    await drain(stack);
    await insertEvent(stack, { title: "Due" });
    await sql`update luma.attempts set settled_at = now() - interval '15 days'`;
    await sql`update luma.drain_runs set started_at = now() - interval '15 days'`;
    await sql`update luma.sync_outbox set due_at = now() - interval '15 days'`;
    await sql`select luma.clean_up()`;
    assertEquals((await sql`select from luma.attempts`).length, 0);
    assertEquals((await sql`select from luma.drain_runs`).length, 0);
    assertEquals((await sql`select from luma.sync_outbox`).length, 1);
    assertEquals((await sql`select from luma.due_jobs`).length, 1);
  },
);

stackTest(
  "the jobs of pg_cron are scheduled as often as it can",
  async (stack) => {
    const jobs = await stack
      .sql`select jobname, schedule from cron.job where jobname like 'luma-%' order by 1`;
    assertEquals(jobs.map((job) => job.jobname), [
      "luma-alerts",
      "luma-clean-up",
      "luma-drain",
      "luma-pull",
      "luma-sweep",
    ]);
    const { extversion } = await one(
      stack.sql`select extversion from pg_extension where extname = 'pg_cron'`,
    );
    const seconds = Number(extversion.split(/[.-]/)[1]) >= 5;
    assertEquals(
      jobs.find(({ jobname }) => jobname === "luma-drain")!.schedule,
      seconds ? "5 seconds" : "* * * * *",
    );
  },
);
