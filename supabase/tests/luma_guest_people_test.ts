/** Whose RSVP a guest is when addresses change, are shared, or are several. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  assertAtRest,
  changingCalls,
  countOf,
  externals,
  knownEvent,
  register,
  rsvpOf,
} from "./luma_guests.ts";
import { lumaTest, rsvpsOf, settle } from "./luma_side.ts";
import { guestList, insertUsers, rsvp } from "./testing.ts";

lumaTest(
  "a user's second registration on Luma, under another address, stays an external guest",
  async (stack) => {
    const { sql } = stack;
    await sql`insert into public.users (id, name, email, phone) values ('u1', 'Asha', 'u1@example.com', '98765 43210')`;
    const event = await knownEvent(stack);
    register(stack, event, "u1", { phone_number: "+919876543210" });
    await settle(stack);
    register(stack, event, "asha.work", { phone_number: "+919876543210" });
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going" });
    const [second, ...others] = await externals(stack, event);
    assertEquals([second?.email, others.length], ["asha.work@example.com", 0]);
    assertEquals(await countOf(stack, event), 2);
    await assertAtRest(stack);
    // The first of them stays the RSVP, whatever becomes of the second.
    stack.simulator.guest.cancel(event.lumaId, "asha.work@example.com");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going" });
    assertEquals(await countOf(stack, event), 1);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
    assertMatch(second?.why ?? "no reason", /u1/);
  },
);

lumaTest(
  "a guest with an address that two users have is neither of them",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`
      insert into public.users (id, name, email) values
        ('u1', 'Asha', 'family@example.com'), ('u2', 'Ravi', 'Family@Example.com')`;
    const event = await knownEvent(stack);
    register(stack, event, "family");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {});
    const [family] = await externals(stack, event);
    assertMatch(family?.why, /u1/);
    assertMatch(family?.why, /u2/);
    assertEquals(await countOf(stack, event), 1);

    // With RSVPs of the app's they are one guest, who leaves and comes back with both or one of them.
    const shared = await knownEvent(stack);
    await rsvp(stack, shared.id, "u1", "going");
    await rsvp(stack, shared.id, "u2", "waitlist");
    await settle(stack);
    assertEquals(guestList(stack, shared.lumaId), { family: "approved" });
    simulator.host.setGuestStatus(
      shared.lumaId,
      "family@example.com",
      "declined",
    );
    await settle(stack);
    assertEquals(await rsvpsOf(stack, shared.id), {
      u1: "rejected",
      u2: "rejected",
    });
    await rsvp(stack, shared.id, "u2", "interested");
    await settle(stack);
    simulator.host.setGuestStatus(
      shared.lumaId,
      "family@example.com",
      "approved",
    );
    await settle(stack);
    assertEquals(await rsvpsOf(stack, shared.id), {
      u1: "rejected",
      u2: "going",
    });
    await assertAtRest(stack);
  },
);

lumaTest(
  "a guest who changes the address on Luma keeps the RSVP",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 3);
    const event = await knownEvent(stack);
    register(stack, event, "u1");
    // The app's own trigger miscounts two RSVPs at once: its update counts before it waits for the other one's.
    await settle(stack);
    await rsvp(stack, event.id, "u2", "going");
    await settle(stack);
    for (const user of ["u1", "u2"]) {
      simulator.guest.update(event.lumaId, `${user}@example.com`, {
        email: `New.${user}@example.com`,
      });
    }
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going", u2: "going" });
    assertEquals(await externals(stack, event), []);
    assertEquals(await countOf(stack, event), 2);
    await assertAtRest(stack);

    simulator.host.setGuestStatus(
      event.lumaId,
      "new.u1@example.com",
      "waitlist",
    );
    await rsvp(stack, event.id, "u2", "cancelled");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "waitlist",
      u2: "cancelled",
    });
    assertEquals(guestList(stack, event.lumaId), {
      "new.u1": "waitlist",
      "new.u2": "declined",
    });
    // The address that was left is free for somebody else.
    register(stack, event, "u3");
    await settle(stack);
    assertEquals((await rsvpOf(stack, event, "u3")).status, "going");
    await assertAtRest(stack);
  },
);

lumaTest(
  "two guests who swap their addresses stay who they are",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 2);
    const event = await knownEvent(stack);
    const guests = ["u1", "u2"].map((user) => register(stack, event, user));
    await settle(stack);
    const rename = async (at: number, email: string) => {
      simulator.guest.update(event.lumaId, guests[at]!.id, { email });
      await settle(stack);
    };
    await rename(0, "between@example.com");
    await rename(1, "u1@example.com");
    await rename(0, "u2@example.com");
    simulator.host.setGuestStatus(event.lumaId, guests[0]!.id, "waitlist");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "waitlist",
      u2: "going",
    });
    assertEquals(await externals(stack, event), []);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

lumaTest(
  "a user without an e-mail address whom the number tells has an RSVP, and what the app makes of it arrives",
  async (stack) => {
    const { sql } = stack;
    await sql`
      insert into public.users (id, name, email, phone) values
        ('u1', 'Asha', null, '98765 43210'), ('u2', 'Ravi', 'no address', '09876500000')`;
    const event = await knownEvent(stack);
    register(stack, event, "asha", { phone_number: "+919876543210" });
    register(stack, event, "ravi", { phone_number: "+919876500000" });
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going", u2: "going" });
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
    await rsvp(stack, event.id, "u1", "cancelled");
    await rsvp(stack, event.id, "u2", "waitlist");
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), {
      asha: "declined",
      ravi: "waitlist",
    });
    await assertAtRest(stack);
    // An address that the user has added since makes no second guest.
    await sql`update public.users set email = 'elsewhere-' || id || '@example.com'`;
    await rsvp(stack, event.id, "u1", "going");
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), {
      asha: "approved",
      ravi: "waitlist",
    });
    await assertAtRest(stack);
  },
);

lumaTest(
  "who has declined and says no here too is one person, also in a row that was made anew",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    await sql`update public.users set email = null where id = 'u2'`;
    const event = await knownEvent(stack);
    await rsvp(stack, event.id, "u1", "waitlist");
    await rsvp(stack, event.id, "u2", "not_going");
    const stranger = register(stack, event, "u2");
    simulator.guest.cancel(event.lumaId, stranger.id);
    await settle(stack);
    await sql`delete from public.event_rsvps where event_id = ${event.id} and user_id = 'u1'`;
    await settle(stack);
    const reasons = async () =>
      (await externals(stack, event)).map(({ email, why }) => [email, why]);
    assertEquals(await reasons(), [
      ["u1@example.com", "user u1 has declined on Luma"],
      [
        "u2@example.com",
        "no user has this e-mail address or phone number",
      ],
    ]);
    simulator.clearRequests();

    await rsvp(stack, event.id, "u1", "not_going");
    await sql`update public.users set email = 'u2@example.com' where id = 'u2'`;
    await settle(stack);
    await sql`select luma.sweep()`;
    await settle(stack);
    assertEquals(await reasons(), []);
    assertEquals(changingCalls(stack), []);
    await assertAtRest(stack);

    // So each of them follows what either side says from now on.
    simulator.host.setGuestStatus(event.lumaId, "u1@example.com", "approved");
    await rsvp(stack, event.id, "u2", "going");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going", u2: "going" });
    assertEquals(guestList(stack, event.lumaId), {
      u1: "approved",
      u2: "approved",
    });
    assertEquals(await countOf(stack, event), 2);
    assertEquals([...await sql`select * from luma.conflicts`], []);
    await assertAtRest(stack);
  },
);
