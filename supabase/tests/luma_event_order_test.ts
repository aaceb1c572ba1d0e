/** Deliveries have no version and come in any order: whatever it is, the row ends as Luma's event is. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { Delivery, SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { manyCalls } from "./linked_events.ts";
import {
  bothKinds,
  changedColumns,
  conflicts,
  deliverer,
  intercepted,
  lumaColumns,
  passDays,
  permutations,
  rowColumns,
  rowWithVersion,
} from "./luma_deliveries.ts";
import { hostEvent, lumaTest, rowOf, settle } from "./luma_side.ts";
import { calls, drain, insertEvent, one, type Stack } from "./testing.ts";

type Patch = Parameters<Stack["simulator"]["host"]["updateEvent"]>[1];

/** The second undoes a part of the first, so that the last state is not the newest in every field. */
const EDITS: Patch[] = [
  { name: "Half Moon Swim", visibility: "private" },
  { name: "Full Moon Swim", description_md: "Bring two towels." },
  { visibility: "public", coordinate: { latitude: 12.5, longitude: 77.5 } },
];

/** As fast as it can be told: it is not the rate limit that is tried here. */
const UNLIMITED = { simulator: { rateLimitPerMinute: 100_000 } };

/** An event, and everything that Luma tells of it, in one of the orders in which it may come. */
interface Story {
  event: SimEvent;
  deliveries: Delivery[];
}

async function stories(
  stack: Stack,
  act: () => SimEvent,
  wanted: (delivery: Delivery) => boolean = () => true,
): Promise<Story[]> {
  const told: Story[] = [];
  const count = (await intercepted(stack, act)).filter(wanted).length;
  const numbers = Array.from({ length: count }, (_, n) => n);
  for (const order of permutations(numbers)) {
    let event!: SimEvent;
    const deliveries = (await intercepted(stack, () => event = act()))
      .filter(wanted);
    told.push({ event, deliveries: order.map((n) => deliveries[n]!) });
  }
  return told;
}

/** A new event and its edits. */
function edited(stack: Stack, edits: readonly Patch[] = EDITS) {
  const event = hostEvent(stack);
  for (const edit of edits) stack.simulator.host.updateEvent(event.id, edit);
  return event;
}

/** How often an event was read, by its id. */
function reads({ simulator }: Stack, event: SimEvent): number {
  return simulator.requests.filter(({ path, query }) =>
    path === "/v1/events/get" && query.event_id === event.id
  ).length;
}

async function assertTrue(
  stack: Stack,
  { event, deliveries }: Story,
): Promise<void> {
  const order = deliveries.map(({ type, body }) =>
    `${type} ${JSON.parse(body).data.name}`
  ).join(", ");
  const row = await rowOf(stack, event.id);
  assertEquals(
    changedColumns(rowColumns(row), lumaColumns(event)),
    {},
    order,
  );
  assertEquals(row.submission_status, "approved", order);
  assertLessOrEqual(reads(stack, event), deliveries.length, order);
}

/** Round by round, so that every story is at the same point; drains in between when told so. */
async function tell(
  stack: Stack,
  stories: readonly Story[],
  isDrained: boolean,
): Promise<void> {
  const deliver = await deliverer(stack);
  const rounds = Math.max(
    ...stories.map(({ deliveries }) => deliveries.length),
  );
  for (let round = 0; round < rounds; round++) {
    for (const { deliveries } of stories) {
      const delivery = deliveries[round];
      if (!delivery) continue;
      await deliver(delivery);
      // A repeat of an earlier one, as its sender makes when it has not heard our answer.
      await deliver(deliveries[Math.floor(round / 2)]!);
    }
    if (isDrained) await drain(stack);
  }
  await settle(stack);
}

for (const isDrained of [false, true]) {
  const how = isDrained
    ? "with time to read between them"
    : "all within a moment";
  lumaTest(
    `a new event and three edits, told in every order and some twice, ${how}`,
    async (stack) => {
      await manyCalls(stack);
      const all = await stories(
        stack,
        () => edited(stack),
        ({ type }) => type !== "calendar.event.added",
      );
      assertEquals(all.length, 24);
      await tell(stack, all, isDrained);
      for (const story of all) await assertTrue(stack, story);
      const total = all.reduce(
        (sum, { event }) => sum + reads(stack, event),
        0,
      );
      assertEquals(calls(stack).length, total);
      // Told all at once an event is read once.
      if (!isDrained) assertEquals(total, all.length);
      const { count } = await one(
        stack.sql`select count(*)::int from public.canonical_events`,
      );
      assertEquals(count, all.length);
    },
    UNLIMITED,
  );
}

