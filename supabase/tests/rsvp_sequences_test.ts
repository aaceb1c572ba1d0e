/** Short random histories of RSVPs, with drains between the changes and changes during the calls. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { needlessCalls } from "./guest_history.ts";
import { linkedEvents, manyCalls } from "./linked_events.ts";
import {
  drain,
  drainAll,
  guestList,
  insertUsers,
  one,
  rsvp,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

const SEED = Number(Deno.env.get("SEQUENCES_SEED") ?? Date.now() % 1_000_000);
const ADD = "/v1/events/guests/add";
const UPDATE = "/v1/events/guests/update-status";
const STATUSES = ["going", "approved", "interested", "pending", "waitlist"]
  .concat("not_going", "cancelled", "rejected");

/** A status that a user's RSVP gets; null deletes it. */
const change = {
  user: fc.constantFrom("u1", "u2", "u3"),
  status: fc.option(fc.constantFrom(...STATUSES), { freq: 8 }),
};
type Change = { user: string; status: string | null };
type Step = "drain" | Change | { during: string; changes: Change[] };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record(change) },
  { weight: 2, arbitrary: fc.constant("drain" as const) },
  {
    weight: 3,
    arbitrary: fc.record({
      // Any call about guests: which one comes first is up to the drain.
      during: fc.constantFrom(ADD, UPDATE, "/v1/events/guests/*"),
      changes: fc.array(fc.record(change), { minLength: 1, maxLength: 3 }),
    }),
  },
);

async function apply(stack: Stack, event: string, { user, status }: Change) {
  if (status) return await rsvp(stack, event, user, status);
  await stack
    .sql`delete from public.event_rsvps where event_id = ${event} and user_id = ${user}`;
}

/** A drain; whoever changes, changes while it hangs in its first call to this path, if it makes one. */
async function drainAround(
  stack: Stack,
  path: string,
  meanwhile: () => Promise<void>,
): Promise<boolean> {
  const fault = stack.simulator.faults.add({ path, hang: true, count: 1 });
  let isOver = false;
  const drained = drain(stack).finally(() => isOver = true);
  await until("it hangs or is over", () => fault.hits > 0 || isOver);
  await meanwhile();
  fault.remove();
  await drained;
  return fault.hits > 0;
}

/** How often each guest was in a call since the request of this number. */
function callsByGuest(
  { simulator }: Stack,
  since: number,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { path, body } of simulator.requests.slice(since)) {
    if (path !== ADD && path !== UPDATE) continue;
    const { guests, guest_id } = body as {
      guests?: { email: string }[];
      guest_id?: string;
    };
    for (const who of guests?.map(({ email }) => email) ?? [guest_id ?? ""]) {
      counts.set(who, (counts.get(who) ?? 0) + 1);
    }
  }
  return counts;
}

/** What Luma's list has to be: what the rows say, and those who left only as declined, if at all. */
async function assertAsRowsSay(stack: Stack, event: string, lumaId: string) {
  const guests = stack.simulator.event(lumaId)!.guests;
  const list = guestList(stack, lumaId);
  assertEquals(Object.keys(list).length, guests.length, "no guest twice");
  for (const user of ["u1", "u2", "u3"]) {
    const { wanted } = await one(stack.sql`
      select coalesce(luma.guest_status(max(status)), 'declined') as wanted
      from public.event_rsvps where event_id = ${event} and user_id = ${user}`);
    assertEquals(list[user] ?? "declined", wanted, user);
  }
}

stackTest(
  `whatever the order of changes, calls and drains, Luma's list ends as the rows say, without a needless call (SEQUENCES_SEED=${SEED})`,
  async (stack) => {
    const { simulator, sql } = stack;
    await manyCalls(stack);
    await sql`update luma.settings set edit_spacing_ms = 20`;
    await insertUsers(stack, 3);
    let hung = 0;
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 10, size: "max" }),
      async (steps) => {
        simulator.clearRequests();
        const [linked] = await linkedEvents(stack, 1);
        const [event, lumaId] = linked!;
        for (const step of steps) {
          const since = simulator.requests.length;
          if (step === "drain") {
            await drain(stack);
            // However often it changed before: a guest is told the outcome.
            for (const [guest, calls] of callsByGuest(stack, since)) {
              assertEquals(calls, 1, `calls of one drain about ${guest}`);
            }
          } else if ("during" in step) {
            hung += Number(
              await drainAround(stack, step.during, async () => {
                for (const change of step.changes) {
                  await apply(stack, event, change);
                }
              }),
            );
          } else await apply(stack, event, step);
        }
        await drainAll(stack);
        await assertAsRowsSay(stack, event, lumaId);
        assertEquals(needlessCalls(simulator, []), []);
        assertEquals([...await sql`select * from luma.dead_letters`], []);
      },
    );
    await fc.assert(property, { seed: SEED, numRuns: 40 });
    assert(hung >= 5, `${hung} drains hung in a call while something changed`);
  },
  { simulator: { rateLimitPerMinute: 100_000 } },
);
