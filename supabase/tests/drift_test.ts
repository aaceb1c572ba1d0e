/** Comparing the two sides: the report says what a pull would do, and writes nothing else. */
import { assertEquals, assertRejects } from "@std/assert";
import { rowWithVersion } from "./luma_deliveries.ts";
import { ownEvent, register } from "./luma_guests.ts";
import { hostEvent, rowOf, rsvpsOf, settle } from "./luma_side.ts";
import {
  calls,
  drain,
  drainAll,
  type EventRow,
  insertEvent,
  insertUsers,
  one,
  pull,
  rsvp,
  type Stack,
  stackTest,
} from "./testing.ts";

/** What the report says, in an order of its own. */
async function drift({ sql }: Pick<Stack, "sql">): Promise<EventRow[]> {
  return [
    ...await sql`
      select entity, title, who, field, app_value, luma_value, ahead, action from luma.drift
      where field not in ('raw_payload', 'external_rsvp_url') order by title, entity, who, field`,
  ];
}

/** Everything that a comparison must leave alone. */
async function written({ sql }: Stack): Promise<string> {
  const { all } = await one(sql`
    select md5(string_agg(v, ',' order by v)) as all from (
      select concat('e', id, xmin) from public.canonical_events
      union all select concat('r', id, xmin) from public.event_rsvps
      union all select concat('l', event_id, xmin) from luma.event_links
      union all select concat('g', id, xmin) from luma.guests
      union all select concat('k', rsvp_id, xmin) from luma.guest_links
      union all select concat('o', entity_id, xmin) from luma.sync_outbox
      union all select concat('c', id, xmin) from luma.conflicts
      union all select concat('x', luma_event_id) from luma.removed_events
      union all select concat('q', event_id, xmin) from luma.reads
    ) x (v)`);
  return all;
}

stackTest(
  "a comparison tells what differs, which side is ahead and what would be done, and the repair does just that",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 4);
    const own = await ownEvent(stack);
    const theirs = hostEvent(stack, { name: "Theirs" });
    for (const user of ["u1", "u2"]) {
      register(stack, { lumaId: theirs.id }, user);
    }
    await pull(stack);
    await settle(stack);
    const row = await rowOf(stack, theirs.id);
    assertEquals(await drift(stack), []);

    // The app is ahead, and nothing is sent for now; so is Luma, and both of the same field.
    await sql`update public.canonical_events set title = 'Ours now', meeting_point = 'Gate 2' where id = ${own.id}`;
    await rsvp(stack, own.id, "u3", "going");
    simulator.host.updateEvent(own.lumaId, {
      name: "Theirs now",
      meeting_url: "https://meet.example/9",
    });
    simulator.host.updateEvent(theirs.id, {
      name: "Moved",
      description_md: "New.",
    });
    simulator.guest.cancel(theirs.id, "u1@example.com");
    register(stack, { lumaId: theirs.id }, "u4");
    register(stack, { lumaId: theirs.id }, "stranger");
    const guests = simulator.event(theirs.id)!.guests;
    guests.splice(
      guests.findIndex((g) => g.user_email === "u2@example.com"),
      1,
    );
    hostEvent(stack, { name: "Unheard of" });
    simulator.clearRequests();
    const before = await written(stack);

    await sql`select luma.reconcile(dry => true)`;
    await pull(stack, {});
    assertEquals(await written(stack), before);
    assertEquals(
      simulator.requests.every(({ method }) => method === "GET"),
      true,
    );
    const report = await drift(stack);
    const line = (entity: string, who: string | null, field: string) =>
      report.filter((l) =>
        l.entity === entity && l.who === who && l.field === field
      )
        .map((
          { app_value, luma_value, ahead },
        ) => [app_value, luma_value, ahead]);
    assertEquals(line("event", null, "name"), [[
      { title: "Ours now" },
      "Theirs now",
      "both",
    ]]);
    assertEquals(line("event", null, "meeting_url"), [[
      null,
      "https://meet.example/9",
      "luma",
    ]]);
    assertEquals(line("event", null, "meeting_point"), [[
      "Gate 2",
      null,
      "app",
    ]]);
    assertEquals(line("event", null, "title"), [["Theirs", "Moved", "luma"]]);
    assertEquals(line("event", null, "description"), [[
      "Bring a towel.",
      "New.",
      "luma",
    ]]);
    assertEquals(line("rsvp", "u1", "status"), [["going", "rejected", "luma"]]);
    assertEquals(line("rsvp", "u3", "status"), [["approved", null, "app"]]);
    assertEquals(line("rsvp", "u4", "*").length, 1);
    assertEquals(line("guest", "stranger@example.com", "status"), [[
      null,
      "approved",
      "luma",
    ]]);
    assertEquals(line("guest", "u2@example.com", "status"), [[
      "approved",
      null,
      "luma",
    ]]);
    assertEquals(
      report.filter(({ action }) => action === "a row is inserted").map((
        { title },
      ) => title),
      ["Unheard of"],
    );
    assertEquals(report.length, 11);

    // What it said is what is done.
    await sql`select luma.reconcile(dry => false)`;
    await pull(stack, {});
    await drainAll(stack);
    assertEquals(await rsvpsOf(stack, row.id), {
      u1: "rejected",
      u2: "rejected",
      u4: "going",
    });
    const after = await rowOf(stack, theirs.id);
    assertEquals([after.title, after.description], ["Moved", "New."]);
    const event = simulator.event(own.lumaId)!;
    assertEquals(
      [event.name, event.meeting_url, event.guests.map((g) => g.user_email)],
      ["Ours now", "https://meet.example/9", ["u3@example.com"]],
    );
    await sql`select luma.reconcile()`;
    await pull(stack, {});
    assertEquals(await drift(stack), []);
  },
);

