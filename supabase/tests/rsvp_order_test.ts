/** When RSVPs go to Luma: once their event is there, and only while it takes guests. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  calls,
  claim,
  claimEvents,
  drain,
  drainAll,
  drainInCall,
  guestList,
  insertEvent,
  insertUsers,
  one,
  passTime,
  rsvp,
  type Stack,
  stackTest,
  startRun,
} from "./testing.ts";

const CREATE = "/v1/events/create";
const ADD = "/v1/events/guests/add";
const DAY = 86_400_000;

/** Creates and calls about guests, in order. */
function orderOf(stack: Stack): string[] {
  return calls(stack).filter((path) =>
    path === CREATE || path.startsWith("/v1/events/guests/")
  );
}

/** What the helpers take, in a transaction. */
function inside(transaction: unknown): Pick<Stack, "sql"> {
  return { sql: transaction as Stack["sql"] };
}

async function setStatus({ sql }: Stack, id: string, status: string) {
  await sql`update public.canonical_events set submission_status = ${status} where id = ${id}`;
}

stackTest(
  "RSVPs made in the transaction of their event follow it to Luma, once",
  async (stack) => {
    const { sql } = stack;
    await insertUsers(stack, 2);
    await sql.begin(async (app) => {
      const id = await insertEvent(inside(app));
      await rsvp(inside(app), id, "u1", "going");
      await rsvp(inside(app), id, "u2", "going");
    });
    await drain(stack);
    await drain(stack);
    assertEquals(orderOf(stack), [CREATE, ADD]);
    assertEquals(guestList(stack), { u1: "approved", u2: "approved" });
  },
);

stackTest(
  "RSVPs of a pending event wait, and what became of them goes to Luma when it is approved",
  async (stack) => {
    const { sql } = stack;
    await insertUsers(stack, 4);
    const id = await sql.begin(async (app) => {
      const id = await insertEvent(inside(app), {
        submission_status: "pending",
      });
      await rsvp(inside(app), id, "u1", "going");
      return id;
    });
    await rsvp(stack, id, "u2", "interested");
    await rsvp(stack, id, "u3", "going");
    await drain(stack);
    await rsvp(stack, id, "u2", "going");
    await rsvp(stack, id, "u3", "cancelled");
    await drain(stack);
    assertEquals(calls(stack), []);

    await sql.begin(async (app) => {
      await app`update public.canonical_events set submission_status = 'approved'`;
      await rsvp(inside(app), id, "u4", "going");
    });
    await drain(stack);
    await drain(stack);
    assertEquals(orderOf(stack), [CREATE, ADD]);
    assertEquals(guestList(stack), {
      u1: "approved",
      u2: "approved",
      u4: "approved",
    });
  },
);

for (const when of ["before", "after"] as const) {
  stackTest(
    `an RSVP made while the create hangs (${when} Luma has the event) is added after it, once`,
    async (stack) => {
      const id = await insertEvent(stack);
      await insertUsers(stack, 1);
      const { drained, release } = await drainInCall(stack, CREATE, when);
      await rsvp(stack, id, "u1", "going");
      // Another drain, which gives the verdict on the RSVP while the event is not known to be there.
      await drain(stack);
      assertEquals(orderOf(stack), [CREATE]);
      release();
      await drained;
      await drain(stack);
      assertEquals(orderOf(stack), [CREATE, ADD]);
      assertEquals(guestList(stack), { u1: "approved" });
    },
  );
}