lumaTest(
  "a new event with calendar.event.added and an edit, told in every order",
  async (stack) => {
    await manyCalls(stack);
    const all = await stories(stack, () => edited(stack, EDITS.slice(0, 1)));
    assertEquals(all.length, 6);
    await tell(stack, all, false);
    for (const story of all) await assertTrue(stack, story);
    const { count } = await one(
      stack.sql`select count(*)::int from public.canonical_events`,
    );
    assertEquals(count, all.length);
  },
  UNLIMITED,
);

lumaTest(
  "a new event, an edit, a guest and its cancellation, told in every order, leave no approved row",
  async (stack) => {
    await manyCalls(stack);
    const { simulator, sql } = stack;
    const all = await stories(
      stack,
      () => {
        const event = edited(stack, EDITS.slice(0, 1));
        simulator.guest.register(event.id, {
          name: "Guest",
          email: "guest@example.com",
        });
        simulator.host.cancelEvent(event.id);
        return event;
      },
      ({ type }) =>
        ["event.created", "event.updated", "guest.registered", "event.canceled"]
          .includes(type),
    );
    assertEquals(all.length, 24);
    for (const isDrained of [true, false]) {
      await tell(
        stack,
        isDrained ? all.slice(0, 12) : all.slice(12),
        isDrained,
      );
    }
    const approved =
      await sql`select from public.canonical_events where submission_status <> 'cancelled'`;
    assertEquals(approved.length, 0);
    const twice =
      await sql`select luma_event_id from public.canonical_events group by 1 having count(*) > 1`;
    assertEquals(twice.length, 0);
  },
  UNLIMITED,
);

lumaTest(
  "three edits of an event that both sides have known for days, told in every order",
  async (stack) => {
    await manyCalls(stack);
    const { simulator, sql } = stack;
    for (const order of permutations([0, 1, 2])) {
      for (const { kind, id, event } of await bothKinds(stack)) {
        await passDays(stack);
        simulator.clearRequests();
        const deliveries = await intercepted(stack, () => {
          for (const edit of EDITS) simulator.host.updateEvent(event.id, edit);
        });
        const ordered = order.map((n) => deliveries[n]!);
        await tell(stack, [{ event, deliveries: ordered }], order[0] === 1);
        const row = await rowWithVersion(stack, id);
        // Of ours the place's name and address keep the app's form.
        const { location_raw: _, location_name: __, ...columns } = lumaColumns(
          event,
        );
        if (kind === "ours") delete columns.cover_image_url;
        assertEquals(
          changedColumns(row, columns),
          {},
          `${kind} ${order}`,
        );
        assertLessOrEqual(reads(stack, event), deliveries.length);
        assert(calls(stack).every((path) => path === "/v1/events/get"));
      }
    }
    assertEquals(await conflicts(stack), []);
    const waiting =
      await sql`select from luma.sync_outbox where version > done_version`;
    assertEquals(waiting.length, 0);
  },
  UNLIMITED,
);

lumaTest(
  "one change that is told once, of an event that nothing was told of for days, needs no reading",
  async (stack) => {
    const { simulator } = stack;
    for (const { kind, id, event } of await bothKinds(stack)) {
      for (const [n, edit] of EDITS.entries()) {
        await passDays(stack);
        simulator.clearRequests();
        simulator.host.updateEvent(event.id, edit);
        await simulator.webhooksIdle();
        const row = await rowWithVersion(stack, id);
        assertEquals(
          [row.title, row.visibility, row.lat],
          [event.name, event.visibility, event.coordinate?.latitude],
          `${kind} ${n}`,
        );
        await settle(stack);
        assertEquals(calls(stack), [], `${kind} ${n}`);
      }
    }
  },
);

lumaTest(
  "edits of the app's that are told late and out of order change nothing, at one read each at the most",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await settle(stack);
    const event = simulator.events()[0]!;
    const deliver = await deliverer(stack);
    for (const order of permutations([0, 1, 2])) {
      const echoes = await intercepted(stack, async () => {
        for (const n of [1, 2, 3]) {
          await sql`update public.canonical_events set title = ${`Edit ${n}`} where id = ${id}`;
          await sql`update luma.sync_outbox set due_at = now() - interval '1 second'`;
          await drain(stack);
        }
      });
      assertEquals(echoes.length, 3);
      const before = await rowWithVersion(stack, id);
      simulator.clearRequests();
      for (const n of order) {
        await deliver(echoes[n]!);
        await settle(stack);
      }
      assertEquals(await rowWithVersion(stack, id), before, `${order}`);
      assertEquals(event.name, "Edit 3");
      assertLessOrEqual(calls(stack).length, 3);
      assert(calls(stack).every((path) => path === "/v1/events/get"));
    }
    assertEquals(await conflicts(stack), []);
  },
);