stackTest(
  "in dry_run a pull shows what it would write, and what would be sent is in luma.attempts; nothing else is written",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`select luma.set_mode('dry_run')`;
    await insertUsers(stack, 1);
    const theirs = hostEvent(stack);
    register(stack, { lumaId: theirs.id }, "u1");
    const [feed] = await sql`
      insert into public.canonical_events (canonical_uid, title, description, starts_at)
      values ('0123456789ab', 'In the feed', ${`https://lu.ma/${
      hostEvent(stack, { name: "In the feed" }).slug
    }`}, now() + interval '10 days') returning id`;
    const own = await insertEvent(stack);
    const before = await rowWithVersion(stack, feed!.id);
    const keys = await sql`select * from public.calendars order by id`;
    await pull(stack);
    await drain(stack);
    const report = await drift(stack);
    assertEquals(
      report.filter(({ field }) => field === "*").map((
        { title, action },
      ) => [title, action]),
      [["Full Moon Swim", "a row is inserted"], [
        "Rooftop Jam",
        "the event is created on Luma",
      ]],
    );
    assertEquals(
      report.some(({ title, action }) =>
        title === "In the feed" &&
        action === "the row is linked with the Luma event"
      ),
      true,
    );
    assertEquals(await rowWithVersion(stack, feed!.id), before);
    assertEquals([...await sql`select * from public.calendars order by id`], [
      ...keys,
    ]);
    assertEquals([
      ...await sql`select * from luma.event_links where luma_event_id is not null`,
    ], []);
    assertEquals(
      simulator.requests.every(({ method }) => method === "GET"),
      true,
    );
    const sent = await sql`
      select entity_id from luma.attempts where outcome = 'dry_run'`;
    assertEquals(sent.map(({ entity_id }) => entity_id), [own]);
    // Live, the same is done.
    await sql`select luma.set_mode('live')`;
    await pull(stack);
    assertEquals(
      (await one(
        sql`select source_type from public.canonical_events where id = ${
          feed!.id
        }`,
      ))
        .source_type,
      "luma",
    );
    assertEquals([...await sql`select * from luma.drift`], []);
  },
);

stackTest(
  "a pull that cannot be asked for says why",
  async (stack) => {
    const { sql } = stack;
    const own = await insertEvent(stack);
    for (
      const [statement, message] of [
        ["select luma.pull_now('goa')", "there is no calendar 'goa'"],
        ["select luma.pull_now(event => 'evt-x')", "no event 'evt-x' on Luma"],
        [`select luma.pull_now(event => '${own}')`, "no event"],
        [
          "select luma.reconcile(calendar => 'goa')",
          "there is no calendar 'goa'",
        ],
      ] as const
    ) {
      await assertRejects(() => sql.unsafe(statement), Error, message);
    }
    await sql`select luma.set_mode('off')`;
    await assertRejects(
      () => sql`select luma.pull_now()`,
      Error,
      "the mode is off",
    );
    assertEquals((await pull(stack, {})).runs, 0);
    assertEquals(calls(stack), []);
  },
);
