/** Pulling guests: the same as webhooks would have told, whole, and nothing that the app or Luma has said since is lost. */
import { assert, assertEquals } from "@std/assert";
import { conflicts, deliverer, delivery } from "./luma_deliveries.ts";
import {
  assertAtRest,
  type Both,
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
import { lumaTest, rsvpsOf, settle } from "./luma_side.ts";
import { pullAll, retryAtOnce, unheard } from "./pulls_for_tests.ts";
import { UPDATE } from "./rsvps_for_tests.ts";
import {
  calls,
  drain,
  drainInCall,
  guestList,
  insertUsers,
  one,
  pull,
  rsvp,
  type Stack,
  until,
} from "./testing.ts";

const LIST = "/v1/events/guests/list";

/** Small pages, so that a list has several. */
const PAGES = { simulator: { pageSize: 3 } };

/** The RSVPs of an event without what differs from one event to the next. */
async function comparable(
  { sql }: Stack,
  { id }: Both,
): Promise<unknown[]> {
  const rows = await sql`
    select r.user_id, r.status, r.rsvp_type, r.checked_in, r.checked_in_at is not null as has_time, r.notes,
      (select jsonb_agg(t ->> 'name') from jsonb_array_elements(r.metadata -> 'luma_tickets') t) as tickets,
      r.luma_guest_id = g.luma_guest_id as is_linked, r.created_at = (g.news ->> 'registered_at')::timestamptz as has_date,
      g.luma_base, g.row_base, g.news - 'tickets' - 'registered_at' - 'checked_in_at' as news
    from public.event_rsvps r
    join luma.guest_links l on l.rsvp_id = r.id
    join luma.guests g on g.event_id = l.event_id and g.email = l.email
    where r.event_id = ${id} order by r.user_id`;
  const strangers = await sql`
    select email, name, phone, status, why, hint from luma.external_guests where event_id = ${id} order by email`;
  return [[...rows], [...strangers]];
}

/** Guests of every kind that Luma has. */
async function everyKindOfGuest(stack: Stack, event: Both): Promise<void> {
  const { simulator } = stack;
  const { lumaId } = event;
  const vip = await ticketType(stack, lumaId, "VIP");
  const byApproval = await ticketType(stack, lumaId, "By approval", {
    require_approval: true,
  });
  register(stack, event, "u1");
  register(stack, event, "u2", { ticket_type_id: vip });
  register(stack, event, "u3", { ticket_type_id: byApproval });
  for (const user of ["u4", "u5", "u6"]) register(stack, event, user);
  simulator.host.setGuestStatus(lumaId, "u4@example.com", "declined");
  simulator.host.setGuestStatus(lumaId, "u5@example.com", "waitlist");
  simulator.host.setGuestStatus(lumaId, "u6@example.com", "session");
  simulator.host.checkIn(lumaId, "u2@example.com");
  const invited = simulator.host.invite(lumaId, "u7@example.com");
  simulator.guest.update(lumaId, invited.id, { name: "Invited" });
  // By phone, by nobody, by two, and by the name alone, which says nothing.
  register(stack, event, "elsewhere", { phone_number: "+919876543210" });
  register(stack, event, "stranger");
  register(stack, event, "twins");
  register(stack, event, "other", { name: "User 1" });
}

lumaTest(
  "what a pull finds is what webhooks would have told, over all pages",
  async (stack) => {
    const { sql } = stack;
    await insertUsers(stack, 7);
    await sql`
      insert into public.users (id, name, email, phone) values
        ('u8', 'By phone', 'u8@example.com', '98765 43210'),
        ('t1', 'Twin', 'twins@example.com', null), ('t2', 'Twin', 'Twins@example.com', null)`;
    const [told, pulled] = await knownEvents(stack, 2);
    await everyKindOfGuest(stack, told!);
    await settle(stack);
    await unheard(stack, () => everyKindOfGuest(stack, pulled!));
    assertEquals(await rsvpsOf(stack, pulled!.id), {});

    const run = await pullAll(stack);
    assertEquals([run.state, run.problems, run.guests], ["done", [], 22]);
    assertEquals(
      await comparable(stack, pulled!),
      await comparable(stack, told!),
    );
    assertEquals(await rsvpsOf(stack, pulled!.id), {
      u1: "going",
      u2: "going",
      u3: "pending",
      u4: "rejected",
      u5: "waitlist",
      u6: "going",
      u7: "interested",
      u8: "going",
    });
    // u1, u2, u6, u8, and three who are nobody's RSVP.
    assertEquals(await countOf(stack, pulled!), 7);
    await assertAtRest(stack);

    // All of it again, and what has changed there.
    await recordWrites(stack);
    assertEquals((await pullAll(stack)).unchanged, 2 + 22);
    assertEquals(await recordedWrites(stack), []);
    const changes = ({ lumaId }: Both) => {
      const { host, guest } = stack.simulator;
      host.setGuestStatus(lumaId, "u3@example.com", "approved");
      host.setGuestStatus(lumaId, "u5@example.com", "approved");
      guest.cancel(lumaId, "u1@example.com");
      guest.cancel(lumaId, "stranger@example.com");
      host.checkIn(lumaId, "u6@example.com");
      guest.update(lumaId, "other@example.com", { email: "o2@example.com" });
      register(stack, { lumaId }, "u7");
    };
    changes(told!);
    await settle(stack);
    await unheard(stack, () => changes(pulled!));
    await pullAll(stack);
    await settle(stack);
    assertEquals(
      await comparable(stack, pulled!),
      await comparable(stack, told!),
    );
    // u2, u3, u5, u6, u7, u8, and two strangers.
    assertEquals(await countOf(stack, pulled!), 8);
    assertEquals((await rsvpOf(stack, pulled!, "u6")).checked_in, true);
    await assertAtRest(stack);
  },
  PAGES,
);

lumaTest(
  "who is not on the list any more is out here too, and only when all of it was read",
  async (stack) => {
    const { sql, simulator } = stack;
    await retryAtOnce(stack);
    await insertUsers(stack, 5);
    const event = await knownEvent(stack);
    for (const user of ["u1", "u2", "u3", "u4", "u5", "x1", "x2"]) {
      register(stack, event, user);
    }
    await settle(stack);
    assertEquals(await countOf(stack, event), 7);
    const { guests } = simulator.event(event.lumaId)!;
    const gone = ["u1", "u5", "x2"].map((user) => `${user}@example.com`);
    for (const email of gone) {
      guests.splice(guests.findIndex((g) => g.user_email === email), 1);
    }

    // The second page cannot be read.
    const fault = simulator.faults.add({ path: LIST, status: 502, nth: 2 });
    const cut = await pullAll(stack);
    assertEquals([cut.state, cut.errors], ["incomplete", 1]);
    fault.remove();
    await settle(stack);
    assertEquals(await countOf(stack, event), 7);

    const { id } = await one(
      sql`select id from public.event_rsvps where user_id = 'u2'`,
    );
    const whole = await pullAll(stack);
    assertEquals([whole.state, whole.to_read], ["done", 3]);
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "rejected",
      u2: "going",
      u3: "going",
      u4: "going",
      u5: "rejected",
    });
    assertEquals(await countOf(stack, event), 4);
    assertEquals((await rsvpOf(stack, event, "u2")).id, id);
    // Nobody is sent off twice, and who comes back comes back.
    assertEquals((await pullAll(stack)).to_read, 0);
    await unheard(stack, () => register(stack, event, "u1"));
    await pullAll(stack);
    assertEquals((await rsvpOf(stack, event, "u1")).status, "going");
    assertEquals(await countOf(stack, event), 5);
    await assertAtRest(stack);
  },
  PAGES,
);

