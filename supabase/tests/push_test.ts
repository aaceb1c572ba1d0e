import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertNotEquals,
} from "@std/assert";
import {
  calls,
  drain,
  drainInCall,
  insertEvent,
  one,
  passTime,
  stackTest,
  until,
} from "./testing.ts";

stackTest("an event that is approved is pushed exactly once", async (stack) => {
  const { sql, simulator } = stack;
  const id = await insertEvent(stack, { submission_status: "pending" });
  await drain(stack);
  assertEquals(calls(stack), []);

  await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
  await drain(stack);
  await drain(stack);

  assertEquals(simulator.events().length, 1);
  const [event] = simulator.events();
  const row = await one(
    sql`select * from public.canonical_events where id = ${id}`,
  );
  assertEquals(row.luma_event_id, event!.id);
  assertEquals(row.external_rsvp_url, `https://luma.com/${event!.slug}`);
  assertEquals(row.luma_sync_status, "pushed");
  assert(row.luma_synced_at instanceof Date);
  assertEquals(
    calls(stack).filter((path) => path === "/v1/events/create").length,
    1,
  );
});

stackTest(
  "an event that is approved on insert is pushed by itself",
  async (stack) => {
    await insertEvent(stack, { culture: "food" });
    await until(
      "the event is on Luma with its tag",
      () => stack.simulator.events()[0]?.tags.length === 1,
    );
    assertEquals(stack.simulator.events()[0]!.name, "Rooftop Jam");
  },
  { bell: true },
);

stackTest("the whole row arrives on Luma", async (stack) => {
  await insertEvent(stack, {
    title: "Zoo Night",
    description: "**Loud**",
    culture: "game",
    meeting_point: "Gate 2",
    meeting_url: "https://meet.example.com/zoo",
    max_capacity: 40,
    visibility: "members-only",
  });
  await drain(stack);

  const event = stack.simulator.events()[0]!;
  assertEquals(event.name, "Zoo Night");
  assertEquals(event.tags.map((tag) => tag.name), ["Gaming"]);
  const { body } = stack.simulator.requests.find((request) =>
    request.path === "/v1/events/create"
  )!;
  const sent = body as Record<string, unknown>;
  assertEquals(sent.description_md, "**Loud**");
  assertEquals(sent.timezone, "Asia/Kolkata");
  assertEquals(sent.coordinate, { latitude: 12.9716, longitude: 77.5946 });
  assertEquals(sent.geo_address_json, {
    type: "manual",
    address: "Zo House, 12 MG Road, Bengaluru (Meeting point: Gate 2)",
  });
  assertEquals(sent.meeting_url, "https://meet.example.com/zoo");
  assertEquals(sent.max_capacity, 40);
  assertEquals(sent.visibility, "members-only");
});

stackTest(
  "fifty edits in a burst are at most three update calls, and the last state wins",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await until("the event is on Luma", () => simulator.events().length === 1);
    await until(
      "the create is acknowledged",
      async () =>
        (await sql`select from public.canonical_events where luma_event_id is not null`)
          .length === 1,
    );
    for (let edit = 1; edit <= 50; edit++) {
      await sql`update public.canonical_events set title = ${`Edit ${edit}`} where id = ${id}`;
    }
    await until(
      "the last edit is on Luma",
      () => simulator.events()[0]!.name === "Edit 50",
    );
    await until(
      "nothing is left to do",
      async () =>
        (await sql`select from luma.sync_outbox where version > done_version`)
          .length === 0,
    );
    assertLessOrEqual(
      calls(stack).filter((path) => path === "/v1/events/update").length,
      3,
    );
  },
  { bell: true },
);

