/** Of a deleted user, or of a guest who asks for it, nothing stays but what Luma has to be told. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { deliverer, delivery } from "./luma_deliveries.ts";
import {
  type Both,
  countOf,
  knownEvent,
  ownEvent,
  register,
} from "./luma_guests.ts";
import { BLR, hostEvent, lumaTest, settle } from "./luma_side.ts";
import { pullAll } from "./pulls_for_tests.ts";
import { ADD, UPDATE } from "./rsvps_for_tests.ts";
import { findTexts } from "./search_for_tests.ts";
import {
  drain,
  drainInCall,
  guestList,
  one,
  rsvp,
  type Stack,
} from "./testing.ts";

const ID = "user-of-zara-4711";
const EMAIL = "zara.quux@example.org";
const PHONE = "+919876501234";
const ZARA = [ID, EMAIL, "Zara Quux", "9876501234", "98765 01234"];

async function insertZara({ sql }: Stack): Promise<void> {
  await sql`
    insert into public.users (id, name, email, phone)
    values (${ID}, 'Zara Quux', ${` ${EMAIL.toUpperCase()} `}, '98765 01234')`;
}

/** Where something of hers is kept by this project, after the clean-up that pg_cron runs. */
async function traces(stack: Stack, of = ZARA): Promise<string[]> {
  const job = await one(
    stack.sql`select command from cron.job where jobname = 'luma-clean-up'`,
  );
  await stack.sql.unsafe(job.command);
  return await findTexts(stack.admin, ["luma", "net", "cron"], of);
}

function registerZara(stack: Stack, event: Both, email = EMAIL): void {
  register(
    stack,
    event,
    "zara",
    {
      ...{ name: "Zara Quux", phone_number: PHONE },
      ...{ email },
    } as Parameters<typeof register>[3],
  );
}

/** The status of the one guest that Luma has. */
function statusOnLuma(stack: Stack, event: Both): string | undefined {
  return Object.values(guestList(stack, event.lumaId))[0];
}

lumaTest(
  "of a deleted user nothing stays once Luma was told",
  async (stack) => {
    const { sql } = stack;
    await insertZara(stack);
    const [first, second] = [await knownEvent(stack), await knownEvent(stack)];
    await rsvp(stack, first.id, ID, "going");
    registerZara(stack, second);
    await settle(stack);
    await pullAll(stack);
    assert((await traces(stack)).length > 0);
    assertEquals(await countOf(stack, second), 1);

    await sql`delete from public.users where id = ${ID}`;
    // Not told yet: kept is whom Luma has to hear of, and that is in three tables only.
    const kept = await traces(stack);
    assertEquals(
      [...new Set(kept.map((where) => where.split(".")[1]))],
      ["erasures", "guest_links", "guests"],
      kept.join("\n"),
    );
    await settle(stack);
    assertEquals(
      [first, second].map((event) => statusOnLuma(stack, event)),
      ["declined", "declined"],
    );
    assertEquals(await traces(stack), []);
    assertEquals((await sql`select from luma.erasures`).length, 0);
    assertEquals((await sql`select from luma.guests`).length, 0);
    assertEquals(await countOf(stack, second), 0);

    // Luma's list still shows her, and the echo of our own call came too.
    await pullAll(stack);
    await settle(stack);
    assertEquals(await traces(stack), []);
    assertEquals([...await sql`select * from luma.dead_letters`], []);
  },
);

lumaTest(
  "a decline that Luma refused is kept until somebody tries again",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertZara(stack);
    const event = await knownEvent(stack);
    await rsvp(stack, event.id, ID, "going");
    await settle(stack);
    const fault = simulator.faults.add({
      path: UPDATE,
      status: 400,
      message: `${EMAIL} (Zara Quux) cannot be changed`,
    });
    await sql`delete from public.users where id = ${ID}`;
    await settle(stack);
    const dead = await one(sql`select error from luma.dead_letters`);
    assertMatch(dead.error, /z…@example\.org/);
    assert((await traces(stack)).length > 0);

    fault.remove();
    await sql`select luma.retry()`;
    await settle(stack);
    assertEquals(statusOnLuma(stack, event), "declined");
    assertEquals(await traces(stack), []);
  },
);

