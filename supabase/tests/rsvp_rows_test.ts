/** Rows of RSVPs and users as they should not be, and each has its defined outcome. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { linkedEvents } from "./linked_events.ts";
import {
  claim,
  drain,
  drainAll,
  drainInCall,
  guestList,
  insertUsers,
  one,
  passTime,
  rsvp,
  type Stack,
  stackTest,
  startRun,
} from "./testing.ts";

const ADD = "/v1/events/guests/add";
const UPDATE = "/v1/events/guests/update-status";

/** An event that is on Luma already: its id here and there. */
async function eventOnLuma(stack: Stack): Promise<[string, string]> {
  const [linked] = await linkedEvents(stack, 1);
  return linked!;
}

async function insertUser(
  { sql }: Stack,
  id: string,
  email: string | null,
  name: string | null = id,
): Promise<void> {
  await sql`insert into public.users (id, name, email) values (${id}, ${name}, ${email})`;
}

/** The calls about guests since the last time this was asked, for example `declined u1`. */
function newCalls({ simulator }: Stack): string[] {
  const made = simulator.requests.flatMap(({ path, body }) => {
    const sent = body as {
      guests?: { email: string }[];
      approval_status?: string;
      guest_id?: string;
      status?: string;
    };
    const who = sent?.guests?.map(({ email }) => email) ?? [sent?.guest_id];
    return path === ADD || path === UPDATE
      ? who.map((id) =>
        `${sent.approval_status ?? sent.status} ${id?.split("@")[0]}`
      )
      : [];
  });
  simulator.clearRequests();
  return made.sort();
}

stackTest(
  "a user whose row vanished is declined, or never added",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 3);
    await rsvp(stack, event, "u1", "going");
    await drainAll(stack);
    await sql`alter table public.event_rsvps drop constraint event_rsvps_user_id_fkey`;
    await rsvp(stack, event, "u2", "going");
    await sql`delete from public.users where id in ('u1', 'u2')`;
    await rsvp(stack, event, "nobody", "going");
    // A change of the row itself, for no trigger tells that its user went.
    await rsvp(stack, event, "u1", "approved");
    await rsvp(stack, event, "u3", "going");
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "declined", u3: "approved" });
    assertEquals((await sql`select from luma.dead_letters`).length, 0);
  },
);

stackTest("the sweep finds users who vanished", async (stack) => {
  const { sql } = stack;
  const [event] = await eventOnLuma(stack);
  await insertUsers(stack, 1);
  await rsvp(stack, event, "u1", "going");
  await drainAll(stack);
  await sql`alter table public.event_rsvps drop constraint event_rsvps_user_id_fkey`;
  await sql`delete from public.users`;
  assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 1);
  await drainAll(stack);
  assertEquals(guestList(stack), { u1: "declined" });
});

stackTest(
  "names are sent cleaned and cut, or not at all, and never stop an RSVP",
  async (stack) => {
    const [event] = await eventOnLuma(stack);
    const names: Record<string, [given: string | null, sent?: string]> = {
      none: [null],
      blank: [" \t\n "],
      invisible: ["\u0001\u0007\u009f"],
      control: ["As\u0001ha\u0007\r\n\t Rao \u007f", "Asha Rao"],
      long: ["x".repeat(5_000), "x".repeat(100)],
      emoji: ["🎷".repeat(5_000), "🎷".repeat(100)],
      markup: [`<b>"Asha"</b> \\ \u0027;--`, `<b>"Asha"</b> \\ ';--`],
    };
    for (const [id, [name]] of Object.entries(names)) {
      await insertUser(stack, id, `${id}@example.com`, name);
      await rsvp(stack, event, id, "going");
    }
    await drainAll(stack);
    const sent = stack.simulator.requests.filter(({ path }) => path === ADD)
      .flatMap(({ body }) => (body as { guests: unknown[] }).guests);
    assertEquals(
      new Set(sent),
      new Set(
        Object.entries(names).map(([id, [, name]]) => ({
          email: `${id}@example.com`,
          ...(name ? { name } : {}),
        })),
      ),
    );
    assertEquals(
      Object.keys(guestList(stack)).sort(),
      Object.keys(names).sort(),
    );
  },
);

