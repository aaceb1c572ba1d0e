/** The app and Luma change one guest at once: the later change stays, the other one is noted, and both sides agree. */
import { assert, assertEquals } from "@std/assert";
import type {
  Delivery,
  GuestStatus,
} from "../../scripts/luma-simulator/mod.ts";
import { intercepted } from "./luma_deliveries.ts";
import {
  assertAtRest,
  type Both,
  changingCalls,
  countOf,
  deliverAt,
  knownEvent,
  knownEvents,
  passGuestDays,
  register,
} from "./luma_guests.ts";
import { lumaTest, rsvpsOf, settle } from "./luma_side.ts";
import { ADD, UPDATE } from "./rsvps_for_tests.ts";
import {
  drain,
  drainInCall,
  guestList,
  insertEvent,
  insertUsers,
  one,
  rsvp,
  type Stack,
} from "./testing.ts";

/** Both sides have u1 as going, and neither has said anything else for days (or has: `lately`). */
async function agreed(stack: Stack, lately: boolean): Promise<Both> {
  await insertUsers(stack, 1);
  const event = await knownEvent(stack);
  register(stack, event, "u1");
  await settle(stack);
  if (!lately) await passGuestDays(stack);
  stack.simulator.clearRequests();
  return event;
}

async function notedConflicts({ sql }: Stack) {
  return [
    ...await sql`select entity, field, app_value, luma_value, winner from luma.conflicts order by id`,
  ];
}

async function assertBoth(
  stack: Stack,
  event: Both,
  app: string,
  luma: string,
) {
  assertEquals(
    [await rsvpsOf(stack, event.id), guestList(stack, event.lumaId)],
    [{ u1: app }, { u1: luma }],
  );
}

const SECOND = 1000;

for (const [when, ourOwn] of [["before", 1], ["after", 0]] as const) {
  lumaTest(
    `a guest whose status the app's has overwritten on Luma is in luma.conflicts, told ${when} our own`,
    async (stack) => {
      const { simulator } = stack;
      const event = await agreed(stack, false);
      const theirs = await intercepted(
        stack,
        () =>
          simulator.host.setGuestStatus(
            event.lumaId,
            "u1@example.com",
            "waitlist",
          ),
      );
      const ours = await intercepted(stack, async () => {
        await rsvp(stack, event.id, "u1", "not_going");
        await drain(stack);
      });
      assertEquals([theirs.length, ours.length], [1, 1]);
      for (
        const delivery of ourOwn ? [...theirs, ...ours] : [...ours, ...theirs]
      ) {
        await deliverAt(stack, delivery, new Date());
      }
      await settle(stack);
      await assertBoth(stack, event, "not_going", "declined");
      assertEquals(await notedConflicts(stack), [{
        entity: "rsvp",
        field: "status",
        app_value: "not_going",
        luma_value: "waitlist",
        winner: "app",
      }]);
      await assertAtRest(stack);
    },
  );
}

for (const lately of [false, true]) {
  for (const [when, ourOwn] of [["before", 1], ["after", 0]] as const) {
    lumaTest(
      `a guest whose status a call that was never answered has overwritten is in luma.conflicts, told ${when} our own, ${
        lately ? "heard of lately" : "after quiet days"
      }`,
      async (stack) => {
        const { simulator, sql } = stack;
        const event = await agreed(stack, lately);
        await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
        const theirs: Delivery[] = [];
        for (const status of ["waitlist", "pending_approval"] as const) {
          theirs.push(
            ...await intercepted(
              stack,
              () =>
                simulator.host.setGuestStatus(
                  event.lumaId,
                  "u1@example.com",
                  status,
                ),
            ),
          );
        }
        simulator.faults.add({
          path: UPDATE,
          when: "after",
          status: 503,
          count: 1,
        });
        const ours = await intercepted(stack, async () => {
          await rsvp(stack, event.id, "u1", "not_going");
          await drain(stack);
        });
        assertEquals([theirs.length, ours.length], [2, 1]);
        for (
          const delivery of ourOwn ? [...theirs, ...ours] : [...ours, ...theirs]
        ) {
          await deliverAt(stack, delivery, new Date());
        }
        await settle(stack);
        await assertBoth(stack, event, "not_going", "declined");
        const lost = (await notedConflicts(stack)).map((c) => c.luma_value);
        assertEquals(lost.sort(), ["pending_approval", "waitlist"]);
        await assertAtRest(stack);
      },
    );
  }
}

