/** What guests and hosts do on Luma arrives in event_rsvps, and what the app has written there stays. */
import { assert, assertEquals } from "@std/assert";
import {
  assertAtRest,
  changingCalls,
  countOf,
  externals,
  knownEvent,
  knownEvents,
  ownEvent,
  passGuestDays,
  recordedWrites,
  recordWrites,
  register,
  rsvpOf,
  ticketType,
} from "./luma_guests.ts";
import { lumaTest, outcomes, rsvpsOf, settle } from "./luma_side.ts";
import { ADD, UPDATE } from "./rsvps_for_tests.ts";
import { calls, drainAll, guestList, insertUsers, rsvp } from "./testing.ts";

lumaTest(
  "who registers on Luma is going, with what Luma knows of the registration",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 3);
    const event = await knownEvent(stack);
    const vip = await ticketType(stack, event.lumaId, "VIP Early Bird");
    const guest = register(stack, event, "u1", { ticket_type_id: vip });
    register(stack, event, "u2");
    await settle(stack);

    const { id: _, updated_at, luma_synced_at, ...row } = await rsvpOf(
      stack,
      event,
      "u1",
    );
    const [ticket] = guest.event_tickets;
    assertEquals(row, {
      event_id: event.id,
      user_id: "u1",
      status: "going",
      rsvp_type: "vip",
      checked_in: false,
      checked_in_at: null,
      checked_in_by: null,
      notes: null,
      metadata: {
        luma_tickets: [{
          id: ticket!.id,
          name: "VIP Early Bird",
          event_ticket_type_id: vip,
        }],
      },
      created_at: new Date(guest.registered_at!),
      luma_guest_id: guest.id,
    });
    assert(luma_synced_at instanceof Date && updated_at instanceof Date);
    assertEquals((await rsvpOf(stack, event, "u2")).rsvp_type, "standard");
    assertEquals(await countOf(stack, event), 2);

    simulator.host.checkIn(event.lumaId, guest.id);
    await settle(stack);
    const { checked_in, checked_in_at, checked_in_by, status } = await rsvpOf(
      stack,
      event,
      "u1",
    );
    assertEquals({ checked_in, checked_in_at, checked_in_by, status }, {
      checked_in: true,
      checked_in_at: new Date(guest.event_tickets[0]!.checked_in_at!),
      checked_in_by: null,
      status: "going",
    });
    assertEquals((await rsvpOf(stack, event, "u2")).checked_in, false);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
    assertEquals(simulator.emails, []);
  },
);

lumaTest(
  "what Luma tells of guests is written without a word to the outbox",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const event = await knownEvent(stack);
    const guest = register(stack, event, "u1");
    await simulator.webhooksIdle();
    assertEquals((await rsvpOf(stack, event, "u1")).status, "going");
    simulator.host.setGuestStatus(event.lumaId, guest.id, "declined");
    await simulator.webhooksIdle();
    assertEquals(
      [...await sql`select entity_id from luma.sync_outbox where entity = 'rsvp'`],
      [],
    );
  },
);

lumaTest(
  "who registers on Luma for an event of the app's is going, and the app's own RSVPs stay",
  async (stack) => {
    await insertUsers(stack, 3);
    const event = await ownEvent(stack);
    await rsvp(stack, event.id, "u1", "interested");
    register(stack, event, "u2");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "interested",
      u2: "going",
    });
    assertEquals(guestList(stack, event.lumaId), {
      u1: "pending_approval",
      u2: "approved",
    });
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), [ADD]);
  },
);

lumaTest(
  "each status on Luma has its word in the app, and changes there arrive",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 9);
    const event = await knownEvent(stack);
    const approval = await ticketType(stack, event.lumaId, "By approval", {
      require_approval: true,
    });
    const full = await knownEvent(stack, { max_capacity: 1 });
    simulator.host.updateEvent(full.lumaId, { waitlist_status: "enabled" });
    for (const user of ["u1", "u2", "u3"]) {
      register(stack, event, user, { ticket_type_id: approval });
    }
    for (const user of ["u4", "u5", "u6", "u7"]) register(stack, event, user);
    register(stack, full, "u1");
    register(stack, full, "u2");
    // Luma tells of an invitation when something else of the guest changes.
    const invited = simulator.host.invite(event.lumaId, "u8@example.com");
    simulator.guest.update(event.lumaId, invited.id, { name: "Invited" });
    simulator.host.setGuestStatus(event.lumaId, "u7@example.com", "session");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "pending",
      u2: "pending",
      u3: "pending",
      u4: "going",
      u5: "going",
      u6: "going",
      u7: "going",
      u8: "interested",
    });
    assertEquals(await rsvpsOf(stack, full.id), {
      u1: "going",
      u2: "waitlist",
    });
    assertEquals([await countOf(stack, event), await countOf(stack, full)], [
      4,
      1,
    ]);
    await assertAtRest(stack);

    const set = (user: string, status: "approved" | "declined" | "waitlist") =>
      simulator.host.setGuestStatus(
        event.lumaId,
        `${user}@example.com`,
        status,
      );
    set("u1", "approved");
    set("u2", "declined");
    set("u4", "declined");
    set("u6", "waitlist");
    simulator.guest.cancel(event.lumaId, "u5@example.com");
    register(stack, event, "u8");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "going",
      u2: "rejected",
      u3: "pending",
      u4: "rejected",
      u5: "rejected",
      u6: "waitlist",
      u7: "going",
      u8: "going",
    });
    assertEquals(await countOf(stack, event), 3);

    register(stack, event, "u5");
    await settle(stack);
    assertEquals((await rsvpOf(stack, event, "u5")).status, "going");
    assertEquals(await countOf(stack, event), 4);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

