import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ISql } from "postgres";
import { lumaTest } from "./luma_side.ts";
import {
  drain,
  insertEvent,
  one,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

const SQL_ONLY = { functions: false, dataApi: false, simulator: false };
const SLUG = "jam-0123456789ab";

/** A delivery as luma-webhook hands it over, except for what a test changes. */
async function receive(sql: ISql, changes: Record<string, string | null> = {}) {
  const d = {
    id: "whd-1",
    calendar: "blr",
    type: "event.created",
    event: "evt-1",
    slug: SLUG,
    ...changes,
  };
  const payload = JSON.stringify({ type: d.type, data: { id: d.event } });
  const gone = d.type === "event.canceled";
  const start = "2027-01-01T18:00:00.000Z";
  const fields = {
    name: { value: "Jam", columns: { title: "Jam" } },
    start_at: { value: start, columns: { starts_at: start } },
  };
  const event = { luma_event_id: d.event, slug: d.slug, fields, gone };
  // As from_luma.ts puts it; a type that is not used says nothing.
  const news = d.event && d.type.startsWith("event.")
    ? JSON.stringify({ event })
    : null;
  const { result } = await one(sql`
    select public.luma_receive_webhook(
      ${d.id}, ${d.calendar}, ${d.type}, ${payload}, '2026-12-01T12:00:00Z', ${news}
    ) as result`);
  return result;
}

/** A link for which a create call may be under way, except for what a test changes. */
async function insertLink({ sql }: Stack, changes = {}) {
  const row = {
    event_id: crypto.randomUUID(),
    calendar: "blr",
    slug: SLUG,
    create_lease: crypto.randomUUID(),
    luma_event_id: null,
    ...changes,
  };
  await sql`insert into luma.event_links ${sql(row)}`;
}

async function linkedTo({ sql }: Stack, slug = SLUG) {
  const link = await one(
    sql`select luma_event_id from luma.event_links where slug = ${slug}`,
  );
  return link.luma_event_id;
}

/** Waits until so many sessions wait for a lock. */
async function untilBlocked({ admin }: Stack, sessions: number) {
  await until(`${sessions} sessions wait for a lock`, async () => {
    const blocked = await admin`
      select from pg_stat_activity where wait_event_type = 'Lock'`;
    return blocked.length === sessions;
  });
}

stackTest(
  "a delivery is stored once, repeats are counted, and strange types are kept",
  async ({ sql }) => {
    assertEquals(await receive(sql), "applied");
    assertEquals(await receive(sql, { type: "event.updated" }), "seen");
    assertEquals(await receive(sql), "seen");
    const renamed = { id: "whd-2", type: "calendar.renamed", event: null };
    assertEquals(await receive(sql, renamed), "stored");

    const [first, second] =
      await sql`select * from luma.webhook_inbox order by webhook_id`;
    assert(first && second);
    const { received_at, applied_at, sent_at, news, ...rest } = first;
    assert(Date.now() - received_at.getTime() < 60_000);
    assert(applied_at >= received_at);
    assertEquals(news.event.luma_event_id, "evt-1");
    assertEquals(sent_at.toISOString(), "2026-12-01T12:00:00.000Z");
    assertEquals(rest, {
      webhook_id: "whd-1",
      calendar: "blr",
      type: "event.created",
      payload: { type: "event.created", data: { id: "evt-1" } },
      times_received: 3,
      state: "applied",
      outcome: "inserted",
      due_at: null,
      attempts: 1,
      error: null,
    });
    const { type, state, times_received, due_at } = second;
    assertEquals(
      { type, state, times_received, due_at },
      {
        type: "calendar.renamed",
        state: "stored",
        times_received: 1,
        due_at: null,
      },
    );
  },
  SQL_ONLY,
);

stackTest(
  "only the event of a create call of ours is linked, and no link is overwritten",
  async (stack) => {
    const { sql } = stack;
    await insertLink(stack);
    const strangers: Record<string, string | null>[] = [
      { calendar: "zo_events" },
      { type: "event.canceled" },
      { type: "guest.registered" },
      { slug: "another-slug" },
      { slug: null },
      { event: null },
    ];
    for (const [i, stranger] of strangers.entries()) {
      const ids = { id: `whd-stranger-${i}`, event: `evt-stranger-${i}` };
      await receive(sql, { ...ids, ...stranger });
      assertEquals(await linkedTo(stack), null, JSON.stringify(stranger));
    }
    await receive(sql, { id: "whd-own", type: "event.updated" });
    assertEquals(await linkedTo(stack), "evt-1");
    await receive(sql, { id: "whd-later", event: "evt-2" });
    assertEquals(await linkedTo(stack), "evt-1");

    await insertLink(stack, { slug: "not-yet-created", create_lease: null });
    await receive(sql, {
      id: "whd-early",
      event: "evt-3",
      slug: "not-yet-created",
    });
    assertEquals(await linkedTo(stack, "not-yet-created"), null);
  },
  SQL_ONLY,
);

stackTest(
  "a delivery is kept when its event is linked to another slug",
  async (stack) => {
    const { sql } = stack;
    await insertLink(stack);
    await insertLink(stack, { slug: "other", luma_event_id: "evt-1" });
    assertEquals(await receive(sql), "applied");
    assertEquals(await linkedTo(stack), null);
    assertEquals(await linkedTo(stack, "other"), "evt-1");
  },
  SQL_ONLY,
);

stackTest(
  "of two equal deliveries at once, one is stored and one was seen",
  async (stack) => {
    const { sql } = stack;
    await insertLink(stack);
    let second: Promise<string> | undefined;
    await sql.begin(async (first) => {
      assertEquals(await receive(first), "applied");
      second = receive(sql);
      await untilBlocked(stack, 1);
    });
    assertEquals(await second, "seen");
    const { times_received } = await one(
      sql`select times_received from luma.webhook_inbox`,
    );
    assertEquals(times_received, 2);
    assertEquals(await linkedTo(stack), "evt-1");
  },
  SQL_ONLY,
);

stackTest(
  "a delivery and the acknowledgement of the same event wait for each other in either order",
  async (stack) => {
    const { sql } = stack;
    for (const isDeliveryFirst of [true, false]) {
      const lumaEventId = `evt-${isDeliveryFirst}`;
      await insertEvent(stack);
      const { start } = await one(
        sql`select public.luma_drain_start('{blr}') as start`,
      );
      const { claim } = await one(
        sql`select public.luma_claim(${start.run_id}, '{blr}', 1) as claim`,
      );
      const [{ lease, slug }] = claim.jobs;
      const result = JSON.stringify({
        outcome: "done",
        luma_event_id: lumaEventId,
        sent: {},
      });
      const steps = [
        (sql: ISql) =>
          receive(sql, { id: `whd-${lumaEventId}`, event: lumaEventId, slug }),
        async (sql: ISql) => {
          const { done } = await one(
            sql`select public.luma_acknowledge(${lease}, ${result}) as done`,
          );
          return done;
        },
      ];
      const [first, second] = isDeliveryFirst ? steps : steps.toReversed();
      assert(first && second);
      let waiting: Promise<unknown> | undefined;
      let firstResult: unknown;
      await sql.begin(async (transaction) => {
        firstResult = await first(transaction);
        waiting = second(sql);
        await untilBlocked(stack, 1);
      });
      const results: unknown[] = [firstResult, await waiting];
      if (!isDeliveryFirst) results.reverse();
      // Under way when it came, the delivery is applied after the call.
      assertEquals(results, [isDeliveryFirst ? "stored" : "applied", true]);
      assertEquals(await linkedTo(stack, slug), lumaEventId);
    }
    const errors =
      await sql`select from luma.webhook_inbox where error is not null`;
    assertEquals(errors.length, 0);
  },
  SQL_ONLY,
);

stackTest(
  "old deliveries are deleted after webhook_days",
  async ({ sql }) => {
    for (const id of ["whd-old", "whd-young"]) await receive(sql, { id });
    await sql`
      update luma.webhook_inbox
      set received_at = now() - case webhook_id when 'whd-old' then interval '31 days' else interval '29 days' end
      where webhook_id is not null`;
    await sql`select luma.clean_up()`;
    const left = await sql`select webhook_id from luma.webhook_inbox`;
    assertEquals([...left], [{ webhook_id: "whd-young" }]);
  },
  SQL_ONLY,
);

stackTest(
  "only service_role may hand a delivery over, and nobody reads the inbox through the Data API's roles",
  async ({ sql, admin }) => {
    for (const role of ["anon", "authenticated", "service_role"]) {
      const as = <T>(run: (sql: ISql) => Promise<T>) =>
        admin.begin(async (transaction) => {
          await transaction.unsafe(`set local role ${role}`);
          return await run(transaction);
        });
      await assertRejects(
        () => as((sql) => one(sql`select count(*) from luma.webhook_inbox`)),
        Error,
        "permission denied",
      );
      const receiving = as((sql) => receive(sql, { id: `whd-${role}` }));
      if (role === "service_role") assertEquals(await receiving, "applied");
      else await assertRejects(() => receiving, Error, "permission denied");
    }
    const rows = await sql`select webhook_id from luma.webhook_inbox`;
    assertEquals([...rows], [{ webhook_id: "whd-service_role" }]);
  },
  SQL_ONLY,
);

lumaTest(
  "Luma's webhook links our own new event while the create call still waits for its answer",
  async (stack) => {
    const { sql, simulator } = stack;
    simulator.faults.add({
      on: "webhook",
      type: "event.created",
      duplicate: 2,
    });
    const create = simulator.faults.add({
      path: "/v1/events/create",
      when: "after",
      hang: true,
    });
    await insertEvent(stack);
    const running = drain(stack);
    // Should an assertion fail first, that failure is the one to be shown.
    running.catch(() => {});
    await create.waitForHit();
    await simulator.webhooksIdle();

    const [event] = simulator.events();
    assert(event);
    assertEquals(await linkedTo(stack, event.slug), event.id);
    const delivery = await one(
      sql`select * from luma.webhook_inbox where type = 'event.created'`,
    );
    assertEquals([delivery.calendar, delivery.times_received], ["blr", 3]);
    assertEquals(delivery.payload.data.id, event.id);

    create.remove();
    await running;
    assertEquals(simulator.events().length, 1);
    const rows = await sql`select luma_event_id from public.canonical_events`;
    assertEquals([...rows], [{ luma_event_id: event.id }]);
  },
);