for (const lately of [false, true]) {
  const heard = lately ? "who was heard of lately" : "of whom all was quiet";
  lumaTest(
    `a guest ${heard} and whom the app changed before Luma did is as Luma says`,
    async (stack) => {
      const { sql, simulator } = stack;
      const event = await agreed(stack, lately);
      await rsvp(stack, event.id, "u1", "not_going");
      // The app's change is a minute old when Luma's comes.
      await sql`alter table public.event_rsvps disable trigger user`;
      await sql`update public.event_rsvps set updated_at = now() - interval '1 minute'`;
      await sql`alter table public.event_rsvps enable trigger user`;
      simulator.host.setGuestStatus(event.lumaId, "u1@example.com", "waitlist");
      await simulator.webhooksIdle();
      await settle(stack);
      await assertBoth(stack, event, "waitlist", "waitlist");
      assertEquals(await notedConflicts(stack), [{
        entity: "rsvp",
        field: "status",
        app_value: "not_going",
        luma_value: "waitlist",
        winner: "luma",
      }]);
      await assertAtRest(stack);
      assertEquals(changingCalls(stack), []);
    },
  );

  lumaTest(
    `a guest ${heard} and whom the app changed after Luma did is as the app says`,
    async (stack) => {
      const { simulator } = stack;
      const event = await agreed(stack, lately);
      const [delivery] = await intercepted(
        stack,
        () =>
          simulator.host.setGuestStatus(
            event.lumaId,
            "u1@example.com",
            "waitlist",
          ),
      );
      await rsvp(stack, event.id, "u1", "not_going");
      await deliverAt(stack, delivery!, new Date(Date.now() - 30 * SECOND));
      await settle(stack);
      await assertBoth(stack, event, "not_going", "declined");
      assertEquals(await notedConflicts(stack), [{
        entity: "rsvp",
        field: "status",
        app_value: "not_going",
        luma_value: "waitlist",
        winner: "app",
      }]);
      await assertAtRest(stack);
      assertEquals(changingCalls(stack), [UPDATE]);
    },
  );
}

lumaTest(
  "a status that stays against a host's, and is then taken back, is taken back on Luma too",
  async (stack) => {
    const { simulator } = stack;
    const event = await agreed(stack, false);
    const [delivery] = await intercepted(
      stack,
      () =>
        simulator.host.setGuestStatus(
          event.lumaId,
          "u1@example.com",
          "declined",
        ),
    );
    await rsvp(stack, event.id, "u1", "waitlist");
    await deliverAt(stack, delivery!, new Date(Date.now() - 30 * SECOND));
    assertEquals(
      (await notedConflicts(stack)).map((conflict) => conflict.luma_value),
      ["declined"],
    );
    await rsvp(stack, event.id, "u1", "going");
    await settle(stack);
    await assertBoth(stack, event, "going", "approved");
    await assertAtRest(stack);
  },
);

lumaTest(
  "a guest whom the app changes after it has heard of Luma's change, and before it has read it, is as the app says",
  async (stack) => {
    const { simulator } = stack;
    const event = await agreed(stack, true);
    const [delivery] = await intercepted(
      stack,
      () =>
        simulator.host.setGuestStatus(
          event.lumaId,
          "u1@example.com",
          "waitlist",
        ),
    );
    await deliverAt(stack, delivery!, new Date(Date.now() - 30 * SECOND));
    await rsvp(stack, event.id, "u1", "not_going");
    await settle(stack);
    await assertBoth(stack, event, "not_going", "declined");
    await assertAtRest(stack);
  },
);

lumaTest(
  "an RSVP that the app has deleted does not come back with the echo of its guest's leaving",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const event = await knownEvent(stack);
    await rsvp(stack, event.id, "u1", "going");
    register(stack, event, "u2");
    await settle(stack);
    await sql`delete from public.event_rsvps where event_id = ${event.id}`;
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), {
      u1: "declined",
      u2: "declined",
    });
    assertEquals(await rsvpsOf(stack, event.id), {});
    await assertAtRest(stack);
    // Nor with news of something else.
    await passGuestDays(stack);
    for (const { id } of simulator.event(event.lumaId)!.guests) {
      simulator.guest.update(event.lumaId, id, { name: "Renamed" });
    }
    await settle(stack);
    await assertAtRest(stack);
    assertEquals(await rsvpsOf(stack, event.id), {});
    assertEquals(await countOf(stack, event), 0);
    // But with a new registration.
    register(stack, event, "u1");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going" });
    assertEquals(await countOf(stack, event), 1);
    await assertAtRest(stack);
  },
);

