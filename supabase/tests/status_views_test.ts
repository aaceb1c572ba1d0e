/** The views that say how much waits, how long it takes, what it costs and what has happened. */
import { assert, assertEquals } from "@std/assert";
import { hostEvent, lumaTest, settle } from "./luma_side.ts";
import {
  drain,
  drainInCall,
  insertEvent,
  insertUsers,
  one,
  rsvp,
  type Stack,
  stackTest,
} from "./testing.ts";

async function queue({ sql }: Stack) {
  const rows = await sql`
    select entity, calendar, due::int, waiting::int, in_flight::int, dead::int, oldest_due is not null as has_oldest
    from luma.queue order by entity, calendar nulls first`;
  return rows.map((row) => ({ ...row }));
}

stackTest(
  "luma.queue counts what is due, waits, is in flight and dead, by kind and calendar",
  async (stack) => {
    const { sql } = stack;
    assertEquals(await queue(stack), []);
    await sql`update luma.settings set edit_spacing_ms = 600000`;
    const id = await insertEvent(stack);
    const zero = { due: 0, waiting: 0, in_flight: 0, dead: 0 };
    const event = { entity: "event", ...zero, has_oldest: false };
    assertEquals(await queue(stack), [
      { ...event, calendar: null, due: 1, has_oldest: true },
    ]);
    const create = await drainInCall(stack, "/v1/events/create");
    assertEquals(await queue(stack), [
      { ...event, calendar: "blr", in_flight: 1 },
    ]);
    create.release();
    await create.drained;
    assertEquals(await queue(stack), []);
    const [user] = await insertUsers(stack, 1);
    await rsvp(stack, id, user!, "going");
    await sql`update public.canonical_events set title = 'Edited' where id = ${id}`;
    await sql`update luma.sync_outbox set dead_at = now(), last_error = 'x' where entity = 'rsvp'`;
    await sql`
      insert into luma.webhook_inbox (webhook_id, calendar, type, payload, sent_at, state, error, due_at)
      values ('1', 'blr', 'event.updated', '{}', now(), 'failed', 'x', null),
        ('2', 'blr', 'event.updated', '{}', now(), 'stored', 'x', now() + interval '1 hour')`;
    await sql`select luma.pull_now('zo_events')`;
    assertEquals(await queue(stack), [
      // It was sent less than edit_spacing_ms ago.
      { ...event, calendar: "blr", waiting: 1 },
      {
        ...event,
        entity: "pull",
        calendar: "zo_events",
        due: 1,
        has_oldest: true,
      },
      { ...event, entity: "rsvp", calendar: null, dead: 1 },
      { ...event, entity: "webhook", calendar: "blr", waiting: 1, dead: 1 },
    ]);
  },
);

stackTest(
  "luma.calendar_status says what a calendar may still do, and why not",
  async (stack) => {
    const { sql } = stack;
    const blr = async () =>
      await one(sql`select * from luma.calendar_status where calendar = 'blr'`);
    await sql`select public.luma_take_permits('blr', 30)`;
    await sql`select public.luma_take_permits('zo_events', 180)`;
    const before = await blr();
    assertEquals(
      [
        before.ready,
        before.calls_last_minute,
        before.calls_per_minute,
        before.calls_left,
      ],
      // 280 over all calendars.
      [true, 30, 180, 70],
    );
    // A key that is missing stops no calendar, and lets nobody call it.
    await sql`select luma.note_problem('zo_events', 'no key', false)`;
    const { ready } = await one(
      sql`select ready from luma.calendar_status where calendar = 'zo_events'`,
    );
    assertEquals(ready, false);
    await sql`update luma.calendar_state set rate_limit = 100 where luma_key = 'blr'`;
    await sql`insert into luma.calendar_state (luma_key, rate_limit) values ('blr', 100) on conflict do nothing`;
    await sql`select luma.note_problem('blr', 'no', true)`;
    const after = await blr();
    assertEquals(
      [after.ready, after.problem, after.calls_per_minute, after.calls_left],
      [false, "no", 80, 50],
    );
  },
  { functions: false, simulator: false },
);