stackTest(
  "an address with spaces and capitals is one guest, in lower case",
  async (stack) => {
    const { sql, simulator } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUser(stack, "u1", "  Asha.Rao@Example.COM\n");
    await rsvp(stack, event, "u1", "interested");
    await drainAll(stack);
    // Another spelling is no other address.
    await sql`update public.users set email = 'ASHA.rao@example.com'`;
    await drainAll(stack);
    await rsvp(stack, event, "u1", "going");
    await drainAll(stack);
    assertEquals(newCalls(stack), [
      "approved asha.rao",
      "pending_approval asha.rao",
    ]);
    assertEquals(
      simulator.events()[0]!.guests.map((guest) => guest.user_email),
      ["asha.rao@example.com"],
    );
  },
);

stackTest(
  "two users with one address are one guest, who stays as long as one of them comes, in all orders",
  async (stack) => {
    const { sql } = stack;
    await insertUser(stack, "u1", "both@example.com");
    await insertUser(stack, "u2", "Both@Example.com ");
    for (const [first, last] of [["u1", "u2"], ["u2", "u1"]] as const) {
      for (const together of [true, false]) {
        const where = `${first} first, ${together ? "together" : "apart"}`;
        const [event, lumaId] = await eventOnLuma(stack);
        const set = async (user: string, status: string, calls: string[]) => {
          await rsvp(stack, event, user, status);
          await drainAll(stack);
          const what = `${where}: ${user} ${status}`;
          assertEquals(
            newCalls(stack),
            calls.map((call) => `${call} both`),
            what,
          );
          return guestList(stack, lumaId).both;
        };
        await rsvp(stack, event, "u1", "going");
        if (!together) await drainAll(stack);
        assertEquals(
          await set("u2", "going", ["approved"]),
          "approved",
          where,
        );
        assertEquals(await set(first, "cancelled", []), "approved", where);
        const { status, note, luma_status } = await one(
          sql`select * from luma.rsvp_status where event_id = ${event} and user_id = ${first}`,
        );
        assertEquals([status, luma_status], ["on Luma", "approved"]);
        assertMatch(note, /another RSVP .* same e-mail address.*: approved$/);
        assertEquals(await set(last, "not_going", ["declined"]), "declined");
        // Who comes, comes as the more certain of both.
        await set(first, "interested", ["pending_approval"]);
        await set(last, "going", ["approved"]);
        await set(first, "waitlist", []);
        await set(last, "cancelled", ["waitlist"]);
        await set(first, "rejected", ["declined"]);
        assertEquals(stack.simulator.event(lumaId)!.guests.length, 1, where);
      }
    }
  },
);

stackTest(
  "of two users with one address, one may come and the other leave during the call that adds them",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await sql`update luma.settings set edit_spacing_ms = 0`;
    await insertUser(stack, "u1", "both@example.com");
    await insertUser(stack, "u2", "both@example.com");
    await rsvp(stack, event, "u1", "going");
    const { drained, release } = await drainInCall(stack, ADD);
    await rsvp(stack, event, "u2", "going");
    // The guest is being sent, and nobody sends it twice at once.
    assertEquals((await claim(stack, await startRun(stack))).jobs, []);
    await rsvp(stack, event, "u1", "cancelled");
    release();
    await drained;
    await drainAll(stack);
    assertEquals(newCalls(stack), ["approved both"]);
    await sql`delete from public.event_rsvps where user_id = 'u2'`;
    await drainAll(stack);
    assertEquals(newCalls(stack), ["declined both"]);
  },
);

stackTest(
  "an RSVP that is made anew, with another id, is the guest it was",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 1);
    await rsvp(stack, event, "u1", "going");
    await drainAll(stack);
    assertEquals(newCalls(stack), ["approved u1"]);
    for (const drained of [false, true]) {
      await sql`delete from public.event_rsvps`;
      if (drained) await drainAll(stack);
      await rsvp(stack, event, "u1", "interested");
      await drainAll(stack);
      assertEquals(
        newCalls(stack),
        drained ? ["declined u1", "pending_approval u1"] : [
          "pending_approval u1",
        ],
      );
      await rsvp(stack, event, "u1", "going");
      await drainAll(stack);
      assertEquals(newCalls(stack), ["approved u1"]);
    }
    await sql`delete from public.event_rsvps`;
    await drainAll(stack);
    assertEquals(newCalls(stack), ["declined u1"]);
    assertEquals(stack.simulator.events()[0]!.guests.length, 1);
  },
);