lumaTest(
  "an RSVP that the app deletes while its guest is renamed on Luma does not come back",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = await agreed(stack, true);
    await sql`delete from public.event_rsvps where event_id = ${event.id}`;
    simulator.guest.update(event.lumaId, "u1@example.com", { name: "Renamed" });
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), { u1: "declined" });
    assertEquals(await rsvpsOf(stack, event.id), {});
    await assertAtRest(stack);
  },
);

/** What an RSVP's status means on Luma. */
const MEANS: Record<string, GuestStatus> = {
  going: "approved",
  interested: "pending_approval",
  pending: "pending_approval",
  waitlist: "waitlist",
  not_going: "declined",
  cancelled: "declined",
  rejected: "declined",
};

/** One guest, one row for each user, and both sides say the same of each event. */
async function assertAgreed(stack: Stack, events: Both[]): Promise<void> {
  for (const event of events) {
    const here = await rsvpsOf(stack, event.id);
    assertEquals(
      guestList(stack, event.lumaId),
      Object.fromEntries(
        Object.entries(here).map(([user, status]) => [user, MEANS[status]!]),
      ),
    );
    assertEquals(stack.simulator.event(event.lumaId)!.guests.length, 1);
  }
}

lumaTest(
  "a user who registers on Luma and in the app at the same time is one guest, whichever comes first",
  async (stack) => {
    const { sql } = stack;
    await insertUsers(stack, 1);
    const statuses = ["going", "interested", "waitlist", "not_going"];
    const events = await knownEvents(stack, 2 * statuses.length);
    for (const [n, event] of events.entries()) {
      const here = () =>
        rsvp(stack, event.id, "u1", statuses[n % statuses.length]!);
      if (n < statuses.length) await here();
      register(stack, event, "u1");
      await stack.simulator.webhooksIdle();
      if (n >= statuses.length) await here();
    }
    await settle(stack);
    await assertAgreed(stack, events);
    const { external } = await one(
      sql`select count(*)::int as external from luma.external_guests`,
    );
    assertEquals(external, 0);
    // Whoever came by Luma first has changed their mind in the app since.
    for (const [n, event] of events.slice(statuses.length).entries()) {
      assertEquals(await rsvpsOf(stack, event.id), { u1: statuses[n]! });
    }
    await assertAtRest(stack);
  },
);

for (const when of ["before", "after"] as const) {
  lumaTest(
    `who registers on Luma while the app's addition is under way, ${when} it takes effect, is one guest in one state`,
    async (stack) => {
      await insertUsers(stack, 1);
      const event = await knownEvent(stack);
      await rsvp(stack, event.id, "u1", "waitlist");
      const { drained, release } = await drainInCall(stack, ADD, when);
      register(stack, event, "u1");
      await stack.simulator.webhooksIdle();
      release();
      await drained;
      await settle(stack);
      await assertAgreed(stack, [event]);
      await assertAtRest(stack);
      // What came last.
      const { u1 } = await rsvpsOf(stack, event.id);
      assertEquals(u1, when === "before" ? "waitlist" : "going");
    },
  );

  lumaTest(
    `a host's word that falls into a call of ours, ${when} it takes effect, ends in one state on both sides`,
    async (stack) => {
      const { simulator } = stack;
      const event = await agreed(stack, true);
      await rsvp(stack, event.id, "u1", "cancelled");
      const { drained, release } = await drainInCall(stack, UPDATE, when);
      simulator.host.setGuestStatus(
        event.lumaId,
        "u1@example.com",
        when === "before" ? "pending_approval" : "approved",
      );
      await simulator.webhooksIdle();
      release();
      await drained;
      await settle(stack);
      await assertAgreed(stack, [event]);
      await assertAtRest(stack);
      assertEquals(await rsvpsOf(stack, event.id), {
        u1: when === "before" ? "cancelled" : "going",
      });
      assertEquals(await countOf(stack, event), when === "before" ? 0 : 1);
    },
  );
}

lumaTest(
  "a guest whose addition was not answered is known by the echo, and not added again",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 3);
    const event = await knownEvent(stack);
    simulator.faults.add({ path: ADD, when: "after", status: 502, count: 1 });
    for (const user of ["u1", "u2", "u3"]) {
      await rsvp(stack, event.id, user, "going");
    }
    await drain(stack);
    const { in_doubt } = await one(
      sql`select bool_or(in_doubt) as in_doubt from luma.guests`,
    );
    await settle(stack);
    assertEquals(changingCalls(stack), [ADD]);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "going",
      u2: "going",
      u3: "going",
    });
    assert(!in_doubt, "the echoes have cleared the doubt");
    await assertAtRest(stack);
  },
);

