/** Guests on Luma who are nobody's RSVP: listed, counted, and RSVPs as soon as somebody is them. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  assertAtRest,
  type Both,
  changingCalls,
  countOf,
  externals,
  knownEvent,
  knownEvents,
  register,
  rsvpOf,
  ticketType,
} from "./luma_guests.ts";
import { lumaTest, rsvpsOf, settle } from "./luma_side.ts";
import { inApp, number } from "./rsvps_for_tests.ts";
import {
  calls,
  drain,
  insertUsers,
  one,
  rsvp,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

/** Strangers s1, s2, … register on Luma. */
async function strangers(
  stack: Stack,
  event: Both,
  count: number,
): Promise<void> {
  for (let n = 1; n <= count; n++) register(stack, event, `s${n}`);
  await settle(stack);
}

/** The app counts, after it has written an RSVP, as its own code does. */
async function countAsTheApp(
  { sql }: Pick<Stack, "sql">,
  { id }: Both,
): Promise<void> {
  await sql`
    update public.canonical_events set current_rsvp_count = (
      select count(*) from public.event_rsvps where event_id = ${id} and status = 'going'
    ) where id = ${id}`;
}

lumaTest(
  "a guest who is nobody here is listed, with what Luma knows, why, and users of the same name",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`
      insert into public.users (id, name, email, phone) values
        ('u1', 'Asha Rao', 'asha@example.com', null), ('u2', 'ASHA RAO', null, '5550001111'),
        ('u3', 'Asha', null, '9999900000')`;
    const event = await knownEvent(stack);
    const asha = simulator.guest.register(event.lumaId, {
      name: "asha rao",
      email: "Work@Example.com",
      phone_number: "+919876543210",
    });
    simulator.guest.register(event.lumaId, {
      name: "Zoe",
      email: "asha@example.com",
      phone_number: "+15550001111",
    });
    simulator.host.checkIn(event.lumaId, asha.id);
    await settle(stack);
    const [zoe, listed, ...others] = await externals(stack, event);
    assertEquals(others, []);
    const { id: _, hint, ...known } = listed!;
    assertEquals(known, {
      event_id: event.id,
      title: "Full Moon Swim",
      luma_guest_id: asha.id,
      email: "work@example.com",
      name: "asha rao",
      phone: "+919876543210",
      status: "approved",
      registered_at: new Date(asha.registered_at!),
      checked_in_at: new Date(asha.event_tickets[0]!.checked_in_at!),
      why: "no user has this e-mail address or phone number",
    });
    assertMatch(hint, /^The same name: (u1, u2|u2, u1)$/);
    assertEquals(
      [zoe!.why, zoe!.hint],
      [
        "the e-mail address is that of user u1, the phone number that of user u2",
        null,
      ],
    );
    assertEquals(await rsvpsOf(stack, event.id), {});
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

lumaTest(
  "external guests stay in the count, whoever writes it, and by whichever rule",
  async (stack) => {
    const { sql } = stack;
    await insertUsers(stack, 12);
    const event = await knownEvent(stack);
    await strangers(stack, event, 3);
    assertEquals(await countOf(stack, event), 3);

    // The app's trigger.
    await rsvp(stack, event.id, "u1", "going");
    assertEquals(await countOf(stack, event), 4);
    await rsvp(stack, event.id, "u2", "approved");
    assertEquals(await countOf(stack, event), 5);
    // The app itself, which does not count who is 'approved'.
    await countAsTheApp(stack, event);
    assertEquals(await countOf(stack, event), 4);
    await countAsTheApp(stack, event);
    assertEquals(await countOf(stack, event), 4);
    // That Luma has them now is no reason to count anew.
    await settle(stack);
    assertEquals(await countOf(stack, event), 4);
    await assertAtRest(stack);
    assertEquals(await countOf(stack, event), 4);

    // An edit, which says nothing of the count.
    await sql`update public.canonical_events set title = 'Swim', updated_at = now() where id = ${event.id}`;
    assertEquals(await countOf(stack, event), 4);
    // Several in one transaction, one by one and all at once.
    await inApp(stack, async (app) => {
      await rsvp({ sql: app }, event.id, "u3", "going");
      await rsvp({ sql: app }, event.id, "u4", "going");
      await app`
        insert into public.event_rsvps (event_id, user_id, status)
        select ${event.id}, 'u' || n, 'going' from generate_series(5, 12) n`;
      await rsvp({ sql: app }, event.id, "u5", "cancelled");
      await countAsTheApp({ sql: app }, event);
    });
    // u1, u3, u4, u6 to u12, and the three.
    assertEquals(await countOf(stack, event), 10 + 3);
    await settle(stack);
    register(stack, event, "s4");
    await settle(stack);
    assertEquals(await countOf(stack, event), 10 + 4);
    await assertAtRest(stack);
    assertEquals(await countOf(stack, event), 10 + 4);
    assertEquals(
      await number(sql`select external_count from luma.event_links`),
      4,
    );
  },
);

/** Waits until a session waits for a lock of another one's. */
async function untilBlocked({ admin }: Stack): Promise<void> {
  await until("somebody waits for a lock", async () => {
    const blocked =
      await admin`select from pg_stat_activity where wait_event_type = 'Lock'`;
    return blocked.length > 0;
  });
}

lumaTest(
  "the count is right when RSVPs of the app's and guests of Luma's come in transactions at the same time",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 4);
    const event = await knownEvent(stack);
    // The app is writing when a guest comes: the guest waits.
    await inApp(stack, async (app) => {
      await rsvp({ sql: app }, event.id, "u1", "going");
      register(stack, event, "s1");
      await simulator.webhooksIdle();
      await rsvp({ sql: app }, event.id, "u2", "going");
    });
    assertEquals(await countOf(stack, event), 2);
    await settle(stack);
    assertEquals(await countOf(stack, event), 3);

    // A guest is being written when the app comes: the app waits for a moment, and counts the guest too.
    let written: Promise<unknown> | undefined;
    await sql.begin(async (sync) => {
      await sync`
        insert into luma.guests (event_id, email, luma_guest_id, luma_base, news)
        values (${event.id}, 's2@example.com', 'gst-s2', 'approved', '{}')`;
      await sync`select luma.count_external_guests(${event.id})`;
      written = rsvp(stack, event.id, "u3", "going");
      written.catch(() => {});
      await untilBlocked(stack);
    });
    await written;
    assertEquals(await countOf(stack, event), 5);

    // Two of the app's at once, the second of which waits for the first.
    await sql.begin(async (first) => {
      await rsvp(
        { sql: first as unknown as Stack["sql"] },
        event.id,
        "u4",
        "going",
      );
      written = rsvp(stack, event.id, "u1", "not_going");
      written.catch(() => {});
      await untilBlocked(stack);
    });
    await written;
    await countAsTheApp(stack, event);
    assertEquals(await countOf(stack, event), 3 + 2);
  },
);