lumaTest(
  "guests without a usable address are kept by their id and counted, each once",
  async (stack) => {
    const { simulator } = stack;
    const event = await knownEvent(stack);
    await unheard(stack, () => {
      for (const user of ["a", "b", "c", "d"]) register(stack, event, user);
    });
    const { guests } = simulator.event(event.lumaId)!;
    const addresses = ["", " ", "not an address", "D@EXAMPLE.com "];
    for (const [n, address] of addresses.entries()) {
      guests[n]!.user_email = address;
    }
    const run = await pullAll(stack);
    assertEquals([run.state, run.problems], ["done", []]);
    const kept = await externals(stack, event);
    assertEquals(
      kept.map(({ email }) => email).sort(),
      ["d@example.com", guests[0]!.id, guests[1]!.id, "not an address"].sort(),
    );
    assertEquals(await countOf(stack, event), 4);
    const again = await pullAll(stack);
    assertEquals([again.unchanged, again.to_read], [5, 0]);
    assertEquals(await countOf(stack, event), 4);
  },
);

lumaTest(
  "a status that changed on both sides: of the app's events the later write stays, of Luma's events Luma's",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const ours = await ownEvent(stack);
    const theirs = await knownEvent(stack);
    for (const event of [ours, theirs]) {
      for (const user of ["u1", "u2"]) register(stack, event, user);
    }
    await settle(stack);
    await pullAll(stack);
    await settle(stack);
    await unheard(stack, () => {
      for (const { lumaId } of [ours, theirs]) {
        simulator.host.setGuestStatus(lumaId, "u1@example.com", "waitlist");
        simulator.host.setGuestStatus(lumaId, "u2@example.com", "waitlist");
      }
    });
    for (const { id } of [ours, theirs]) await rsvp(stack, id, "u1", "pending");
    await pullAll(stack);
    await settle(stack);
    assertEquals(await rsvpsOf(stack, ours.id), {
      u1: "pending",
      u2: "waitlist",
    });
    assertEquals(await rsvpsOf(stack, theirs.id), {
      u1: "waitlist",
      u2: "waitlist",
    });
    assertEquals(guestList(stack, ours.lumaId), {
      u1: "pending_approval",
      u2: "waitlist",
    });
    assertEquals(guestList(stack, theirs.lumaId), {
      u1: "waitlist",
      u2: "waitlist",
    });
    assertEquals(
      (await conflicts(stack)).map(({ field, winner }) => [field, winner])
        .sort(),
      [["status", "app"], ["status", "luma"]],
    );
    assertEquals(await one(sql`select count(*)::int from luma.conflicts`), {
      count: 2,
    });
    await assertAtRest(stack);
  },
);

