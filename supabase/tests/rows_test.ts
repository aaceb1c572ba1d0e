/** Rows that Luma would refuse end as dead letters or corrected values, and never block other rows. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import {
  calls,
  drain,
  insertEvent,
  one,
  passTime,
  stackTest,
} from "./testing.ts";

const start = new Date(Date.now() + 86_400_000);

for (
  const [what, columns, message] of [
    ["ends before it starts", {
      starts_at: start,
      ends_at: new Date(start.getTime() - 1000),
    }, /ends_at .* is not after starts_at/],
    ["has no title", { title: "  \t" }, /title is empty/],
    [
      "is ticketed without a price",
      { is_ticketed: true, ticket_price: null },
      /ticket_price/,
    ],
    ["has a currency that is none", {
      is_ticketed: true,
      ticket_price: 5,
      ticket_currency: "rupees",
    }, /ticket_currency "rupees"/],
  ] as const
) {
  stackTest(
    `a row that ${what} is a dead letter, and others go on`,
    async (stack) => {
      const { sql, simulator } = stack;
      const id = await insertEvent(stack, columns);
      await insertEvent(stack, { title: "Good" });
      await drain(stack);
      assertEquals(simulator.events().map((event) => event.name), ["Good"]);
      const dead = await one(sql`select * from luma.dead_letters`);
      assertEquals(dead.entity_id, id);
      assertMatch(dead.error, message);
      assertEquals(
        (await one(
          sql`select luma_sync_status from public.canonical_events where id = ${id}`,
        )).luma_sync_status,
        "push_failed",
      );

      // Mending the row is all it takes.
      await sql`update public.canonical_events set title = 'Mended', starts_at = ${start}, ends_at = null, is_ticketed = false where id = ${id}`;
      await passTime(stack);
      await drain(stack);
      assert(simulator.events().some((event) => event.name === "Mended"));
      assertEquals((await sql`select * from luma.dead_letters`).length, 0);
      assertEquals(
        (await one(
          sql`select luma_sync_status from public.canonical_events where id = ${id}`,
        )).luma_sync_status,
        "pushed",
      );
    },
  );
}

for (
  const [what, columns, warning] of [
    ["an unknown time zone", { tz: "Mars/Olympus" }, /tz "Mars\/Olympus"/],
    ["coordinates off the globe", { lat: 91, lng: 200 }, /lat 91, lng 200/],
    [
      "half a pair of coordinates",
      { lat: 12.9, lng: null },
      /lat 12.9, lng null/,
    ],
    ["no capacity at all", { max_capacity: 0 }, /max_capacity 0/],
    [
      "a cover that is no image",
      { cover_image_url: "/page.html" },
      /page\.html/,
    ],
    ["a cover on a strange host", {
      cover_image_url: "https://evil.example.com/a.png",
    }, /COVER_ALLOWED_HOSTS/],
  ] as const
) {
  stackTest(
    `a row with ${what} is pushed corrected, with a warning`,
    async (stack) => {
      await insertEvent(stack, columns);
      await drain(stack);
      assertEquals(stack.simulator.events().length, 1);
      const { status, note } = await one(
        stack.sql`select status, note from luma.event_status`,
      );
      assertEquals(status, "on Luma");
      assertMatch(note ?? "", warning);
    },
  );
}

stackTest(
  "a refusal of Luma is a dead letter with Luma's words, and luma.retry sends it again",
  async (stack) => {
    const { sql, simulator } = stack;
    const fault = simulator.faults.add({
      path: "/v1/events/create",
      status: 400,
      message: "name is not nice",
    });
    const id = await insertEvent(stack);
    await drain(stack);
    assertMatch(
      (await one(sql`select error from luma.dead_letters`)).error,
      /POST \/v1\/events\/create answered 400: name is not nice/,
    );
    fault.remove();
    assertEquals(
      (await one(sql`select luma.retry(${id}) as revived`)).revived,
      1,
    );
    await drain(stack);
    assertEquals(simulator.events().length, 1);
  },
);

stackTest(
  "a paid event has a paid ticket and no free one, and is private until then",
  async (stack) => {
    const { simulator } = stack;
    await insertEvent(stack, {
      category: "ticketed",
      is_ticketed: true,
      ticket_price: 499.5,
      ticket_currency: "INR",
    });
    await drain(stack);
    const event = simulator.events()[0]!;
    assertEquals(event.visibility, "public");
    const visible = event.ticketTypes.filter((type) => !type.is_hidden);
    assertEquals(
      visible.map(({ type, cents, currency }) => ({ type, cents, currency })),
      [
        { type: "paid", cents: 49950, currency: "inr" },
      ],
    );
    const create = simulator.requests.find((request) =>
      request.path === "/v1/events/create"
    )!;
    assertEquals((create.body as { visibility: string }).visibility, "private");
  },
);

stackTest(
  "a paid event that Luma refuses a paid ticket stays private and says why",
  async (stack) => {
    const { sql, simulator } = stack;
    simulator.host.setStripeConnected("cal-ZVonmjVxLk7F2oM", false);
    await insertEvent(stack, { is_ticketed: true, ticket_price: 100 });
    await drain(stack);
    assertEquals(simulator.events().map((event) => event.visibility), [
      "private",
    ]);
    const dead = await one(sql`select * from luma.dead_letters`);
    assertMatch(dead.error, /ticket-types\/create answered 400/);

    simulator.host.setStripeConnected("cal-ZVonmjVxLk7F2oM", true);
    await sql`select luma.retry()`;
    await drain(stack);
    assertEquals(simulator.events().map((event) => event.visibility), [
      "public",
    ]);
  },
);

stackTest(
  "an event that is on Luma and is to be paid for, but has no price, is closed until that is mended",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertEvent(stack);
    await drain(stack);
    await sql`update public.canonical_events set is_ticketed = true`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.events()[0]!.visibility, "private");
    assertMatch(
      (await one(sql`select error from luma.dead_letters`)).error,
      /ticket_price/,
    );
    await sql`update public.canonical_events set is_ticketed = false`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.events()[0]!.visibility, "public");
  },
);

stackTest("a culture that changes changes the tag", async (stack) => {
  const { sql, simulator } = stack;
  await insertEvent(stack, { culture: "food" });
  await drain(stack);
  await sql`update public.canonical_events set culture = 'game'`;
  await passTime(stack);
  await drain(stack);
  assertEquals(simulator.events()[0]!.tags.map((tag) => tag.name), ["Gaming"]);
  await sql`update public.canonical_events set culture = 'default'`;
  await passTime(stack);
  await drain(stack);
  assertEquals(simulator.events()[0]!.tags, []);
});

stackTest("admins get helpful errors", async ({ sql }) => {
  for (
    const [statement, message] of [
      ["select luma.set_mode('on')", /off, dry_run or live, not 'on'/],
      ["select luma.pause('sfo')", /no calendar 'sfo'/],
      ["select luma.resume(null)", /no calendar null/],
      [
        "select luma.retry('00000000-0000-0000-0000-000000000000')",
        /nothing of 0{8}/,
      ],
    ] as const
  ) {
    const error = await sql.unsafe(statement).then(
      () => null,
      (error) => error,
    );
    assertMatch(error?.message ?? "no error", message);
  }
});

stackTest(
  "a paused calendar is called for nothing until it is resumed",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`select luma.pause('blr')`;
    await insertEvent(stack);
    await drain(stack);
    assertEquals(simulator.requests.length, 0);
    await sql`select luma.resume('blr')`;
    await drain(stack);
    assertEquals(simulator.events().length, 1);
  },
);

stackTest(
  "an image that cannot be fetched for now is shown when it can be",
  async (stack) => {
    const { sql, simulator } = stack;
    let up = false;
    await using images = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () => up ? new Response(PNG) : new Response("busy", { status: 503 }),
    );
    const host = `127.0.0.1:${images.addr.port}`;
    await stack.functions.setEnv({ COVER_ALLOWED_HOSTS: host });
    await insertEvent(stack, { cover_image_url: `http://${host}/cover.png` });
    await drain(stack);
    const fallback = simulator.events()[0]!.cover_url;

    // Nothing is sent for it while it stays away.
    const before = calls(stack).length;
    await sql`select luma.sweep()`;
    await passTime(stack);
    await drain(stack);
    assertEquals(calls(stack).length, before);

    up = true;
    await sql`update luma.covers set retry_at = now()`;
    await sql`select luma.sweep()`;
    await passTime(stack);
    await drain(stack);
    assertNotEquals(simulator.events()[0]!.cover_url, fallback);
    assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 0);
  },
);

stackTest(
  "an image that was given back is free at once, one that failed is not",
  async ({ sql }) => {
    const image = "https://images.example.com/1.png";
    const begin = async () =>
      (await one(sql`select public.luma_cover_begin(${image}) as begun`)).begun
        .state;
    assertEquals(await begin(), "upload");
    assertEquals(await begin(), "busy");
    await sql`select public.luma_cover_end(${image})`;
    assertEquals(await begin(), "upload");
    await sql`select public.luma_cover_end(${image}, error => 'down', transient => true)`;
    assertEquals(await begin(), "failed");
    await sql`update luma.covers set retry_at = now()`;
    assertEquals(await begin(), "upload");
    await sql`select public.luma_cover_end(${image}, 'https://images.lumacdn.com/x')`;
    assertEquals(await begin(), "uploaded");
  },
);

stackTest(
  "an image that kills the function three times is given up, and the event goes on without it",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertEvent(stack, {
      cover_image_url: "https://images.example.com/bomb.webp",
    });
    await sql`
      insert into luma.covers (source_url, tries, busy_until)
      values ('https://images.example.com/bomb.webp', 3, now() - interval '1 second')`;
    await drain(stack);
    assertEquals(simulator.events().length, 1);
    assertMatch(
      (await one(sql`select note from luma.event_status`)).note,
      /bomb\.webp: the function died three times/,
    );
  },
);

/** The smallest PNG: one pixel. */
const PNG = Uint8Array.from(
  atob(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  ),
  (char) => char.charCodeAt(0),
);