for (
  const [when, cut] of [["before", false], ["after", true]] as const
) {
  lumaTest(
    `who is deleted ${when} Luma takes them${
      cut ? ", and the drain dies," : ""
    } is declined and forgotten`,
    async (stack) => {
      const { sql } = stack;
      await insertZara(stack);
      const event = await ownEvent(stack);
      await rsvp(stack, event.id, ID, "going");
      const { drained, release } = await drainInCall(stack, ADD, when);
      await sql`delete from public.users where id = ${ID}`;
      assert((await traces(stack)).length > 0);
      if (cut) await stack.functions.kill("luma-drain");
      release();
      await drained.catch(() => {});
      await traces(stack);
      await settle(stack);
      assertEquals(statusOnLuma(stack, event) ?? "declined", "declined");
      assertEquals(await traces(stack), []);
      await pullAll(stack);
      assertEquals(await traces(stack), []);
    },
  );
}

lumaTest(
  "what no longer has to be told goes at once",
  async (stack) => {
    const { sql } = stack;
    await insertZara(stack);
    const event = await knownEvent(stack);
    await rsvp(stack, event.id, ID, "going");
    await settle(stack);
    await sql`update public.canonical_events set starts_at = now() - interval '3 hours', ends_at = now() - interval '1 hour'`;
    await sql`select luma.set_mode('off')`;
    await sql`delete from public.users where id = ${ID}`;
    assertEquals(await traces(stack), []);
  },
);

lumaTest(
  "whom another user shares an address or number with stays that user's",
  async (stack) => {
    const { sql } = stack;
    await insertZara(stack);
    await sql`
      insert into public.users (id, name, email, phone)
      values ('twin', 'Yara Quux', ${EMAIL}, '98765 01234')`;
    const event = await knownEvent(stack);
    await rsvp(stack, event.id, "twin", "going");
    await rsvp(stack, event.id, ID, "going");
    await settle(stack);
    await sql`delete from public.users where id = ${ID}`;
    await settle(stack);
    assertEquals(await traces(stack, [ID]), []);
    assertEquals(statusOnLuma(stack, event), "approved");
    const guest = await one(sql`select email, forgotten from luma.guests`);
    assertEquals(guest, { email: EMAIL, forgotten: false });
    const status = await one(sql`select status from luma.rsvp_status`);
    assertEquals(status, { status: "on Luma" });
  },
);

lumaTest(
  "a guest who is no user is forgotten on request, and the place stays taken",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = await knownEvent(stack);
    registerZara(stack, event);
    await settle(stack);
    assertEquals(await countOf(stack, event), 1);
    const forget = async () =>
      (await one(
        sql`select luma.forget_person(${` ${EMAIL.toUpperCase()} `}) as gone`,
      )).gone;
    assertEquals(await forget(), true);
    assertEquals(await traces(stack), []);
    assertEquals(await countOf(stack, event), 1);
    // Told again, by a list and by webhooks.
    await pullAll(stack);
    assertEquals(await traces(stack), []);
    const guest = simulator.event(event.lumaId)!.guests[0]!;
    simulator.guest.update(event.lumaId, guest.id, { name: "Zara Q. Quux" });
    await settle(stack);
    assertEquals(await traces(stack), []);
    assertEquals(await countOf(stack, event), 1);
    assertEquals(await forget(), true);

    // Gone from Luma's list too.
    simulator.host.setGuestStatus(event.lumaId, guest.id, "declined");
    await settle(stack);
    assertEquals(await traces(stack), []);
    assertEquals((await sql`select from luma.guests`).length, 0);
    assertEquals(await countOf(stack, event), 0);
  },
);

lumaTest("who comes back is somebody again", async (stack) => {
  const { sql } = stack;
  const event = await knownEvent(stack);
  registerZara(stack, event);
  await settle(stack);
  await sql`select luma.forget_person(${EMAIL})`;
  await insertZara(stack);
  await pullAll(stack);
  await settle(stack);
  const { status, user_id } = await one(
    sql`select status, user_id from public.event_rsvps`,
  );
  assertEquals({ status, user_id }, { status: "going", user_id: ID });
  assertEquals(await countOf(stack, event), 1);
});