lumaTest(
  "luma.lag and luma.traffic measure what was sent and heard, each call once",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    for (const user of await insertUsers(stack, 20)) {
      await rsvp(stack, id, user, "going");
    }
    await settle(stack);
    hostEvent(stack);
    await settle(stack);
    const lag = await sql`
      select direction, entity, changes::int, p50_ms::float8, p99_ms::float8, max_ms::float8 from luma.lag order by 1 desc, 2`;
    const by = Object.fromEntries(
      lag.map((row) => [`${row.direction} ${row.entity}`, row]),
    );
    assertEquals(by["to Luma event"]?.changes, 1);
    assertEquals(by["to Luma rsvp"]?.changes, 20);
    assert(by["from Luma event"]!.changes >= 1);
    for (const { p50_ms, p99_ms, max_ms } of lag) {
      assert(0 < p50_ms && p50_ms <= p99_ms && p99_ms <= max_ms);
      assert(max_ms < 60_000);
    }
    const traffic = await sql`
      select sum(calls)::int as calls, sum(failed)::int as failed, sum(rate_limited)::int as limited from luma.traffic()`;
    const sent = simulator.requests.filter(({ path }) => !path.startsWith("/_"))
      .length;
    assertEquals({ ...traffic[0] }, { calls: sent, failed: 0, limited: 0 });

    simulator.faults.add({
      path: "/v1/events/update",
      status: 500,
      count: 1,
    });
    await sql`update public.canonical_events set title = 'Edited' where id = ${id}`;
    await settle(stack);
    const { failed } = await one(
      sql`select sum(failed)::int as failed from luma.traffic('1 hour', '5 minutes')`,
    );
    assertEquals(failed, 1);

    // What waited for the mode is no lag.
    await sql`select luma.set_mode('off')`;
    const late = await insertEvent(stack);
    await sql`update luma.sync_outbox set changed_at = now() - interval '3 days' where entity_id = ${late}`;
    await sql`select luma.set_mode('live')`;
    await settle(stack);
    const { max } = await one(
      sql`select max(max_ms)::float8 as max from luma.lag`,
    );
    assert(max < 60_000, String(max));
    // And what was measured before stays.
    const { changes } = await one(
      sql`select changes::int from luma.lag where direction = 'to Luma' and entity = 'rsvp'`,
    );
    assertEquals(changes, 20);
  },
);

lumaTest(
  "luma.history tells an event's life in order: commits, attempts with their calls, webhooks, conflicts",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    const [user] = await insertUsers(stack, 1);
    await rsvp(stack, id, user!, "going");
    simulator.faults.add({
      path: "/v1/events/create",
      status: 503,
      count: 1,
    });
    await drain(stack);
    await settle(stack);
    const luma = simulator.events()[0]!.id;
    simulator.host.updateEvent(luma, { name: "Renamed there" });
    await settle(stack);
    await sql`select luma.note_conflict('event', ${id}, ${id}, 'name', '"Here"', '"There"', 'app')`;
    const history = await sql`select * from luma.history(${id})`;
    const lines = history.map(({ what, entity, who, outcome }) =>
      [what, entity, who, outcome].filter(Boolean).join(" ")
    );
    const first = (line: string) => lines.findIndex((l) => l === line);
    const order = [
      "committed event",
      "slug chosen event blr",
      "attempt event retry",
      "attempt event done",
      "attempt rsvp u1 done",
      "conflict event app stayed",
    ].map(first);
    assert(order.every((at) => at >= 0), lines.join("\n"));
    assertEquals(order, order.toSorted((a, b) => a - b), lines.join("\n"));
    assert(
      lines.some((line) => line.startsWith("webhook event")),
      lines.join("\n"),
    );
    const retry = history[first("attempt event retry")]!;
    assertEquals(
      retry.calls.map(({ route, status }: { route: string; status: number }) =>
        `${route} ${status}`
      ).at(-1),
      "POST /v1/events/create 503",
    );
    assertEquals(
      history.find(({ what }) => what === "conflict")!.detail,
      "name: app Here, Luma There",
    );
    // Of another event there is nothing in it but what waits.
    const other = await insertEvent(stack);
    const waits = await one(
      sql`select what, outcome from luma.history(${other})`,
    );
    assertEquals({ ...waits }, { what: "committed", outcome: "waiting" });
  },
);