stackTest(
  "an RSVP that goes over to another user declines the old guest and adds the new one",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 4);
    await rsvp(stack, event, "u1", "going");
    await drainAll(stack);
    await sql`update public.event_rsvps set user_id = 'u2'`;
    await drainAll(stack);
    assertEquals(newCalls(stack), [
      "approved u1",
      "approved u2",
      "declined u1",
    ]);
    assertEquals(guestList(stack), { u1: "declined", u2: "approved" });
    const shown = await one(sql`select * from luma.rsvp_status`);
    assertEquals(
      [shown.status, shown.email, shown.note],
      ["on Luma", "u2@example.com", null],
    );
    // Twice before a drain looks, and there and back again.
    await sql`update public.event_rsvps set user_id = 'u3'`;
    await sql`update public.event_rsvps set user_id = 'u4', status = 'interested'`;
    await drainAll(stack);
    assertEquals(newCalls(stack), ["declined u2", "pending_approval u4"]);
    await sql`update public.event_rsvps set user_id = 'u1'`;
    await sql`update public.event_rsvps set user_id = 'u4'`;
    await drainAll(stack);
    assertEquals(newCalls(stack), []);
  },
);

stackTest(
  "an RSVP that goes over to another user with the same address is the same guest",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUser(stack, "phone", "asha@example.com");
    await insertUser(stack, "wallet", "Asha@example.com");
    await rsvp(stack, event, "phone", "going");
    await drainAll(stack);
    await sql`update public.event_rsvps set user_id = 'wallet'`;
    await sql`delete from public.users where id = 'phone'`;
    await drainAll(stack);
    assertEquals(newCalls(stack), ["approved asha"]);
    // Somebody else with that address comes and goes, and the guest stays.
    await insertUser(stack, "other", "asha@example.com");
    for (const status of ["going", "cancelled"]) {
      await rsvp(stack, event, "other", status);
      await drainAll(stack);
    }
    assertEquals(newCalls(stack), []);
    await rsvp(stack, event, "wallet", "cancelled");
    await drainAll(stack);
    assertEquals(newCalls(stack), ["declined asha"]);
  },
);

stackTest("no status means not coming", async (stack) => {
  const { sql } = stack;
  const [event] = await eventOnLuma(stack);
  await insertUsers(stack, 2);
  await sql`
    insert into public.event_rsvps (event_id, user_id, status)
    values (${event}, 'u1', null), (${event}, 'u2', 'going')`;
  await drainAll(stack);
  assertEquals(newCalls(stack), ["approved u2"]);
  await sql`update public.event_rsvps set status = null`;
  await drainAll(stack);
  assertEquals(newCalls(stack), ["declined u2"]);
  await sql`update public.event_rsvps set status = 'going'`;
  await drainAll(stack);
  assertEquals(newCalls(stack), ["approved u1", "approved u2"]);
  await sql`update public.event_rsvps set status = null`;
  await sql`delete from public.event_rsvps`;
  await drainAll(stack);
  assertEquals(newCalls(stack), ["declined u1", "declined u2"]);
});

stackTest(
  "an unknown event is refused by the table itself, and without its foreign key stops no other RSVP",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 1);
    const nowhere = crypto.randomUUID();
    await assertRejects(
      () => rsvp(stack, nowhere, "u1", "going"),
      Error,
      "foreign key",
    );
    await sql`alter table public.event_rsvps drop constraint event_rsvps_event_id_fkey`;
    await rsvp(stack, nowhere, "u1", "going");
    await rsvp(stack, event, "u1", "going");
    await drain(stack);
    await sql`select luma.sweep()`;
    await passTime(stack);
    await drain(stack);
    assertEquals(newCalls(stack), ["approved u1"]);
    assertEquals((await sql`select from luma.due_jobs`).length, 0);
    assertEquals((await sql`select from luma.missed_changes`).length, 0);
  },
);