lumaTest(
  "who waits is promoted on Luma or in the app, and the other side follows",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 3);
    const event = await knownEvent(stack, { max_capacity: 1 });
    simulator.host.updateEvent(event.lumaId, { waitlist_status: "enabled" });
    for (const user of ["u1", "u2", "u3"]) register(stack, event, user);
    await settle(stack);
    simulator.host.setGuestStatus(event.lumaId, "u2@example.com", "approved");
    await settle(stack);
    assertEquals(changingCalls(stack), []);
    await rsvp(stack, event.id, "u3", "going");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "going",
      u2: "going",
      u3: "going",
    });
    assertEquals(guestList(stack, event.lumaId), {
      u1: "approved",
      u2: "approved",
      u3: "approved",
    });
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), [UPDATE]);
  },
);

lumaTest(
  "guests without a phone number or a name are found, and users without a name too",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`
      insert into public.users (id, name, email, phone) values
        ('u1', null, 'u1@example.com', null),
        ('u2', null, 'u2@example.com', '98765 43210'),
        ('u3', null, 'elsewhere@example.com', '080 2222 3333')`;
    const event = await knownEvent(stack);
    simulator.guest.register(event.lumaId, {
      name: "",
      email: "u1@example.com",
    });
    simulator.guest.register(event.lumaId, {
      name: "",
      email: "u2@example.com",
      phone_number: "+919876543210",
    });
    simulator.guest.register(event.lumaId, {
      name: " ",
      email: "u3@example.com",
      phone_number: "+918022223333",
    });
    simulator.guest.register(event.lumaId, {
      name: "",
      email: "stranger@example.com",
    });
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "going",
      u2: "going",
      u3: "going",
    });
    const [stranger, ...others] = await externals(stack, event);
    assertEquals([stranger?.name, stranger?.hint, others.length], [
      null,
      null,
      0,
    ]);
    assertEquals(
      simulator.event(event.lumaId)!.guests.map(({ user_name }) => user_name),
      [null, null, null, null],
    );
    await assertAtRest(stack);
  },
);

lumaTest(
  "a word of the app's that Luma's status means already is never rewritten",
  async (stack) => {
    const { simulator } = stack;
    const words = {
      u1: "interested",
      u2: "pending",
      u3: "approved",
      u4: "going",
      u5: "not_going",
      u6: "cancelled",
      u7: "rejected",
    };
    await insertUsers(stack, 7);
    const [event] = await knownEvents(stack, 1);
    for (const [user, status] of Object.entries(words)) {
      await rsvp(stack, event!.id, user, status);
    }
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event!.id), words);

    // Told again, with news of something else, as who had left was before.
    for (const user of ["u5", "u6", "u7"]) {
      await rsvp(stack, event!.id, user, "going");
    }
    await settle(stack);
    for (const user of ["u5", "u6", "u7"] as const) {
      await rsvp(stack, event!.id, user, words[user]);
    }
    await settle(stack);
    await passGuestDays(stack);
    for (const { id } of simulator.event(event!.lumaId)!.guests) {
      simulator.guest.update(event!.lumaId, id, { name: "Renamed" });
    }
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event!.id), words);

    // There and back, before anybody here has looked.
    simulator.host.setGuestStatus(
      event!.lumaId,
      "u1@example.com",
      "waitlist",
    );
    simulator.host.setGuestStatus(
      event!.lumaId,
      "u1@example.com",
      "pending_approval",
    );
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event!.id), words);
    await assertAtRest(stack);
  },
);

