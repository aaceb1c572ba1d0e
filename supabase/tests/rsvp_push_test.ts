/** RSVPs of the app on Luma's guest list. */
import { assert, assertEquals } from "@std/assert";
import {
  calls,
  drain,
  drainAll,
  guestList,
  insertEvent,
  insertUsers,
  one,
  passTime,
  rsvp,
  type Stack,
  stackTest,
} from "./testing.ts";

const ADD = "/v1/events/guests/add";
const UPDATE = "/v1/events/guests/update-status";

/** The calls about guests, for example `add approved u1,u2` or `update u1 declined`. */
function guestCalls({ simulator }: Stack): string[] {
  return simulator.requests.flatMap(({ path, body }) => {
    // deno-lint-ignore no-explicit-any
    const sent = body as any;
    const short = (id: string) => id.split("@")[0];
    if (path === ADD) {
      // deno-lint-ignore no-explicit-any
      const who = sent.guests.map((guest: any) => short(guest.email)).sort();
      return [`add ${sent.approval_status} ${who}`];
    }
    return path === UPDATE
      ? [`update ${short(sent.guest_id)} ${sent.status}`]
      : [];
  });
}

stackTest(
  "RSVPs go to Luma in one call for each status, with names",
  async (stack) => {
    const { simulator, sql } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 5);
    const statuses = ["going", "approved", "interested", "pending", "waitlist"];
    for (const [n, status] of statuses.entries()) {
      await rsvp(stack, id, `u${n + 1}`, status);
    }
    await drain(stack);
    assertEquals(guestList(stack), {
      u1: "approved",
      u2: "approved",
      u3: "pending_approval",
      u4: "pending_approval",
      u5: "waitlist",
    });
    assertEquals(guestCalls(stack).sort(), [
      "add approved u1,u2",
      "add pending_approval u3,u4",
      "add waitlist u5",
    ]);
    assertEquals(
      simulator.events()[0]!.guests.map((guest) => guest.user_name).sort(),
      ["User 1", "User 2", "User 3", "User 4", "User 5"],
    );
    const rows = await sql`select * from public.event_rsvps`;
    assert(rows.every((row) => row.luma_synced_at !== null));
    assertEquals(
      (await sql`select from luma.rsvp_status where status = 'on Luma'`).length,
      5,
    );
  },
);

stackTest("statuses of known guests go one by one", async (stack) => {
  const id = await insertEvent(stack);
  await insertUsers(stack, 3);
  for (const user of ["u1", "u2", "u3"]) {
    await rsvp(stack, id, user, "interested");
  }
  await drain(stack);
  stack.simulator.clearRequests();
  await rsvp(stack, id, "u1", "going");
  await rsvp(stack, id, "u2", "rejected");
  // Another word for what Luma has.
  await rsvp(stack, id, "u3", "pending");
  await drain(stack);
  assertEquals(guestCalls(stack).sort(), [
    "update u1 approved",
    "update u2 declined",
  ]);
  assertEquals(guestList(stack), {
    u1: "approved",
    u2: "declined",
    u3: "pending_approval",
  });
});

stackTest("only guests that Luma has are declined", async (stack) => {
  const id = await insertEvent(stack);
  await insertUsers(stack, 3);
  await rsvp(stack, id, "u1", "not_going");
  await rsvp(stack, id, "u2", "going");
  await rsvp(stack, id, "u2", "cancelled");
  await rsvp(stack, id, "u3", "going");
  await drain(stack);
  assertEquals(guestList(stack), { u3: "approved" });
  assertEquals(guestCalls(stack), ["add approved u3"]);
});

stackTest(
  "going, cancelled and going again within one drain is one call or none",
  async (stack) => {
    const id = await insertEvent(stack);
    await insertUsers(stack, 1);
    for (const status of ["going", "cancelled", "going"]) {
      await rsvp(stack, id, "u1", status);
    }
    await drain(stack);
    assertEquals(guestCalls(stack), ["add approved u1"]);
    await passTime(stack);
    await rsvp(stack, id, "u1", "cancelled");
    await rsvp(stack, id, "u1", "going");
    await drain(stack);
    assertEquals(guestCalls(stack), ["add approved u1"]);
  },
);

stackTest(
  "a deleted RSVP, and a deleted user, declines the guest; who comes back is let in again",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 3);
    for (const user of ["u1", "u2", "u3"]) await rsvp(stack, id, user, "going");
    await drain(stack);
    await sql`delete from public.event_rsvps where user_id = 'u1'`;
    await sql`delete from public.users where id = 'u2'`;
    await drain(stack);
    assertEquals(guestList(stack), {
      u1: "declined",
      u2: "declined",
      u3: "approved",
    });
    assertEquals(
      (await sql`select user_id from luma.guest_links`).map((row) =>
        row.user_id
      ),
      ["u3"],
    );
    await rsvp(stack, id, "u1", "going");
    await drainAll(stack);
    assertEquals(guestList(stack).u1, "approved");
    // Deleted and made again at once: nothing for Luma.
    stack.simulator.clearRequests();
    await sql.begin(async (app) => {
      await app`delete from public.event_rsvps where user_id = 'u1'`;
      await app`insert into public.event_rsvps (event_id, user_id, status) values (${id}, 'u1', 'approved')`;
    });
    await drainAll(stack);
    assertEquals(guestCalls(stack), []);
  },
);

stackTest(
  "a row that was made anew and deleted before its turn declines the guest all the same",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 1);
    await rsvp(stack, id, "u1", "going");
    await drain(stack);
    await sql`delete from public.event_rsvps`;
    await rsvp(stack, id, "u1", "going");
    await sql`
      update luma.sync_outbox o set due_at = now() + interval '1 hour'
      from public.event_rsvps r where r.id = o.entity_id`;
    // The old row's turn: its guest stays, for the new one.
    await drain(stack);
    assertEquals(guestList(stack), { u1: "approved" });
    await sql`delete from public.event_rsvps`;
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "declined" });
  },
);

stackTest(
  "what the sync writes to an RSVP leaves the app's own columns alone",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 2);
    await rsvp(stack, id, "u1", "going");
    await rsvp(stack, id, "u2", "approved");
    // The app counts only 'going'.
    await sql`update public.canonical_events set current_rsvp_count = 1`;
    const before =
      await sql`select id, status, updated_at from public.event_rsvps order by 1`;
    await drain(stack);
    assertEquals(
      (await sql`select from public.event_rsvps where luma_synced_at is not null`)
        .length,
      2,
    );
    assertEquals([
      ...await sql`select id, status, updated_at from public.event_rsvps order by 1`,
    ], [...before]);
    assertEquals(
      (await one(sql`select current_rsvp_count from public.canonical_events`))
        .current_rsvp_count,
      1,
    );
    assertEquals(calls(stack).filter((path) => path === ADD).length, 1);
  },
);