lumaTest(
  "only guests who are going are counted, and no longer when they leave",
  async (stack) => {
    const { simulator } = stack;
    const event = await knownEvent(stack);
    const approval = await ticketType(stack, event.lumaId, "By approval", {
      require_approval: true,
    });
    register(stack, event, "s1");
    register(stack, event, "s2", { ticket_type_id: approval });
    register(stack, event, "s3");
    register(stack, event, "s4");
    const set = (
      guest: string,
      status: "declined" | "waitlist" | "approved" | "session",
    ) =>
      simulator.host.setGuestStatus(
        event.lumaId,
        `${guest}@example.com`,
        status,
      );
    set("s3", "waitlist");
    set("s4", "declined");
    const invited = simulator.host.invite(event.lumaId, "s5@example.com");
    simulator.guest.update(event.lumaId, invited.id, { name: "Invited" });
    await settle(stack);
    const statuses = async () =>
      Object.fromEntries(
        (await externals(stack, event)).map((
          { email, status },
        ) => [email.split("@")[0], status]),
      );
    assertEquals(await statuses(), {
      s1: "approved",
      s2: "pending_approval",
      s3: "waitlist",
      s4: "declined",
      s5: "invited",
    });
    assertEquals(await countOf(stack, event), 1);

    simulator.guest.cancel(event.lumaId, "s1@example.com");
    set("s2", "approved");
    set("s3", "session");
    set("s4", "waitlist");
    await settle(stack);
    assertEquals(await countOf(stack, event), 2);
    simulator.guest.cancel(event.lumaId, "s2@example.com");
    simulator.guest.cancel(event.lumaId, "s3@example.com");
    await settle(stack);
    assertEquals(await countOf(stack, event), 0);
    register(stack, event, "s2");
    await settle(stack);
    assertEquals(await countOf(stack, event), 1);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

lumaTest(
  "an external guest is an RSVP as soon as a user with that address or number is there",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`
      insert into public.users (id, name, email, phone) values
        ('late-email', null, null, null), ('late-phone', 'P', null, null),
        ('other-email', 'E', 'typo@example.com', '12345'), ('other-phone', 'Q', null, '98765 00000')`;
    const event = await knownEvent(stack);
    const guests = ["new-email", "late-email", "other-email", "stranger"]
      .map((name) => register(stack, event, name));
    const numbers = ["new-phone", "late-phone", "other-phone"];
    for (const [n, name] of numbers.entries()) {
      guests.push(
        register(stack, event, `${name}-on-luma`, {
          phone_number: `+91987651111${n}`,
        }),
      );
    }
    simulator.host.checkIn(event.lumaId, guests[0]!.id);
    simulator.host.setGuestStatus(event.lumaId, guests[1]!.id, "waitlist");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {});
    assertEquals((await externals(stack, event)).length, 7);
    assertEquals(await countOf(stack, event), 6);
    simulator.clearRequests();

    await sql`
      insert into public.users (id, name, email, phone) values
        ('new-email', null, 'New-Email@example.com ', null), ('new-phone', 'N', null, '098765-11110'),
        ('bystander', 'B', 'bystander@example.com', '+91 98765 22222')`;
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      "new-email": "going",
      "new-phone": "going",
    });
    assertEquals(await countOf(stack, event), 6);
    const row = await rsvpOf(stack, event, "new-email");
    assertEquals(
      [row.luma_guest_id, row.checked_in, row.created_at],
      [guests[0]!.id, true, new Date(guests[0]!.registered_at!)],
    );

    await sql`update public.users set email = 'late-email@example.com' where id = 'late-email'`;
    await sql`update public.users set phone = '98765 11111' where id = 'late-phone'`;
    await sql`update public.users set email = 'OTHER-email@example.com' where id = 'other-email'`;
    await sql`update public.users set phone = '+91 98765 11112' where id = 'other-phone'`;
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      "late-email": "waitlist",
      "late-phone": "going",
      "new-email": "going",
      "new-phone": "going",
      "other-email": "going",
      "other-phone": "going",
    });
    assertEquals(await countOf(stack, event), 6);
    assertEquals(
      (await externals(stack, event)).map(({ email }) => email),
      ["stranger@example.com"],
    );
    await assertAtRest(stack);
    // Whoever was on Luma all the time is not told anything.
    assertEquals(calls(stack), []);
    assertEquals(simulator.emails, []);
  },
);