lumaTest(
  "an RSVP that is being sent while its event is cancelled on Luma is no failure, and follows the event when it is approved again",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const id = await insertEvent(stack);
    await settle(stack);
    await rsvp(stack, id, "u1", "going");
    const { drained, release } = await drainInCall(stack, ADD);
    simulator.host.cancelEvent(simulator.events()[0]!.id);
    await simulator.webhooksIdle();
    await drain(stack);
    const link = () =>
      one(
        sql`select luma_event_id from luma.event_links where event_id = ${id}`,
      );
    assertEquals(await link(), { luma_event_id: null });
    release();
    await drained;
    await settle(stack);
    assertEquals(
      [...await sql`select entity, error from luma.dead_letters`],
      [],
    );

    await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
    await settle(stack);
    const { luma_event_id } = await link();
    assertEquals(guestList(stack, luma_event_id), { u1: "approved" });
  },
);

lumaTest(
  "what a host says of a guest whose last call is in doubt is in luma.conflicts",
  async (stack) => {
    const { simulator, sql } = stack;
    const event = await agreed(stack, false);
    await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
    simulator.faults.add({ path: UPDATE, status: 503, count: 1 });
    await rsvp(stack, event.id, "u1", "not_going");
    await drain(stack);
    simulator.host.setGuestStatus(event.lumaId, "u1@example.com", "waitlist");
    await settle(stack);
    await assertBoth(stack, event, "not_going", "declined");
    assertEquals(await notedConflicts(stack), [{
      entity: "rsvp",
      field: "status",
      app_value: "not_going",
      luma_value: "waitlist",
      winner: "app",
    }]);
    await assertAtRest(stack);
  },
);

lumaTest(
  "a webhook from before a call that died does not end the doubt about it",
  async (stack) => {
    const { simulator, sql } = stack;
    const event = await agreed(stack, false);
    const before = simulator.deliveries.filter(({ type }) =>
      type === "guest.updated"
    ).at(-1)!;
    await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
    simulator.faults.add({
      path: UPDATE,
      when: "after",
      status: 503,
      count: 1,
    });
    await intercepted(stack, async () => {
      await rsvp(stack, event.id, "u1", "not_going");
      await drain(stack);
    });
    assertEquals(guestList(stack, event.lumaId), { u1: "declined" });
    await rsvp(stack, event.id, "u1", "going");
    await deliverAt(
      stack,
      { ...before, id: `whd-${crypto.randomUUID()}` },
      new Date(),
    );
    await settle(stack);
    await assertBoth(stack, event, "going", "approved");
    await assertAtRest(stack);
  },
);

lumaTest(
  "what a host says of a guest whose RSVP was deleted and told, and is heard of late, is in luma.conflicts",
  async (stack) => {
    const { simulator, sql } = stack;
    const event = await agreed(stack, false);
    const [late] = await intercepted(
      stack,
      () =>
        simulator.host.setGuestStatus(
          event.lumaId,
          "u1@example.com",
          "waitlist",
        ),
    );
    await sql`delete from public.event_rsvps where event_id = ${event.id}`;
    await drain(stack);
    await deliverAt(stack, late!, new Date());
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), { u1: "declined" });
    assertEquals(await notedConflicts(stack), [{
      entity: "guest",
      field: "status",
      app_value: null,
      luma_value: "waitlist",
      winner: "app",
    }]);
    await assertAtRest(stack);
  },
);

lumaTest(
  "an RSVP that is deleted while its addition is in doubt does not come back with the echo of that",
  async (stack) => {
    const { simulator, sql } = stack;
    await insertUsers(stack, 1);
    const event = await knownEvent(stack);
    await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
    simulator.faults.add({ path: ADD, when: "after", status: 503, count: 1 });
    await rsvp(stack, event.id, "u1", "going");
    const echo = await intercepted(stack, () => drain(stack));
    await sql`delete from public.event_rsvps where event_id = ${event.id}`;
    for (const delivery of echo) await deliverAt(stack, delivery, new Date());
    assertEquals(await rsvpsOf(stack, event.id), {});
    await settle(stack);
    assertEquals(
      [await rsvpsOf(stack, event.id), guestList(stack, event.lumaId)],
      [{}, { u1: "declined" }],
    );
    await assertAtRest(stack);
  },
);