stackTest(
  "guests are told of an event that is approved again once it is shown again",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 1);
    await drain(stack);
    await setStatus(stack, id, "cancelled");
    await drainAll(stack);
    simulator.clearRequests();
    await sql.begin(async (app) => {
      await app`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
      // More urgent than the event's own job.
      await rsvp(inside(app), id, "u1", "going");
    });
    await passTime(stack);
    const { jobs } = await claim(stack, await startRun(stack));
    assertEquals(jobs.map(({ entity }) => entity), ["event"]);
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "approved" });
    assertEquals(calls(stack).at(-1), ADD);
  },
);

stackTest(
  "RSVPs of a cancelled event stay here, and follow when it is approved again",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 5);
    for (const user of ["u1", "u2", "u3"]) {
      await rsvp(stack, id, user, "interested");
    }
    await drain(stack);
    simulator.clearRequests();
    await passTime(stack);
    await sql.begin(async (app) => {
      await app`update public.canonical_events set submission_status = 'cancelled'`;
      await rsvp(inside(app), id, "u1", "cancelled");
      await rsvp(inside(app), id, "u4", "going");
    });
    await drain(stack);
    await rsvp(stack, id, "u2", "going");
    await sql`delete from public.event_rsvps where user_id = 'u3'`;
    await rsvp(stack, id, "u5", "going");
    await drainAll(stack);
    assertEquals(orderOf(stack), []);
    assertEquals(simulator.events()[0]!.visibility, "private");
    const { note } = await one(
      sql`select note from luma.rsvp_status where user_id = 'u5'`,
    );
    assertMatch(note, /not approved \(submission_status cancelled\)/);

    await setStatus(stack, id, "approved");
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "declined",
      u2: "approved",
      u3: "declined",
      u4: "approved",
      u5: "approved",
    });
    assertEquals(orderOf(stack).filter((path) => path === ADD), [ADD]);
  },
);

/** An event whose create is done and not acknowledged yet, and the RSVP of u1 that waits for it. */
async function eventAboutToOpen(stack: Stack) {
  const { simulator } = stack;
  const id = await insertEvent(stack);
  await insertUsers(stack, 1);
  const run = await startRun(stack);
  const job = (await claimEvents(stack, run))[0]!;
  const { id: lumaId } = simulator.host.createEvent(
    simulator.calendars[0]!.id,
    {
      name: "Rooftop Jam",
      start_at: new Date(Date.now() + 7 * DAY).toISOString(),
      timezone: "Asia/Kolkata",
    },
  );
  await rsvp(stack, id, "u1", "going");
  const result = JSON.stringify({ outcome: "done", luma_event_id: lumaId });
  return {
    id,
    run,
    open: async ({ sql }: Pick<Stack, "sql">) => {
      await sql`select public.luma_acknowledge(${job.lease}, ${result})`;
    },
    /** A claim, which finds that there is nothing to do. */
    judge: async ({ sql }: Pick<Stack, "sql">) => {
      assertEquals((await claim({ sql }, run)).jobs, []);
      assertEquals(
        await one(
          sql`select version, done_version from luma.sync_outbox where entity = 'rsvp'`,
        ),
        { version: "1", done_version: "1" },
      );
    },
  };
}

for (const when of ["before", "after"] as const) {
  stackTest(
    `an RSVP is not lost when the verdict on it is committed just ${when} its event opens`,
    async (stack) => {
      const { open, judge } = await eventAboutToOpen(stack);
      const [first, second] = when === "before" ? [open, judge] : [judge, open];
      await stack.sql.begin(async (transaction) => {
        await first(inside(transaction));
        await second(stack);
      });
      await drain(stack);
      assertEquals(guestList(stack), { u1: "approved" });
    },
  );
}

stackTest(
  "an RSVP that the app is changing when its event opens, and does not change after all, is not lost",
  async (stack) => {
    const { sql } = stack;
    const { id, run, open, judge } = await eventAboutToOpen(stack);
    await judge(stack);
    await open(stack);
    await sql.begin(async (app) => {
      await rsvp(inside(app), id, "u1", "cancelled");
      assertEquals((await claim(stack, run)).jobs, []);
      throw new Error("rolled back");
    }).catch(({ message }) => assertEquals(message, "rolled back"));
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "approved" });
  },
);

stackTest(
  "an event that closes and opens again before Luma hears of it loses no RSVP",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 3);
    await drain(stack);
    const closings = [
      sql`update public.canonical_events set submission_status = 'pending'`,
      sql`update public.canonical_events set starts_at = starts_at - interval '1 year', ends_at = ends_at - interval '1 year'`,
      sql`update public.canonical_events set submission_status = 'cancelled'`,
    ];
    const openings = [
      sql`update public.canonical_events set submission_status = 'approved'`,
      sql`update public.canonical_events set starts_at = starts_at + interval '1 year', ends_at = ends_at + interval '1 year'`,
      // With an edit that has to be sent, but opens nothing.
      sql`update public.canonical_events set submission_status = 'approved', title = 'Edited'`,
    ];
    for (const [n, closing] of closings.entries()) {
      await closing;
      await rsvp(stack, id, `u${n + 1}`, "going");
      // Judged by a run that does not get to the event.
      await startRun(stack);
      await openings[n];
      await passTime(stack);
      await drain(stack);
      assertEquals(guestList(stack)[`u${n + 1}`], "approved", `closing ${n}`);
    }
  },
);

stackTest(
  "an event that is over takes no guests until it is moved into the future",
  async (stack) => {
    const { sql } = stack;
    const [on, off] = [
      await insertEvent(stack, { title: "On Luma" }),
      await insertEvent(stack, {
        title: "Never on Luma",
        starts_at: new Date(Date.now() - 2 * DAY),
        ends_at: null,
      }),
    ];
    await insertUsers(stack, 2);
    await rsvp(stack, on, "u1", "going");
    await drain(stack);
    // As time does it, without a write.
    await sql`alter table public.canonical_events disable trigger user`;
    await sql`update public.canonical_events set starts_at = now() - interval '5 hours', ends_at = now() - interval '1 second'`;
    await sql`alter table public.canonical_events enable trigger user`;
    stack.simulator.clearRequests();
    await rsvp(stack, on, "u1", "cancelled");
    await rsvp(stack, on, "u2", "going");
    await rsvp(stack, off, "u2", "going");
    await drainAll(stack);
    assertEquals(calls(stack), []);
    const notes = await sql`select distinct status, note from luma.rsvp_status`;
    assertEquals([...notes], [{ status: "held", note: "the event is over" }]);

    await sql`update public.canonical_events set starts_at = now() + interval '1 day', ends_at = null`;
    await drainAll(stack);
    const [first, second] = ["On Luma", "Never on Luma"].map((name) =>
      guestList(
        stack,
        stack.simulator.events().find((event) => event.name === name)!.id,
      )
    );
    assertEquals(first, { u1: "declined", u2: "approved" });
    assertEquals(second, { u2: "approved" });
  },
);

stackTest(
  "no guest of an event that was deleted is told anything",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 3);
    await rsvp(stack, id, "u1", "going");
    await rsvp(stack, id, "u2", "going");
    await drain(stack);
    simulator.clearRequests();
    await passTime(stack);
    // One that waits, and one that is deleted with the event.
    await rsvp(stack, id, "u2", "cancelled");
    await rsvp(stack, id, "u3", "going");
    await sql`delete from public.canonical_events`;
    await drainAll(stack);
    await sql`select luma.sweep()`;
    await drainAll(stack);
    assertEquals(orderOf(stack), []);
    assertEquals(guestList(stack), { u1: "approved", u2: "approved" });
    assertEquals(simulator.events()[0]!.visibility, "private");
    assert((await sql`select from luma.dead_letters`).length === 0);
  },
);

for (const closed of [null, "first", "second"] as const) {
  stackTest(
    `an RSVP that goes over to another event leaves the first and joins the second${
      closed ? `, though the ${closed} takes no guests` : ""
    }`,
    async (stack) => {
      const { sql, simulator } = stack;
      const ids = [
        await insertEvent(stack, { title: "first" }),
        await insertEvent(stack, { title: "second" }),
      ];
      await insertUsers(stack, 3);
      await rsvp(stack, ids[0]!, "u1", "going");
      await rsvp(stack, ids[0]!, "u2", "going");
      await rsvp(stack, ids[1]!, "u3", "going");
      await drain(stack);
      await sql`update public.canonical_events set submission_status = 'cancelled' where title = ${closed}`;
      await drainAll(stack);
      // With a change that could go in the same batch.
      await rsvp(stack, ids[1]!, "u3", "cancelled");
      await sql`update public.event_rsvps set event_id = ${ids[
        1
      ]!} where user_id = 'u1'`;
      await drainAll(stack);
      await sql`select luma.sweep()`;
      await drainAll(stack);
      const lists = () =>
        ["first", "second"].map((title) =>
          guestList(
            stack,
            simulator.events().find(({ name }) => name === title)!.id,
          )
        );
      const [left, stayed] = [
        { u1: "declined", u2: "approved" },
        { u1: "approved", u2: "approved" },
      ];
      assertEquals(lists(), [
        closed === "first" ? stayed : left,
        closed === "second"
          ? { u3: "approved" }
          : { u1: "approved", u3: "declined" },
      ]);
      await sql`update public.canonical_events set submission_status = 'approved'`;
      await drainAll(stack);
      assertEquals(lists()[1], { u1: "approved", u3: "declined" });
    },
  );
}