lumaTest(
  "who could be two users becomes an RSVP when it is clear which of them, at the next sweep",
  async (stack) => {
    const { sql } = stack;
    await sql`
      insert into public.users (id, name, email, phone) values
        ('u1', 'A', 'family@example.com', null), ('u2', 'B', 'family@example.com', null),
        ('u3', 'C', null, '98765 43210'), ('u4', 'D', null, '09876543210'),
        ('u5', 'E', 'five@example.com', null), ('u6', 'F', null, '9876500000')`;
    const event = await knownEvent(stack);
    register(stack, event, "family");
    register(stack, event, "c", { phone_number: "+919876543210" });
    register(stack, event, "five", { phone_number: "+919876500000" });
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {});
    assertEquals(await countOf(stack, event), 3);

    await sql`update public.users set email = 'own@example.com' where id = 'u2'`;
    await sql`delete from public.users where id = 'u4'`;
    await sql`update public.users set phone = null where id = 'u6'`;
    await settle(stack);
    await sql`select luma.sweep()`;
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {
      u1: "going",
      u3: "going",
      u5: "going",
    });
    assertEquals(await externals(stack, event), []);
    assertEquals(await countOf(stack, event), 3);
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

lumaTest(
  "an external guest who has declined is no RSVP when the user appears, until the next registration",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = await knownEvent(stack);
    await strangers(stack, event, 2);
    simulator.guest.cancel(event.lumaId, "s1@example.com");
    await settle(stack);
    await sql`insert into public.users (id, name, email) values ('s1', 'S', 's1@example.com')`;
    await settle(stack);
    await sql`select luma.sweep()`;
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), {});
    assertEquals(await countOf(stack, event), 1);
    register(stack, event, "s1");
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { s1: "going" });
    assertEquals(await countOf(stack, event), 2);
    await assertAtRest(stack);
  },
);

