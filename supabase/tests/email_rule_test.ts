/** No e-mail, no RSVP: the integration plan's decision 4, for every writer. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
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
  until,
} from "./testing.ts";

const MESSAGE = "Add your email in Profile to RSVP for events.";

/** A user without an address, or with this one. */
async function insertUser(
  { sql }: Stack,
  id: string,
  email: string | null = null,
): Promise<void> {
  await sql`insert into public.users (id, name, email) values (${id}, ${id}, ${email})`;
}

stackTest(
  "an RSVP without an e-mail address is refused with the plan's words and a code of its own",
  async (stack) => {
    const id = await insertEvent(stack);
    await insertUser(stack, "phone-only");
    for (const status of ["going", "interested", "pending", "waitlist"]) {
      const error = await assertRejects(() =>
        rsvp(stack, id, "phone-only", status)
      ) as Error & Record<string, string>;
      assertEquals(error.message, MESSAGE);
      assertEquals(error.code, "PT422");
      assertMatch(error.detail!, /^email_required: .*phone-only is empty/);
      assertMatch(error.hint!, /users\.email.*require_email/);
    }
    assertEquals((await stack.sql`select from public.event_rsvps`).length, 0);
    assertEquals(
      (await stack.sql`select from luma.sync_outbox where entity = 'rsvp'`)
        .length,
      0,
    );
  },
);