lumaTest(
  "the hosts that deliveries tell of are forgotten too",
  async (stack) => {
    const { sql, simulator } = stack;
    const data = {
      ...{ id: "evt-hosted", calendar_id: BLR, name: "Hosted" },
      hosts: [{ id: "usr-1", name: "Zara Quux", email: EMAIL, phone: PHONE }],
    };
    // A type that is not used is stored as it came.
    for (const type of ["event.created", "ticket.registered"]) {
      await (await deliverer(stack, BLR))(delivery(type, data));
    }
    await settle(stack);
    hostEvent(stack);
    await pullAll(stack);
    assert((await findTexts(stack.admin, ["luma"], ZARA)).length > 0);
    await sql`select luma.forget_person(${EMAIL})`;
    assertEquals(await traces(stack), []);
    const owner = simulator.calendars.find(({ id }) => id === BLR)!.owner;
    assertEquals(await traces(stack, [owner.email]), []);
  },
);

lumaTest("who is a user is forgotten by deleting the user", async (stack) => {
  const { sql } = stack;
  await insertZara(stack);
  for (const person of [EMAIL, ID]) {
    const error = await assertRejects(
      () => sql`select luma.forget_person(${person})`,
      Error,
      `is user ${ID}`,
    );
    assertMatch(
      (error as { hint?: string }).hint ?? "",
      /Delete the row of public.users/,
    );
  }
  for (const nobody of ["", "  ", null]) {
    await assertRejects(
      () => sql`select luma.forget_person(${nobody})`,
      Error,
      "give an e-mail address",
    );
  }
  // Nobody knows them: there is nothing to do, which is no error.
  for (const stranger of ["nobody@example.org", "u-never"]) {
    const { gone } = await one(
      sql`select luma.forget_person(${stranger}) as gone`,
    );
    assertEquals(gone, true);
  }
}, { functions: false, dataApi: false });

lumaTest(
  "the app deletes users whatever is wrong here, and waits for nobody",
  async (stack) => {
    const { sql, admin } = stack;
    await insertZara(stack);
    const event = await knownEvent(stack);
    await rsvp(stack, event.id, ID, "going");
    await settle(stack);
    await admin`alter table luma.erasures rename to gone`;
    await sql`delete from public.users where id = ${ID}`;
    await admin`alter table luma.gone rename to erasures`;
    // The clean-up finds what the trigger could not write down.
    await traces(stack);
    await drain(stack);
    await settle(stack);
    assertEquals(await traces(stack), []);

    await sql`
      insert into public.users (id, email) select 'u' || n, 'u' || n || '@example.com' from generate_series(1, 5000) n`;
    await sql.begin(async (cleaning) => {
      await cleaning`select luma.forget_due()`;
      const started = performance.now();
      await sql.begin(async (app) => {
        await app`set local lock_timeout = '200ms'`;
        await app`delete from public.users where id like 'u%'`;
      });
      const took = performance.now() - started;
      assert(took < 2000, `5000 users took ${took} ms to delete`);
    });
    for (let left = 1; left > 0;) {
      left = (await one(sql`select luma.forget_due() as left`)).left;
    }
    assertEquals((await sql`select from luma.forgotten`).length, 5001);
  },
);

lumaTest(
  "hashes go when Luma has not told of them for a month",
  async ({ sql }) => {
    await sql`select luma.forget_person(${EMAIL})`;
    await sql`update luma.forgotten set told_at = now() - interval '29 days'`;
    await sql`select luma.forget_due()`;
    assertEquals((await sql`select from luma.forgotten`).length, 1);
    await sql`update luma.forgotten set told_at = now() - interval '31 days'`;
    await sql`select luma.forget_due()`;
    assertEquals((await sql`select from luma.forgotten`).length, 0);
  },
  { functions: false, dataApi: false },
);