/** A pull whose next call to this path has been answered by Luma, but not arrived, until `release()`. */
async function pullWithStalePage(stack: Stack, path: string) {
  const fault = stack.simulator.faults.add({
    path,
    when: "after",
    hang: true,
    count: 1,
  });
  const pulled = pull(stack, { calendar: "blr" });
  pulled.catch(() => {});
  await fault.waitForHit();
  return {
    finish: async () => {
      fault.remove();
      await pulled;
    },
  };
}

lumaTest(
  "a page that is older than what was sent, heard or written since changes nothing back",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 4);
    for (const event of [await ownEvent(stack), await knownEvent(stack)]) {
      for (const user of ["u1", "u2", "u3", "u4"]) register(stack, event, user);
      await settle(stack);
      await passGuestDays(stack);
      const { finish } = await pullWithStalePage(stack, LIST);
      // Sent, told by a webhook, written but not sent yet, and left.
      await rsvp(stack, event.id, "u1", "waitlist");
      await drain(stack);
      simulator.host.setGuestStatus(
        event.lumaId,
        "u2@example.com",
        "declined",
      );
      await simulator.webhooksIdle();
      await rsvp(stack, event.id, "u3", "waitlist");
      await finish();
      const now = {
        u1: "waitlist",
        u2: "rejected",
        u3: "waitlist",
        u4: "going",
      };
      assertEquals(await rsvpsOf(stack, event.id), now);
      await settle(stack);
      assertEquals(await rsvpsOf(stack, event.id), now);
      assertEquals(await conflicts(stack), []);
      assertEquals(guestList(stack, event.lumaId), {
        u1: "waitlist",
        u2: "declined",
        u3: "waitlist",
        u4: "approved",
      });
      await assertAtRest(stack);
      // The next event's page is the first one to come.
      simulator.host.cancelEvent(event.lumaId);
      await settle(stack);
    }
  },
);