stackTest(
  "an edit right after another waits for those that follow it",
  async (stack) => {
    const { sql } = stack;
    await sql`update luma.settings set edit_spacing_ms = 60000`;
    const id = await insertEvent(stack);
    await drain(stack);
    await sql`update public.canonical_events set title = 'Edit 1' where id = ${id}`;
    await sql`update public.canonical_events set title = 'Edit 2' where id = ${id}`;
    const { waits } = await one(
      sql`select due_at > now() + interval '30 seconds' as waits from luma.sync_outbox where entity_id = ${id}`,
    );
    assert(waits);
    // Not so a cancellation.
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${id}`;
    await drain(stack);
    assertEquals(stack.simulator.events()[0]!.visibility, "private");
  },
);

stackTest(
  "an edit does not end the delay of a job that is failing",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`update luma.settings set retry_base_seconds = 100000, retry_cap_seconds = 100000`;
    const id = await insertEvent(stack);
    simulator.faults.add({ path: "/v1/events/create", status: 500 });
    await drain(stack);
    const dueAt = async () =>
      (await one(
        sql`select due_at::text from luma.sync_outbox where entity_id = ${id} and attempts = 1`,
      )).due_at;
    const before = await dueAt();
    await sql`update public.canonical_events set title = 'Edited meanwhile' where id = ${id}`;
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${id}`;
    assertEquals(await dueAt(), before);
  },
);

stackTest(
  "an edit during the call is not lost",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    const { drained, release } = await drainInCall(stack, "/v1/events/create");
    await sql`update public.canonical_events set title = 'Changed meanwhile' where id = ${id}`;
    release();
    await drained;
    assertEquals(simulator.events().map((event) => event.name), [
      "Changed meanwhile",
    ]);
  },
);

stackTest(
  "counts and edits that change nothing enqueue nothing",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await drain(stack);
    const before = calls(stack).length;

    await sql`update public.canonical_events set current_rsvp_count = 7, updated_at = now() where id = ${id}`;
    await sql`update public.canonical_events set title = title, lat = lat, description = description where id = ${id}`;
    const { version, done_version } = await one(
      sql`select version, done_version from luma.sync_outbox`,
    );
    assertEquals(version, done_version);
    await drain(stack);
    assertEquals(calls(stack).length, before);
  },
);

stackTest(
  "an RSVP, which makes the app count, enqueues no event",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await drain(stack);
    await sql`insert into public.users (id, name, email) values ('u1', 'Asha', 'asha@example.com')`;
    await sql`insert into public.event_rsvps (event_id, user_id, status) values (${id}, 'u1', 'going')`;
    const event = await one(
      sql`select current_rsvp_count from public.canonical_events where id = ${id}`,
    );
    assertEquals(event.current_rsvp_count, 1);
    const { version, done_version } = await one(
      sql`select version, done_version from luma.sync_outbox where entity = 'event'`,
    );
    assertEquals(version, done_version);
  },
);

stackTest("an update sends only what changed", async (stack) => {
  const { sql, simulator } = stack;
  const id = await insertEvent(stack);
  await drain(stack);
  await sql`update public.canonical_events set title = 'New name', max_capacity = 9 where id = ${id}`;
  await drain(stack);
  const update = simulator.requests.at(-1)!;
  assertEquals(update.path, "/v1/events/update");
  assertEquals(update.body, {
    event_id: simulator.events()[0]!.id,
    name: "New name",
    max_capacity: 9,
  });
});

for (const status of ["cancelled", "rejected", "pending"]) {
  stackTest(
    `an event that becomes ${status} is private on Luma, and visible when approved again`,
    async (stack) => {
      const { sql, simulator } = stack;
      const id = await insertEvent(stack, { visibility: "members-only" });
      await drain(stack);
      await sql`update public.canonical_events set submission_status = ${status} where id = ${id}`;
      await drain(stack);
      assertEquals(simulator.events()[0]!.visibility, "private");

      await sql`update public.canonical_events set title = 'While hidden' where id = ${id}`;
      await drain(stack);
      await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
      await drain(stack);
      const event = simulator.events()[0]!;
      assertEquals(event.visibility, "members-only");
      assertEquals(event.name, "While hidden");
    },
  );
}

stackTest("a deleted event is private on Luma", async (stack) => {
  const { sql, simulator } = stack;
  const id = await insertEvent(stack);
  await drain(stack);
  await sql`delete from public.canonical_events where id = ${id}`;
  await drain(stack);
  assertEquals(simulator.events()[0]!.visibility, "private");
  // And stays so: nothing is found to do again and again.
  const before = calls(stack).length;
  await sql`select luma.sweep()`;
  await drain(stack);
  assertEquals(calls(stack).length, before);
});

