/** RSVPs through refusals and lost answers: nobody is lost, added twice or mailed twice. */
import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertMatch,
} from "@std/assert";
import {
  calls,
  drain,
  drainAll,
  guestList,
  insertUsers,
  one,
  passTime,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";
import {
  ADD,
  additions,
  each,
  mailed,
  outcomes,
  UPDATE,
  waitingEvents,
  waitingRsvps,
} from "./rsvps_for_tests.ts";

/** So many that some are in doubt together, however two claims at once have shared them out. */
const MANY = 40;

const GET = "/v1/events/guests/get";
const LIST = "/v1/events/guests/list";

stackTest(
  "one guest that Luma refuses is found in a few calls, and is the only one left out",
  async (stack) => {
    const { sql, simulator } = stack;
    const { lumaId } = await waitingRsvps(stack, 40);
    simulator.faults.add({
      path: ADD,
      contains: '"u17@example.com"',
      status: 400,
      message: "u17@example.com cannot be added",
    });
    await drain(stack);
    assertLessOrEqual(calls(stack).length, 1 + 2 * Math.ceil(Math.log2(40)));
    const others = (await insertUsers(stack, 40)).filter((user) =>
      user !== "u17"
    );
    assertEquals(guestList(stack), each(others.sort(), "approved"));
    assertEquals(await outcomes(stack), { dead: 1, done: 39 });
    const dead = await one(sql`select * from luma.dead_letters`);
    assertMatch(dead.title, /RSVP of u17$/);
    assertMatch(dead.error, /answered 400: u…@example\.com cannot be added$/);

    await sql`update public.users set email = 'mended@example.com' where id = 'u17'`;
    await drainAll(stack);
    assertEquals(guestList(stack).mended, "approved");
    assertEquals((await sql`select from luma.dead_letters`).length, 0);
    const counts = Object.values(mailed(stack, lumaId, "guest-added"));
    assertEquals(counts, Array(40).fill(1));
  },
);

type Loss =
  | "the connection broke"
  | "Luma answered 500"
  | "the drain was killed";

/** A drain whose calls to this path are lost, before or after they took effect. */
async function drainInVain(
  stack: Stack,
  path: string,
  how: Loss,
  when: "before" | "after",
  hits = 1,
): Promise<void> {
  const { faults } = stack.simulator;
  if (how !== "the drain was killed") {
    const effect = how === "Luma answered 500"
      ? { status: 500 }
      : { close: true };
    const fault = faults.add({ path, when, ...effect });
    await drain(stack);
    fault.remove();
    return;
  }
  // Closed at the end, or what was held back would take effect then.
  const fault = faults.add({ path, when, hang: true, close: true });
  const drained = drain(stack).catch(() => {});
  await fault.waitForHit(hits);
  await stack.functions.kill("luma-drain");
  await drained;
  fault.remove();
  await callsOfTheDead(stack);
}

/**
 * Waits until the database has worked off what a dead function had asked for. Time passes here before a lease would run
 * out: a claim that is under way would take again what the next drain has freed, which counts as a second crash.
 */
async function callsOfTheDead({ admin }: Stack): Promise<void> {
  let quiet = 0;
  await until("the dead drain's calls are over", async () => {
    const busy = await admin`
      select from pg_stat_activity where usename = 'authenticator' and state <> 'idle'`;
    quiet = busy.length === 0 ? quiet + 1 : 0;
    return quiet === 5;
  });
}

/** The first call about each Luma event since the requests were cleared. */
function firstCalls(
  { simulator }: Stack,
  events: { lumaId: string }[],
): string[] {
  return events.map(({ lumaId }) =>
    simulator.requests.find(({ query, body }) =>
      [query, body as typeof query | null].some((it) => it?.event_id === lumaId)
    )?.path ?? "none"
  );
}

for (
  const how of [
    "the connection broke",
    "Luma answered 500",
    "the drain was killed",
  ] as const
) {
  for (const when of ["before", "after"] as const) {
    stackTest(
      `when ${how} ${when} guests were added or changed, the next attempt looks first, and goes on from there`,
      async (stack) => {
        const { sql, simulator } = stack;
        const events = await waitingEvents(stack, 4, MANY);
        await drainInVain(stack, ADD, how, when, 2);
        await sql`update public.event_rsvps set status = 'waitlist' where user_id = 'u2'`;
        await sql`update public.event_rsvps set status = 'cancelled' where user_id = 'u3'`;
        await sql`delete from public.event_rsvps where user_id = 'u4'`;
        simulator.clearRequests();
        await drainAll(stack);
        for (const path of firstCalls(stack, events)) {
          assertMatch(path, /guests\/(get|list)$/);
        }
        // The more are in doubt, the fewer calls for each.
        assert(calls(stack).includes(LIST));
        for (const [n, { lumaId }] of events.entries()) {
          const users = (await insertUsers(stack, n === 0 ? 4 : MANY))
            // Who has left before Luma knew them is not brought up there.
            .filter((user) => when === "after" || !["u3", "u4"].includes(user));
          const gone = when === "after" ? ["u3", "u4"] : [];
          assertEquals(guestList(stack, lumaId), {
            ...each(users, "approved"),
            u2: "waitlist",
            ...each(gone, "declined"),
          });
          assertEquals(
            mailed(stack, lumaId, "guest-added"),
            each(users, 1),
          );
        }

        // The same with guests that Luma has.
        const { id, lumaId } = events[1]!;
        const set = (status: string, ...users: string[]) =>
          sql`update public.event_rsvps set status = ${status} where event_id = ${id} and user_id = any(${users})`;
        await set("cancelled", "u5", "u6");
        await set("waitlist", "u7", "u8");
        simulator.emails.length = 0;
        await drainInVain(stack, UPDATE, how, when);
        // Taken back, left, and gone.
        await set("going", "u6");
        await set("cancelled", "u7");
        await sql`delete from public.event_rsvps where event_id = ${id} and user_id = 'u8'`;
        simulator.clearRequests();
        await drainAll(stack);
        assertEquals(firstCalls(stack, [{ lumaId }]), [GET]);
        const { u5, u6, u7, u8 } = guestList(stack, lumaId);
        assertEquals([u5, u6, u7, u8], [
          "declined",
          "approved",
          "declined",
          "declined",
        ]);
        // Deno's fetch repeats a call by itself when a connection that it had kept open breaks.
        if (how !== "the connection broke") {
          assertEquals(mailed(stack, lumaId, "status-changed").u5, 1);
        }
        assertEquals(additions(stack), []);
      },
    );
  }
}

stackTest(
  "while the look itself fails nobody is added again",
  async (stack) => {
    const { simulator } = stack;
    const events = await waitingEvents(stack, 3, 20);
    await drainInVain(stack, ADD, "Luma answered 500", "after", 2);
    for (const status of [503, 429]) {
      const faults = [GET, LIST].map((path) =>
        simulator.faults.add({ path, status })
      );
      await passTime(stack);
      await drain(stack);
      faults.forEach((fault) => fault.remove());
      await stack.sql`select luma.resume(luma_key) from luma.calendar_state`;
    }
    await drainAll(stack);
    for (const [n, { lumaId }] of events.entries()) {
      const users = await insertUsers(stack, n === 0 ? 3 : 20);
      assertEquals(
        guestList(stack, lumaId),
        each(users.sort(), "approved"),
      );
      assertEquals(
        mailed(stack, lumaId, "guest-added"),
        each(users, 1),
      );
    }
    assertEquals(additions(stack).length, 2);
  },
);

stackTest(
  "a 429 pauses the calendar, counts no attempt and loses nobody",
  async (stack) => {
    const { sql, simulator } = stack;
    const [blr] = await waitingEvents(stack, 20, 20);
    simulator.faults.add({
      path: ADD,
      contains: blr!.lumaId,
      status: 429,
      retryAfterS: 37,
      count: 1,
    });
    await drain(stack);
    const state = await one(
      sql`select paused_by, extract(epoch from paused_until - now()) as seconds from luma.calendar_state where paused_until > now()`,
    );
    assertEquals(state.paused_by, "luma");
    assert(state.seconds > 25 && state.seconds <= 37, `${state.seconds}`);
    assertEquals(await outcomes(stack), { done: 20, rate_limited: 20 });
    assertEquals(guestList(stack, blr!.lumaId), {});
    const waiting =
      await sql`select attempts from luma.sync_outbox where version > done_version and dead_at is null`;
    assertEquals(waiting.map(({ attempts }) => attempts), Array(20).fill(0));

    await sql`select luma.resume('blr')`;
    await drain(stack);
    assertEquals(Object.keys(guestList(stack, blr!.lumaId)).length, 20);
    assertEquals(await outcomes(stack), { done: 40, rate_limited: 20 });
  },
);

stackTest(
  "a refused key keeps the RSVPs and stops the calendar; a refused event does not",
  async (stack) => {
    const { sql, simulator } = stack;
    const events = await waitingEvents(stack, 20, 20, 20);
    const counts = () =>
      events.map(({ lumaId }) => Object.keys(guestList(stack, lumaId)).length);
    const stopped = () =>
      sql`select luma_key from luma.calendar_state where stopped_at is not null`;
    await stack.functions.setEnv({ LUMA_BLR_API_KEY: "wrong-key-value" });
    await drain(stack);
    assertEquals((await stopped()).map((row) => row.luma_key), ["blr"]);
    assertEquals(counts(), [0, 20, 0]);
    assertEquals((await sql`select from luma.dead_letters`).length, 0);

    await stack.functions.setEnv({ LUMA_BLR_API_KEY: "luma-key-blr" });
    await sql`select luma.resume('blr')`;
    simulator.faults.add({
      path: ADD,
      contains: events[0]!.lumaId,
      status: 403,
    });
    simulator.clearRequests();
    await drain(stack);
    assertEquals((await stopped()).length, 0);
    assertEquals(counts(), [0, 20, 20]);
    assertEquals((await sql`select from luma.dead_letters`).length, 20);
    assertEquals(additions(stack).length, 2);
  },
);

stackTest(
  "guests of an event that was deleted on Luma are given up after one call",
  async (stack) => {
    const { sql, simulator } = stack;
    const { lumaId } = await waitingRsvps(stack, 40);
    simulator.host.cancelEvent(lumaId);
    await drain(stack);
    assertEquals(additions(stack).map((guests) => guests.length), [40]);
    assertEquals(calls(stack).length, 1);
    const dead = await sql`select error from luma.dead_letters`;
    assertEquals(dead.length, 40);
    assertMatch(dead[0]!.error, /answered 404/);
  },
);
