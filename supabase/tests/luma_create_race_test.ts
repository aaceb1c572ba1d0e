/** Our own new event and the webhooks about it, in every order: always one Luma event and one row. */
import { assert, assertEquals } from "@std/assert";
import type { ISql } from "postgres";
import type { Delivery, SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { newsOf } from "../functions/_shared/sync/from_luma.ts";
import {
  conflicts,
  deliverer,
  intercepted,
  permutations,
  picked,
  rowWithVersion,
} from "./luma_deliveries.ts";
import { BLR, lumaTest, outcomes, settle } from "./luma_side.ts";
import {
  calls,
  claimEvents,
  drain,
  drainInCall,
  type EventRow,
  insertEvent,
  one,
  type Stack,
  startRun,
  until,
} from "./testing.ts";

const CREATE = "/v1/events/create";

/** Settles, and checks that this row has the one Luma event with its slug, and that nothing follows. */
async function assertOne(stack: Stack, id: string): Promise<SimEvent> {
  const { sql, simulator } = stack;
  await settle(stack);
  const link = await one(
    sql`select * from luma.event_links where event_id = ${id}`,
  );
  const events = simulator.events().filter(({ slug }) => slug === link.slug);
  assertEquals(events.length, 1);
  const [event] = events;
  assert(event);
  assertEquals(link.luma_event_id, event.id);
  const row = await rowWithVersion(stack, id);
  assertEquals(
    picked(row, ["luma_event_id", "source_type", "external_rsvp_url"]),
    {
      luma_event_id: event.id,
      source_type: "community",
      external_rsvp_url: `https://luma.com/${event.slug}`,
    },
  );
  await assertNoStranger(stack);

  simulator.clearRequests();
  await settle(stack);
  assertEquals(calls(stack), []);
  assertEquals(await rowWithVersion(stack, id), row);
  return event;
}

/** No row was made of a webhook, none was left over, and nothing went wrong. */
async function assertNoStranger(stack: Stack): Promise<void> {
  const { sql } = stack;
  const strangers =
    await sql`select from public.canonical_events where source_type = 'luma'`;
  assertEquals(strangers.length, 0);
  const told = await outcomes(stack);
  assert(!told.some((outcome) => outcome.includes("inserted")), `${told}`);
  const failed =
    await sql`select error from luma.webhook_inbox where error is not null`;
  assertEquals([...failed], []);
}

/** The state of each delivery, while the create call has no answer yet. */
async function inboxStates({ sql }: Stack): Promise<string[]> {
  const rows =
    await sql`select distinct outcome from luma.webhook_inbox order by 1`;
  return rows.map(({ outcome }) => outcome);
}

lumaTest(
  "webhooks that come before the create call has answered find its row",
  async (stack) => {
    const id = await insertEvent(stack, { culture: "food" });
    const { drained, release } = await drainInCall(stack, CREATE, "after");
    await stack.simulator.webhooksIdle();
    assertEquals(await inboxStates(stack), ["waiting"]);
    const { luma_event_id } = await one(
      stack.sql`select luma_event_id from luma.event_links`,
    );
    assertEquals(luma_event_id, stack.simulator.events()[0]!.id);
    release();
    await drained;
    await assertOne(stack, id);
  },
);

lumaTest(
  "webhooks that come after the create call was acknowledged find its row",
  async (stack) => {
    const held = stack.simulator.faults.add({ on: "webhook", hold: true });
    const id = await insertEvent(stack, { culture: "food" });
    await drain(stack);
    const before = await rowWithVersion(stack, id);
    held.remove();
    await assertOne(stack, id);
    assertEquals(await rowWithVersion(stack, id), before);
  },
);

lumaTest(
  "while the create call is under way its webhooks may come in any order, a guest's too",
  async (stack) => {
    const { simulator } = stack;
    const deliver = await deliverer(stack);
    let round = 0;
    for (const order of permutations([0, 1, 2])) {
      // From none to all of them before the answer.
      const early = round++ % 4;
      const id = await insertEvent(stack, { title: `Round ${round}` });
      const fault = simulator.faults.add({ on: "webhook", drop: true });
      const from = simulator.deliveries.length;
      const { drained, release } = await drainInCall(stack, CREATE, "after");
      const event = simulator.events().at(-1)!;
      simulator.guest.register(event.id, {
        name: "Early",
        email: "early@example.com",
      });
      await simulator.webhooksIdle();
      fault.remove();
      const sent = ["event.created", "calendar.event.added", "guest.registered"]
        .map((type) =>
          simulator.deliveries.slice(from).find((sent) => sent.type === type)!
        );
      const ordered = order.map((n) => sent[n]!);
      for (const one of ordered.slice(0, early)) await deliver(one);
      release();
      await drained;
      for (const one of ordered.slice(early)) await deliver(one);
      await assertOne(stack, id);
    }
    assertEquals(simulator.events().length, round);
  },
);

/** A delivery as luma-webhook hands it over. */
async function receive(sql: ISql, { id, type, body }: Delivery) {
  const news = JSON.stringify(newsOf(type, JSON.parse(body).data));
  const { result } = await one(sql`
    select public.luma_receive_webhook(${id}, 'blr', ${type}, ${body}, ${new Date()}, ${news}) as result`);
  return result;
}

async function acknowledge(sql: ISql, lease: string, lumaEventId: string) {
  const result = { outcome: "done", luma_event_id: lumaEventId, sent: {} };
  const { done } = await one(sql`
    select public.luma_acknowledge(${lease}, ${
    JSON.stringify(result)
  }) as done`);
  return done;
}

/** Runs the second while the first has not committed; both commit. */
async function overlapping<A, B>(
  { sql, admin }: Stack,
  first: (sql: ISql) => Promise<A>,
  second: (sql: ISql) => Promise<B>,
): Promise<[A, B]> {
  let later: Promise<B> | undefined;
  let isOver = false;
  const result = await sql.begin(async (transaction) => {
    const result = await first(transaction);
    later = second(sql).finally(() => isOver = true);
    later.catch(() => {});
    await until("the second waits, or is over", async () => {
      const blocked =
        await admin`select from pg_stat_activity where wait_event_type = 'Lock'`;
      return isOver || blocked.length > 0;
    });
    return result;
  });
  return [result as A, await later!];
}

lumaTest(
  "a webhook and the acknowledgement of the create call may overlap in either order",
  async (stack) => {
    const { simulator } = stack;
    for (const isDeliveryFirst of [true, false]) {
      const id = await insertEvent(stack);
      const [job] = await claimEvents(stack, await startRun(stack));
      assert(job);
      // What the create call does, without its answer.
      const { start_at, end_at } = {
        start_at: job.state!.starts_at!,
        end_at: job.state!.ends_at!,
      };
      const [created] = await intercepted(
        stack,
        () =>
          simulator.host.createEvent(BLR, {
            name: "Rooftop Jam",
            start_at,
            end_at,
            timezone: "Asia/Kolkata",
            slug: job.slug,
          }),
      );
      const event = simulator.events().at(-1)!;
      const hear = (sql: ISql) => receive(sql, created!);
      const settleIt = (sql: ISql) => acknowledge(sql, job.lease, event.id);
      const results = isDeliveryFirst
        ? await overlapping(stack, hear, settleIt)
        : await overlapping(stack, settleIt, hear);
      assert(results.includes(true), `${results}`);
      assert(
        results.includes("stored") || results.includes("applied"),
        `${results}`,
      );
      await assertOne(stack, id);
    }
    assertEquals(simulator.events().length, 2);
  },
);

/** The function dies after the create call has taken effect; nobody has heard of the event. */
async function dieInCreate(stack: Stack): Promise<void> {
  const { drained, release } = await drainInCall(stack, CREATE, "after");
  await stack.functions.kill("luma-drain");
  release();
  await drained.catch(() => {});
}

for (
  const when of ["before it dies", "after it died", "after the next drain"]
) {
  lumaTest(
    `the function dies after the create call, and the webhooks come ${when}`,
    async (stack) => {
      const { simulator } = stack;
      const held = simulator.faults.add({ on: "webhook", hold: true });
      const id = await insertEvent(stack, { culture: "food" });
      if (when === "before it dies") held.remove();
      await dieInCreate(stack);
      if (when === "after it died") held.remove();
      if (when === "after the next drain") {
        await stack
          .sql`update luma.sync_outbox set due_at = now() - interval '1 second'`;
        await drain(stack);
        assertEquals(await inboxStates(stack), []);
        held.remove();
      }
      const event = await assertOne(stack, id);
      assertEquals(event.tags.map(({ name }) => name), ["Food"]);
      assertEquals(simulator.events().length, 1);
    },
  );
}

for (const lost of [{ status: 503 }, { close: true }]) {
  const how = lost.close ? "no answer" : "an error";
  lumaTest(
    `a create call that took effect and has ${how}, and its webhooks`,
    async (stack) => {
      stack.simulator.faults.add({
        path: CREATE,
        when: "after",
        count: 1,
        ...lost,
      });
      const id = await insertEvent(stack, { culture: "food" });
      await assertOne(stack, id);
      assertEquals(stack.simulator.events().length, 1);
    },
  );
}

lumaTest(
  "the function dies after the create call, and the webhooks come while the mode is off",
  async (stack) => {
    const held = stack.simulator.faults.add({ on: "webhook", hold: true });
    const id = await insertEvent(stack);
    await dieInCreate(stack);
    await stack.sql`select luma.set_mode('off')`;
    held.remove();
    await stack.simulator.webhooksIdle();
    await stack.sql`select luma.set_mode('live')`;
    await assertOne(stack, id);
    assertEquals(stack.simulator.events().length, 1);
  },
);

/** What the app does while the create call is under way, and what Luma then shows. */
const MEANWHILE: [what: string, columns: EventRow, shown: Partial<SimEvent>][] =
  [
    ["edits it", { title: "Ours 2" }, {
      name: "Ours 2",
      visibility: "public",
    }],
    ["cancels it", { submission_status: "cancelled" }, {
      name: "Rooftop Jam",
      visibility: "private",
    }],
  ];

for (const isDead of [false, true]) {
  const how = isDead ? "whose function then dies" : "which is under way";
  lumaTest(
    `the app changes a row during its create call, ${how}, and the webhooks of it come`,
    async (stack) => {
      const { sql, simulator } = stack;
      for (const [what, columns, shown] of MEANWHILE) {
        const id = await insertEvent(stack);
        const { drained, release } = await drainInCall(stack, CREATE, "after");
        await simulator.webhooksIdle();
        await sql`update public.canonical_events set ${
          sql(columns)
        } where id = ${id}`;
        if (isDead) await stack.functions.kill("luma-drain");
        release();
        await drained.catch(() => {});
        const event = await assertOne(stack, id);
        assertEquals(
          picked({ ...event }, Object.keys(shown)),
          { ...shown },
          what,
        );
      }
      assertEquals(await conflicts(stack), []);
    },
  );
}

lumaTest(
  "a row that the app deletes during its create call does not come back by the webhooks",
  async (stack) => {
    const { sql, simulator } = stack;
    for (const isEarly of [true, false]) {
      const held = simulator.faults.add({ on: "webhook", hold: true });
      const id = await insertEvent(stack);
      const { drained, release } = await drainInCall(stack, CREATE, "after");
      await sql`delete from public.canonical_events where id = ${id}`;
      if (isEarly) {
        held.remove();
        await simulator.webhooksIdle();
      }
      release();
      await drained;
      held.remove();
      await settle(stack);
      assertEquals(simulator.events().at(-1)!.visibility, "private");
      const rows = await sql`select from public.canonical_events`;
      assertEquals(rows.length, 0);
      await assertNoStranger(stack);
    }
  },
);

for (const isDead of [false, true]) {
  const how = isDead ? "whose function then dies" : "which is under way";
  lumaTest(
    `a host's edit of our new event during the create call, ${how}, survives`,
    async (stack) => {
      const { simulator } = stack;
      const id = await insertEvent(stack);
      const { drained, release } = await drainInCall(stack, CREATE, "after");
      const event = simulator.events()[0]!;
      simulator.host.updateEvent(event.id, { name: "Theirs" });
      await simulator.webhooksIdle();
      if (isDead) await stack.functions.kill("luma-drain");
      release();
      await drained.catch(() => {});
      await assertOne(stack, id);
      assertEquals((await rowWithVersion(stack, id)).title, "Theirs");
      assertEquals(event.name, "Theirs");
      assertEquals(await conflicts(stack), []);
    },
  );
}

lumaTest(
  "edits on both sides after a create call whose function died both survive, and of the same field the app's does",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack, { culture: "food" });
    const { drained, release } = await drainInCall(stack, CREATE, "after");
    await stack.functions.kill("luma-drain");
    await drained.catch(() => {});
    release();
    const event = simulator.events()[0]!;
    simulator.host.updateEvent(event.id, {
      name: "Theirs",
      meeting_url: "https://meet.example/theirs",
    });
    await simulator.webhooksIdle();
    await sql`
      update public.canonical_events set description = 'Ours', meeting_url = 'https://meet.example/ours'`;
    await assertOne(stack, id);
    const row = await rowWithVersion(stack, id);
    assertEquals([row.title, row.description], ["Theirs", "Ours"]);
    assertEquals([event.name, event.description_md], ["Theirs", "Ours"]);
    assertEquals(event.meeting_url, "https://meet.example/ours");
    assertEquals(event.tags.map(({ name }) => name), ["Food"]);
    assertEquals(await conflicts(stack), [{
      field: "meeting_url",
      app_value: { meeting_url: "https://meet.example/ours" },
      luma_value: "https://meet.example/theirs",
      winner: "app",
    }]);
  },
);

lumaTest(
  "many events at once, with webhooks twice and out of order, are as many Luma events",
  async (stack) => {
    const { sql, simulator } = stack;
    simulator.faults.add({ on: "webhook", duplicate: 1, reorder: true });
    const ids = await Promise.all(
      Array.from(
        { length: 12 },
        (_, n) => insertEvent(stack, { title: `Jam ${n}`, culture: "food" }),
      ),
    );
    await until("all rows are linked", async () => {
      const linked =
        await sql`select from public.canonical_events where luma_event_id is not null`;
      return linked.length === ids.length;
    });
    await settle(stack);
    assertEquals(simulator.events().length, ids.length);
    await assertNoStranger(stack);
    assertEquals(await conflicts(stack), []);
    const rows =
      await sql`select luma_event_id, title from public.canonical_events`;
    assertEquals(rows.length, ids.length);
    for (const { luma_event_id, title } of rows) {
      assertEquals(simulator.event(luma_event_id)?.name, title);
    }
  },
  { bell: true },
);