lumaTest(
  "the echo of an RSVP that the app has made writes no more than that Luma has it, and calls nobody",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const shown: string[] = [];
    const known: string[] = [];
    for (const event of [await knownEvent(stack), await ownEvent(stack)]) {
      await rsvp(stack, event.id, "u1", "interested");
      const before = await rsvpOf(stack, event, "u1");
      await recordWrites(stack);
      await settle(stack);
      await sql`select luma.sweep()`;
      await settle(stack);
      const { luma_guest_id, luma_synced_at, ...after } = await rsvpOf(
        stack,
        event,
        "u1",
      );
      const { luma_guest_id: _, luma_synced_at: __, ...rest } = before;
      assertEquals(after, rest);
      assert(luma_synced_at instanceof Date);
      shown.push(luma_guest_id);
      known.push(simulator.event(event.lumaId)!.guests[0]!.id);
      assertEquals(calls(stack), [ADD]);
      for (const columns of await recordedWrites(stack)) {
        assertEquals(
          columns.filter((c) => !/^luma_(guest_id|synced_at)$/.test(c)),
          [],
        );
      }
      assert((await recordedWrites(stack)).length <= 2);

      // Changes of it, too.
      simulator.clearRequests();
      await rsvp(stack, event.id, "u1", "going");
      const { updated_at } = await rsvpOf(stack, event, "u1");
      await settle(stack);
      assertEquals(calls(stack), [UPDATE]);
      const row = await rsvpOf(stack, event, "u1");
      assertEquals([row.status, row.updated_at], ["going", updated_at]);
      simulator.clearRequests();
    }
    await assertAtRest(stack);
    assertEquals(
      (await outcomes(stack)).filter((outcome) =>
        /^(guest|ticket)/.test(outcome) && !outcome.endsWith("unchanged")
      ),
      [],
    );
    assertEquals(shown, known);
  },
);

lumaTest(
  "what the app has written of check-in, type and metadata stays when Luma tells something else",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const event = await knownEvent(stack);
    register(stack, event, "u1");
    await rsvp(stack, event.id, "u2", "going");
    await settle(stack);
    const at = new Date("2026-12-01T12:00:00Z");
    await sql`
      update public.event_rsvps
      set rsvp_type = 'speaker', checked_in = true, checked_in_at = ${at}, checked_in_by = 'door',
        metadata = coalesce(metadata, '{}') || '{"table": 4}', notes = 'vegetarian'`;
    await passGuestDays(stack);
    for (const { id } of simulator.event(event.lumaId)!.guests) {
      simulator.guest.update(event.lumaId, id, { name: "Renamed" });
    }
    simulator.host.setGuestStatus(event.lumaId, "u1@example.com", "waitlist");
    await settle(stack);
    for (const user of ["u1", "u2"]) {
      const row = await rsvpOf(stack, event, user);
      assertEquals(
        [
          row.rsvp_type,
          row.checked_in,
          row.checked_in_at,
          row.checked_in_by,
          row.metadata.table,
          row.notes,
        ],
        ["speaker", true, at, "door", 4, "vegetarian"],
      );
    }
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "waitlist",
      u2: "going",
    });
    await drainAll(stack);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), [ADD]);
  },
);

lumaTest(
  "a check-in that is taken back on Luma is taken back here, unless it was the app's",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const event = await knownEvent(stack);
    const guests = ["u1", "u2"].map((user) => register(stack, event, user));
    await settle(stack);
    simulator.host.checkIn(event.lumaId, guests[0]!.id);
    simulator.host.checkIn(event.lumaId, guests[1]!.id);
    await settle(stack);
    const at = new Date("2026-12-01T12:00:00Z");
    await sql`update public.event_rsvps set checked_in_at = ${at}, checked_in_by = 'door' where user_id = 'u2'`;
    for (const guest of guests) {
      guest.event_tickets[0]!.checked_in_at = null;
      simulator.guest.update(event.lumaId, guest.id, {});
    }
    await settle(stack);
    const checkedIn = async (user: string) => {
      const { checked_in, checked_in_at } = await rsvpOf(stack, event, user);
      return [checked_in, checked_in_at];
    };
    assertEquals(
      [await checkedIn("u1"), await checkedIn("u2")],
      [[false, null], [true, at]],
    );
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

lumaTest(
  "an invited guest is not told of it, and comes or not as the app says",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 3);
    const event = await knownEvent(stack);
    for (const user of ["u1", "u2", "u3"]) {
      const { id } = simulator.host.invite(
        event.lumaId,
        `${user}@example.com`,
      );
      simulator.guest.update(event.lumaId, id, { name: "Invited" });
    }
    await settle(stack);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
    await rsvp(stack, event.id, "u1", "going");
    await rsvp(stack, event.id, "u2", "not_going");
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), {
      u1: "approved",
      u2: "declined",
      u3: "invited",
    });
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "going",
      u2: "not_going",
      u3: "interested",
    });
    await assertAtRest(stack);
  },
);

lumaTest(
  "a guest whom Luma turns out not to have any more is out, and is added again when the app says so",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 1);
    const event = await knownEvent(stack);
    register(stack, event, "u1");
    await settle(stack);
    const { guests } = simulator.event(event.lumaId)!;
    simulator.host.setGuestStatus(event.lumaId, "u1@example.com", "waitlist");
    guests.splice(0);
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "rejected" });
    await assertAtRest(stack);
    await rsvp(stack, event.id, "u1", "going");
    await settle(stack);
    assertEquals(guestList(stack, event.lumaId), { u1: "approved" });
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going" });
    assertEquals(
      (await rsvpOf(stack, event, "u1")).luma_guest_id,
      guests[0]!.id,
    );
    await assertAtRest(stack);
  },
);