lumaTest(
  "a user with an RSVP of the app's who turns out to be an external guest is counted once, and not added again",
  async (stack) => {
    const { sql } = stack;
    await sql`
      insert into public.users (id, name, email) values ('host', 'Host', null), ('u1', 'U', 'u1@example.com')`;
    const event = await knownEvent(stack);
    // The host's own row needs no address, and waits for one.
    await sql`
      insert into public.event_rsvps (event_id, user_id, status, rsvp_type) values (${event.id}, 'host', 'going', 'host')`;
    await rsvp(stack, event.id, "u1", "going");
    register(stack, event, "host");
    register(stack, event, "second");
    await settle(stack);
    assertEquals(await countOf(stack, event), 2 + 2);
    stack.simulator.clearRequests();

    await sql`update public.users set email = 'host@example.com' where id = 'host'`;
    await settle(stack);
    assertEquals(await countOf(stack, event), 2 + 1);
    const { status, rsvp_type } = await rsvpOf(stack, event, "host");
    assertEquals([status, rsvp_type], ["going", "host"]);

    // Another address of who is a guest already: nobody can tell what the second registration is.
    await sql`update public.users set email = 'second@example.com' where id = 'u1'`;
    await settle(stack);
    assertEquals(await countOf(stack, event), 2 + 1);
    assertEquals(
      (await externals(stack, event)).map(({ email }) => email),
      ["second@example.com"],
    );
    await assertAtRest(stack);
    assertEquals(changingCalls(stack), []);
  },
);

/** Of what the triggers on users, RSVPs and the count use, what is not there any more. */
const BROKEN = [
  "alter table luma.guests rename to gone",
  "alter table luma.guests drop column news cascade",
  "alter table luma.event_links rename to gone",
  "alter table luma.event_links drop column external_count",
  "alter table luma.guest_links rename to gone",
  "alter table luma.rechecks rename to gone",
  "drop function luma.phone_tail(text) cascade",
  "drop function luma.usable_email(text) cascade",
  "drop function luma.is_external(luma.guests) cascade",
];

lumaTest(
  "the app's writes of users, RSVPs and counts go through whatever of ours is broken",
  async (stack) => {
    const { sql } = stack;
    await insertUsers(stack, 3);
    const event = await knownEvent(stack);
    await strangers(stack, event, 2);
    await rsvp(stack, event.id, "u1", "going");
    for (const broken of BROKEN) {
      await inApp(stack, async (app) => {
        await app.unsafe(broken);
        await app`
          insert into public.users (id, name, email, phone) values ('s1', 'S', 's1@example.com', '98765 43210')`;
        await app`update public.users set email = 's2@example.com', phone = '98765 11111' where id = 's1'`;
        await rsvp({ sql: app }, event.id, "u2", "going");
        await rsvp({ sql: app }, event.id, "u1", "cancelled");
        await countAsTheApp({ sql: app }, event);
        assert(await countOf({ sql: app }, event) >= 1, broken);
        await app`delete from public.event_rsvps where event_id = ${event.id} and user_id = 'u1'`;
        await app`delete from public.users where id = 's1'`;
      }, "rolls back");
    }
    assertEquals(await countOf(stack, event), 3);
    assertEquals(await rsvpsOf(stack, event.id), { u1: "going" });
    await settle(stack);
    await sql`insert into public.users (id, name, email) values ('s1', 'S', 's1@example.com')`;
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { s1: "going", u1: "going" });
  },
);