stackTest(
  "with the setting, a cancelled event is cancelled on Luma",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`update luma.settings set cancel_on_luma = true`;
    const id = await insertEvent(stack);
    await drain(stack);
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${id}`;
    await drain(stack);
    assertEquals(simulator.events().length, 0);
    assertEquals(
      (await one(sql`select luma_event_id from public.canonical_events`))
        .luma_event_id,
      null,
    );
  },
);

stackTest(
  "an event that was cancelled on Luma and is approved again is a new one there",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`update luma.settings set cancel_on_luma = true`;
    const id = await insertEvent(stack);
    await drain(stack);
    const first = simulator.events()[0]!.slug;
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${id}`;
    await drain(stack);
    await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
    await drain(stack);
    assertEquals(simulator.events().length, 1);
    assertNotEquals(simulator.events()[0]!.slug, first);
  },
);

stackTest("a host's own address is not overwritten", async (stack) => {
  const { sql } = stack;
  await insertEvent(stack, {
    external_rsvp_url: "https://tickets.example.com",
  });
  await drain(stack);
  const row = await one(sql`select * from public.canonical_events`);
  assertEquals(row.external_rsvp_url, "https://tickets.example.com");
  assert(row.luma_event_id);
});

for (
  const [what, columns] of [
    ["an ical event", { source_type: "ical" }],
    ["an event from Luma", { source_type: "luma" }],
    ["an event that is over", {
      starts_at: new Date(Date.now() - 7_200_000),
      ends_at: new Date(Date.now() - 3_600_000),
    }],
    ["an event that is on Luma already", {
      external_rsvp_url: "https://lu.ma/zo-night?utm=1",
    }],
    ["a draft", { submission_status: "draft" }],
  ] as const
) {
  stackTest(`${what} is not created on Luma`, async (stack) => {
    await insertEvent(stack, columns);
    await drain(stack);
    await stack.sql`select luma.backfill(), luma.sweep()`;
    await drain(stack);
    assertEquals(calls(stack), []);
    const { status, note } = await one(
      stack.sql`select status, note from luma.event_status`,
    );
    assertEquals(status, "not on Luma");
    assert(note);
  });
}

stackTest("an event that moves stays on its calendar", async (stack) => {
  const { sql, simulator } = stack;
  const id = await insertEvent(stack);
  await drain(stack);
  const calendar = simulator.events()[0]!.calendar_id;
  assertEquals(calendar, "cal-ZVonmjVxLk7F2oM");
  await sql`update public.canonical_events set lat = 37.77, lng = -122.42 where id = ${id}`;
  await drain(stack);
  assertEquals(simulator.events().length, 1);
  assertEquals(simulator.events()[0]!.calendar_id, calendar);
  assertEquals(
    (simulator.requests.at(-1)!.body as Record<string, unknown>).coordinate,
    { latitude: 37.77, longitude: -122.42 },
  );
});

stackTest("(0, 0) is a place, outside the fence", async (stack) => {
  await insertEvent(stack, { lat: 0, lng: 0 });
  await drain(stack);
  const { body, calendar } = stack.simulator.requests.find((request) =>
    request.path === "/v1/events/create"
  )!;
  assertEquals(calendar, "cal-3YNnBTToy9fnnjQ");
  assertEquals((body as Record<string, unknown>).coordinate, {
    latitude: 0,
    longitude: 0,
  });
});

for (const mode of ["off", "dry_run"]) {
  stackTest(
    `in mode ${mode} nothing is sent, and going live sends it`,
    async (stack) => {
      const { sql, simulator } = stack;
      await sql`select luma.set_mode(${mode})`;
      await insertEvent(stack, { culture: "food" });
      await drain(stack);
      await drain(stack);
      assertEquals(calls(stack), []);
      const logged =
        await sql`select calls from luma.attempts where outcome = 'dry_run'`;
      assertEquals(logged.length, mode === "dry_run" ? 1 : 0);
      if (mode === "dry_run") {
        assertEquals(logged[0]!.calls[0].route, "POST /v1/events/create");
        assertEquals(logged[0]!.calls[0].body.name, "Rooftop Jam");
      }
      await sql`select luma.set_mode('live')`;
      await passTime(stack);
      await drain(stack);
      assertEquals(simulator.events().length, 1);
    },
  );
}
