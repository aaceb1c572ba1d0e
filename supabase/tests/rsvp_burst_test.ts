/** Bursts of RSVPs: how many calls they cost, and that nothing of them is lost. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import {
  calls,
  drain,
  insertEvent,
  insertUsers,
  passTime,
  rsvp,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";
import { manyCalls } from "./linked_events.ts";

/** Guests on all events with this status. */
function guests({ simulator }: Stack, status: string): number {
  return simulator.events().flatMap((event) => event.guests)
    .filter((guest) => guest.approval_status === status).length;
}

/** Inserts events and lets them come to Luma. */
async function eventsOnLuma(stack: Stack, count: number): Promise<string[]> {
  const ids = [];
  for (let n = 0; n < count; n++) {
    ids.push(await insertEvent(stack, { title: `Event ${n}` }));
  }
  await drain(stack);
  // With the bell another drain may have them.
  await until("all events are on Luma", async () => {
    const linked = await stack
      .sql`select from luma.event_links where row_base is not null`;
    return linked.length === count;
  });
  await passTime(stack);
  stack.simulator.clearRequests();
  return ids;
}

stackTest("1,000 RSVPs in one statement are ten calls", async (stack) => {
  const { sql, simulator } = stack;
  const [id] = await eventsOnLuma(stack, 1);
  await insertUsers(stack, 1000);
  await sql`insert into public.event_rsvps (event_id, user_id, status) select ${id!}, id, 'going' from public.users`;
  await drain(stack);
  assertEquals(calls(stack), Array(10).fill("/v1/events/guests/add"));
  assertEquals(guests(stack, "approved"), 1000);
  assertEquals(simulator.events()[0]!.guests.length, 1000);
});

stackTest(
  "1,000 RSVPs by eight writers at once are at most twelve calls",
  async (stack) => {
    const [id] = await eventsOnLuma(stack, 1);
    const users = await insertUsers(stack, 1000);
    const writers = Array.from({ length: 8 }, async () => {
      for (let user; (user = users.pop());) {
        await rsvp(stack, id!, user, "interested");
      }
    });
    await Promise.all(writers);
    await until(
      "all are on Luma",
      () => guests(stack, "pending_approval") === 1000,
      60,
    );
    const added = calls(stack);
    assert(added.every((path) => path === "/v1/events/guests/add"));
    assertLessOrEqual(added.length, 12);
  },
  { bell: true },
);

stackTest(
  "1,000 RSVPs over 100 events are a call for each event",
  async (stack) => {
    const { sql } = stack;
    await manyCalls(stack);
    await eventsOnLuma(stack, 100);
    await insertUsers(stack, 10);
    await sql`
      insert into public.event_rsvps (event_id, user_id, status)
      select e.id, u.id, 'going' from public.users u cross join public.canonical_events e`;
    await drain(stack);
    assertEquals(calls(stack), Array(100).fill("/v1/events/guests/add"));
    assertEquals(guests(stack, "approved"), 1000);
  },
  { simulator: { rateLimitPerMinute: 10_000 } },
);