/** Rings since the last one that was answered, rings that pg_net is to send, and what the drain is to compare. */
async function rung({ admin, sql }: Stack): Promise<number[]> {
  return [
    await number(sql`select unanswered from luma.bell`),
    await number(admin`select count(*)::int from net.http_request_queue`),
    await number(sql`select count(*)::int from luma.rechecks`),
  ];
}

lumaTest(
  "2,000 new users ring for nobody when none is a guest, and once when some are",
  async (stack) => {
    const { admin, sql } = stack;
    const [event] = await knownEvents(stack, 1);
    await strangers(stack, event!, 3);
    // What rang until now is answered; nothing sends what rings from now on.
    await admin`delete from net.http_request_queue`;
    await sql`update luma.bell set rung_at = null, unanswered = 0`;
    const insert = (prefix: string) =>
      sql`
        insert into public.users (id, name, email, phone)
        select ${prefix} || n, 'User', ${prefix} || n || '@example.com', (7000000000 + n)::text
        from generate_series(1, 2000) n`;
    await insert("x");
    assertEquals(await rung(stack), [0, 0, 0]);
    await sql`update public.users set phone = '+91' || phone`;
    assertEquals(await rung(stack), [0, 0, 0]);
    await insert("s");
    assertEquals(await rung(stack), [1, 1, 3]);
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event!.id), {
      s1: "going",
      s2: "going",
      s3: "going",
    });
    assertEquals(await countOf(stack, event!), 3);
  },
);

stackTest(
  "a new user is compared only with those external guests whom an index names",
  async ({ sql: pool }) => {
    await pool`
      insert into luma.guests (event_id, email, luma_guest_id, luma_base, news)
      select gen_random_uuid(), 'guest' || n || '@example.com', 'gst-' || n, 'approved',
        jsonb_build_object('phone', '+91' || (6000000000 + n * 7919))
      from generate_series(1, 20000) n`;
    await pool`analyze luma.guests`;
    const sql = await pool.reserve();
    const reads = async () => {
      await sql`select pg_stat_force_next_flush()`;
      const { seq_scan } = await one(
        sql`select seq_scan::int from pg_stat_user_tables where relid = 'luma.guests'::regclass`,
      );
      return seq_scan;
    };
    try {
      const before = await reads();
      await sql`
        insert into public.users (id, name, email, phone)
        select 'x' || n, 'User', 'x' || n || '@example.com', (7000000000 + n)::text
        from generate_series(1, 10) n`;
      await sql`select luma.promote_guests('x1')`;
      assertEquals(await reads() - before, 0);
    } finally {
      sql.release();
    }
  },
  { functions: false, dataApi: false, simulator: false },
);

lumaTest(
  "a user who appears while nothing may be written keeps no drain at work, and is an RSVP afterwards",
  async (stack) => {
    const { sql } = stack;
    const event = await knownEvent(stack);
    await strangers(stack, event, 1);
    for (const mode of ["dry_run", "off"]) {
      await sql`select luma.set_mode(${mode})`;
      await sql`insert into public.users (id, name, email) values (${mode}, 'S', 's1@example.com')`;
      const summary = await drain(stack);
      assertEquals([summary.mode, summary.ended], [mode, "empty"]);
      assertEquals(await rsvpsOf(stack, event.id), {});
      await sql`delete from public.users where id = ${mode}`;
    }
    await sql`insert into public.users (id, name, email) values ('s1', 'S', 's1@example.com')`;
    await sql`select luma.set_mode('live')`;
    await settle(stack);
    assertEquals(await rsvpsOf(stack, event.id), { s1: "going" });
    await assertAtRest(stack);
  },
);