lumaTest(
  "a guest who came while the list was read is not missed, and a pull during a push waits for it",
  async (stack) => {
    const { simulator } = stack;
    await insertUsers(stack, 3);
    const event = await ownEvent(stack);
    register(stack, event, "u1");
    await settle(stack);
    const { finish } = await pullWithStalePage(stack, LIST);
    // On no page, and heard of or sent since.
    register(stack, event, "u2");
    await simulator.webhooksIdle();
    await rsvp(stack, event.id, "u3", "going");
    await drain(stack);
    await finish();
    const run = await one(
      stack
        .sql`select to_read from luma.pulls where calendar = 'blr' order by requested_at desc limit 1`,
    );
    assertEquals(run.to_read, 0);
    const all = { u1: "going", u2: "going", u3: "going" };
    assertEquals(await rsvpsOf(stack, event.id), all);
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), all);

    // The list shows what the call does, whose answer has not come.
    await rsvp(stack, event.id, "u1", "waitlist");
    const push = await drainInCall(stack, UPDATE, "after");
    assertEquals(guestList(stack, event.lumaId).u1, "waitlist");
    await pullAll(stack);
    push.release();
    await push.drained;
    await settle(stack);
    assertEquals((await rsvpOf(stack, event, "u1")).status, "waitlist");
    assertEquals(await conflicts(stack), []);
    await assertAtRest(stack);
  },
);

lumaTest(
  "an event that is deleted on Luma between its list and its guests' is cancelled here, and the others are read",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 1);
    const [gone, stays] = await knownEvents(stack, 2);
    await sql`update public.canonical_events set starts_at = starts_at - interval '1 hour' where id = ${
      gone!.id
    }`;
    await settle(stack);
    await unheard(stack, () => register(stack, stays!, "u1"));
    const fault = simulator.faults.add({ path: LIST, hang: true, count: 1 });
    const pulled = pull(stack);
    await fault.waitForHit();
    await unheard(stack, () => simulator.host.cancelEvent(gone!.lumaId));
    fault.remove();
    await pulled;
    const run = await one(
      sql`select state, problems, to_read from luma.pulls where calendar = 'blr'`,
    );
    assertEquals(run, { state: "done", problems: [], to_read: 1 });
    assertEquals(await rsvpsOf(stack, stays!.id), { u1: "going" });
    await settle(stack);
    const rows = await sql`
      select id, submission_status from public.canonical_events order by submission_status`;
    assertEquals([...rows], [
      { id: stays!.id, submission_status: "approved" },
      { id: gone!.id, submission_status: "cancelled" },
    ]);
  },
);

lumaTest(
  "guests who come to an event with webhooks and pulls at once are each there once",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 20);
    const event = await knownEvent(stack);
    const deliver = await deliverer(stack);
    let isOver = false;
    const pulling = (async () => {
      while (!isOver) await pull(stack, { event: event.id });
    })();
    for (let n = 1; n <= 20; n++) {
      register(stack, event, `u${n}`);
      register(stack, event, `x${n}`);
      if (n % 5 === 0) await drain(stack);
    }
    // One that says nothing to anybody, so that there is an end to wait for.
    await deliver(delivery("calendar.person.subscribed", {}));
    await simulator.webhooksIdle();
    isOver = true;
    await pulling;
    await settle(stack);
    assertEquals(Object.keys(await rsvpsOf(stack, event.id)).length, 20);
    assertEquals(await countOf(stack, event), 40);
    const guests = await one(sql`select count(*)::int as n from luma.guests`);
    assertEquals(guests.n, 40);
    await until("no pull is left", async () => {
      await pull(stack, {});
      return (await sql`select from luma.pull_runs where ended_at is null`)
        .length === 0;
    });
    assert(calls(stack).includes(LIST));
    await assertAtRest(stack);
  },
);