stackTest(
  "the Data API answers 422 with the message, the code and the hint",
  async (stack) => {
    const id = await insertEvent(stack);
    await insertUser(stack, "phone-only", " ");
    // Through a function, because @supabase/lite shows no tables that its own role has no rights on.
    await stack.sql.unsafe(`
      create function public.rsvp_for_test(event uuid, guest text) returns void language sql security definer as $$
        insert into public.event_rsvps (event_id, user_id, status) values (event, guest, 'going')
      $$;
      grant execute on function public.rsvp_for_test(uuid, text) to service_role;
      notify pgrst, 'reload schema'`);
    let refused: Response | undefined;
    await until("the Data API knows the function", async () => {
      await refused?.body?.cancel();
      refused = await fetch(`${stack.url}/rest/v1/rpc/rsvp_for_test`, {
        method: "POST",
        headers: {
          apikey: stack.secretKey,
          authorization: `Bearer ${stack.secretKey}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ event: id, guest: "phone-only" }),
      });
      return refused.status !== 404;
    });
    const answer = await refused!.json();
    assertEquals(
      { status: refused!.status, code: answer.code, message: answer.message },
      { status: 422, code: "PT422", message: MESSAGE },
    );
    assertMatch(answer.hint, /users\.email/);
  },
);

stackTest(
  "whoever is in may leave, be approved and be promoted; whoever left needs an address to come back",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUser(stack, "old");
    // From before the rule.
    await sql`update luma.settings set require_email = false`;
    await rsvp(stack, id, "old", "interested");
    await sql`update luma.settings set require_email = true`;
    for (const status of ["waitlist", "going", "approved", "cancelled"]) {
      await rsvp(stack, id, "old", status);
    }
    for (const from of ["cancelled", "rejected", "not_going"]) {
      await rsvp(stack, id, "old", from);
      await assertRejects(
        () => rsvp(stack, id, "old", "going"),
        Error,
        MESSAGE,
      );
    }
    await sql`delete from public.event_rsvps`;
  },
);

stackTest(
  "the host's own row passes, and goes to Luma once there is an address",
  async (stack) => {
    const { sql } = stack;
    await insertUser(stack, "host");
    await insertUser(stack, "co-host");
    const id = await insertEvent(stack, { host_id: "host" });
    await rsvp(stack, id, "host", "going");
    await sql`insert into public.event_rsvps (event_id, user_id, status, rsvp_type) values (${id}, 'co-host', 'going', 'host')`;
    await drain(stack);
    assertEquals(guestList(stack), {});
    const held = await sql`select status, note from luma.rsvp_status`;
    assertEquals(held.map((row) => row.status), ["held", "held"]);
    assertMatch(held[0]!.note, /users\.email/);

    await sql`update public.users set email = 'host@example.com' where id = 'host'`;
    await drainAll(stack);
    assertEquals(guestList(stack), { host: "approved" });
  },
);

stackTest("rows that come from Luma pass", async (stack) => {
  const id = await insertEvent(stack);
  await insertUser(stack, "phone-only");
  await stack.sql.begin(async (sync) => {
    await sync`select set_config('luma.applying', 'on', true)`;
    await rsvp(
      { sql: sync as unknown as Stack["sql"] },
      id,
      "phone-only",
      "going",
    );
  });
  assertEquals((await stack.sql`select from public.event_rsvps`).length, 1);
});

stackTest(
  "a user or an event that is not there is told by the table itself",
  async (stack) => {
    const id = await insertEvent(stack);
    await assertRejects(
      () => rsvp(stack, id, "nobody", "going"),
      Error,
      "foreign key",
    );
  },
);

stackTest(
  "a broken rule lets the app's write through",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUser(stack, "phone-only");
    await sql`alter table luma.settings rename to gone`;
    await rsvp(stack, id, "phone-only", "going");
    assertEquals((await sql`select from public.event_rsvps`).length, 1);
  },
);

stackTest(
  "the statuses that the triggers let pass are those that Luma calls declined",
  async ({ sql }) => {
    const conditions = await sql`
      select tgname, pg_get_triggerdef(oid) as definition from pg_trigger
      where tgrelid = 'public.event_rsvps'::regclass and tgname like 'zz_luma%' and pg_get_triggerdef(oid) like '%not_going%'`;
    assertEquals(conditions.length, 4);
    const known = ["pending", "going", "interested", "not_going", "waitlist"]
      .concat("cancelled", "approved", "rejected");
    const { declined } = await one(sql`
      select array_agg(s order by s) as declined from unnest(${known}::text[]) s where luma.guest_status(s) = 'declined'`);
    for (const { tgname, definition } of conditions) {
      const listed = new Set(
        [...definition.matchAll(/'(\w+)'::text/g)].map(([, status]) => status)
          .filter((status) => known.includes(status!)),
      );
      assertEquals([...listed].sort(), declined, tgname);
    }
  },
);

stackTest("addresses are checked for their shape", async ({ sql }) => {
  const cases: [string | null, string | null][] = [
    ["a@example.com", "a@example.com"],
    ["  Asha.Rao+zo@Example.CO.IN\n", "asha.rao+zo@example.co.in"],
    ["ä@exämple.com", "ä@exämple.com"],
    ["o'neil_1@sub.example.org", "o'neil_1@sub.example.org"],
    [`${"a".repeat(64)}@example.com`, `${"a".repeat(64)}@example.com`],
    [null, null],
    ["", null],
    ["   ", null],
    ["nobody", null],
    ["@example.com", null],
    ["a@", null],
    ["a@example", null],
    ["a@example.c", null],
    ["a@.com", null],
    ["a@example..com", null],
    ["a..b@example.com", null],
    [".a@example.com", null],
    ["a.@example.com", null],
    ["a b@example.com", null],
    ["a@exa mple.com", null],
    ["a@@example.com", null],
    ["a@b@example.com", null],
    ["Asha <asha@example.com>", null],
    ["a@example.com, b@example.com", null],
    ["a@example.com;b@example.com", null],
    ["mailto:a@example.com", null],
    ["a\u0007@example.com", null],
    [`${"a".repeat(65)}@example.com`, null],
    [`a@${"b".repeat(63)}.${"c".repeat(200)}.com`, null],
  ];
  for (const [given, usable] of cases) {
    assertEquals(
      (await one(sql`select luma.usable_email(${given}) as usable`)).usable,
      usable,
      JSON.stringify(given),
    );
  }
});

stackTest(
  "a malformed address counts as none, and correcting it sends what waited",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await insertUser(stack, "u1", "u1@example");
    const error = await assertRejects(() => rsvp(stack, id, "u1", "going")) as
      & Error
      & Record<string, string>;
    assertMatch(error.detail!, /'u1@example', which is not an address/);
    await sql`update luma.settings set require_email = false`;
    await rsvp(stack, id, "u1", "going");
    await drain(stack);
    assertEquals(guestList(stack), {});
    await sql`update public.users set email = 'U1@Example.com ' where id = 'u1'`;
    await drain(stack);
    assertEquals(guestList(stack), { u1: "approved" });
  },
);

stackTest(
  "changing an address later makes no second guest; correcting one that Luma refused does send",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await insertUsers(stack, 2);
    simulator.faults.add({
      path: "/v1/events/guests/add",
      contains: "u2@example.com",
      status: 400,
      message: "u2@example.com cannot be invited",
    });
    await rsvp(stack, id, "u1", "going");
    await rsvp(stack, id, "u2", "going");
    await drain(stack);
    assertEquals(guestList(stack), { u1: "approved" });
    const dead = await one(sql`select * from luma.dead_letters`);
    assertMatch(dead.title, /RSVP of u2$/);
    assertMatch(dead.error, /u…@example\.com cannot be invited/);

    await sql`update public.users set email = 'new-' || id || '@example.org'`;
    await drainAll(stack);
    assertEquals(guestList(stack), { "new-u2": "approved", u1: "approved" });
    await rsvp(stack, id, "u1", "cancelled");
    await passTime(stack);
    await drain(stack);
    assertEquals(guestList(stack), { "new-u2": "approved", u1: "declined" });
    assertEquals((await sql`select from luma.dead_letters`).length, 0);
  },
);
