/** RSVPs in the modes, what going live, backfill, sweep and retry do with them, and who is mailed. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { linkedEvents } from "./linked_events.ts";
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

/** An event that is on Luma already. */
async function eventOnLuma(stack: Stack): Promise<[string, string]> {
  const [linked] = await linkedEvents(stack, 1);
  return linked!;
}

async function setMode({ sql }: Stack, mode: string): Promise<void> {
  await sql`select luma.set_mode(${mode})`;
}

/** Who was mailed about what since the last time this was asked, for example `guest-added u1`. */
function newMails({ simulator }: Stack): string[] {
  return simulator.emails.splice(0)
    .map(({ to, about }) => `${about} ${to.split("@")[0]}`).sort();
}

/** Status and note of the RSVP of a user. */
async function statusOf({ sql }: Stack, user: string): Promise<string> {
  const row = await one(
    sql`select status, note from luma.rsvp_status where user_id = ${user}`,
  );
  return `${row.status}: ${row.note}`;
}

stackTest(
  "luma.rsvp_status says why an RSVP is not on Luma, or that it is",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    const pending = await insertEvent(stack, { submission_status: "pending" });
    const over = await insertEvent(stack, {
      starts_at: new Date(Date.now() - 86_400_000),
      ends_at: null,
    });
    const feed = await insertEvent(stack, { source_type: "ical" });
    await insertUsers(stack, 7);
    await sql`update luma.settings set require_email = false`;
    await sql`update public.users set email = 'u4 at example' where id = 'u4'`;
    await rsvp(stack, pending, "u1", "going");
    await rsvp(stack, over, "u2", "going");
    await rsvp(stack, feed, "u3", "going");
    await rsvp(stack, event, "u4", "going");
    await rsvp(stack, event, "u5", "going");
    await rsvp(stack, event, "u6", "not_going");
    await drainAll(stack);
    const said = [
      [
        "u1",
        "held: the event is not approved (submission_status pending)",
      ],
      ["u2", "held: the event is over"],
      ["u3", "held: the event is not on Luma yet, see luma.event_status"],
      ["u4", "held: the user has no usable e-mail address (users.email)"],
      ["u5", "on Luma: null"],
      ["u6", "not on Luma: null"],
    ] as const;
    for (const [user, what] of said) {
      assertEquals(await statusOf(stack, user), what);
    }
    await setMode(stack, "off");
    await rsvp(stack, event, "u7", "going");
    assertEquals(await statusOf(stack, "u7"), "waiting: the mode is off");
    await setMode(stack, "dry_run");
    assertEquals(await statusOf(stack, "u7"), "waiting: the mode is dry_run");
    await setMode(stack, "live");
    await sql`select luma.pause('blr')`;
    await drain(stack);
    assertMatch(await statusOf(stack, "u7"), /^waiting: .* paused by admin/);
  },
);

stackTest(
  "dry_run logs what would be sent and remembers no guest; going live sends it without mails",
  async (stack) => {
    const { sql, simulator } = stack;
    const [event, lumaId] = await eventOnLuma(stack);
    await insertUsers(stack, 5);
    await rsvp(stack, event, "u1", "going");
    await drainAll(stack);
    simulator.clearRequests();
    assertEquals(newMails(stack), ["guest-added u1"]);

    await setMode(stack, "dry_run");
    const created = await insertEvent(stack, { title: "New" });
    await rsvp(stack, event, "u1", "cancelled");
    await rsvp(stack, event, "u2", "going");
    await rsvp(stack, event, "u3", "going");
    await rsvp(stack, created, "u4", "going");
    for (let n = 0; n < 2; n++) {
      await passTime(stack);
      await drain(stack);
    }
    assertEquals(calls(stack), []);
    assertEquals(
      [...await sql`select email, row_base, lease from luma.guests`],
      [{ email: "u1@example.com", row_base: "approved", lease: null }],
    );
    const logged = await sql`
      select r.user_id, a.calls from luma.attempts a join public.event_rsvps r on r.id = a.entity_id
      where a.entity = 'rsvp' and a.outcome = 'dry_run' order by 1`;
    assertEquals(
      logged.map(({ user_id, calls }) => [user_id, calls[0].route]),
      [
        ["u1", "POST /v1/events/guests/update-status"],
        ["u2", "POST /v1/events/guests/add"],
        ["u3", "POST /v1/events/guests/add"],
      ],
    );
    assertEquals(logged[1]!.calls[0].body.guests.length, 2);

    await setMode(stack, "live");
    await rsvp(stack, event, "u5", "going");
    await drainAll(stack);
    assertEquals(guestList(stack, lumaId), {
      u1: "declined",
      u2: "approved",
      u3: "approved",
      u5: "approved",
    });
    const created_ = simulator.events().find(({ name }) => name === "New")!;
    assertEquals(guestList(stack, created_.id), { u4: "approved" });
    assertEquals(newMails(stack), ["guest-added u5"]);
  },
);

stackTest(
  "nobody is mailed about an RSVP from before going live, whatever became of its event",
  async (stack) => {
    const { sql, simulator } = stack;
    const [event] = await eventOnLuma(stack);
    const hidden = await insertEvent(stack, { title: "Hidden" });
    await insertUsers(stack, 8);
    await drainAll(stack);
    await sql`update public.canonical_events set submission_status = 'pending' where id = ${hidden}`;
    await drainAll(stack);

    await setMode(stack, "off");
    const known = await insertEvent(stack, { title: "Known" });
    await rsvp(stack, event, "u1", "going");
    await rsvp(stack, hidden, "u2", "going");
    await rsvp(stack, known, "u3", "going");
    // From before this project came.
    await sql`delete from luma.sync_outbox where entity = 'rsvp' or entity_id = ${known}`;
    await sql`update public.canonical_events set submission_status = 'approved' where id = ${hidden}`;
    const approved = await insertEvent(stack, { title: "Approved" });
    await rsvp(stack, event, "u4", "interested");
    await rsvp(stack, hidden, "u5", "going");
    await rsvp(stack, approved, "u6", "going");

    await setMode(stack, "live");
    // An edit before its turn, which is sent as any edit.
    await sql`update public.canonical_events set description = 'Edited' where id = ${approved}`;
    await drainAll(stack);
    assertEquals(
      simulator.events().flatMap(({ guests }) => guests.length),
      [2, 2, 1, 1],
    );
    assertEquals(newMails(stack), []);
    await rsvp(stack, event, "u1", "cancelled");
    await rsvp(stack, approved, "u7", "going");
    await drainAll(stack);
    assertEquals(newMails(stack), ["guest-added u7", "status-changed u1"]);
  },
);

stackTest("send_email = false mails nobody", async (stack) => {
  const { sql } = stack;
  const [event] = await eventOnLuma(stack);
  await insertUsers(stack, 2);
  await rsvp(stack, event, "u1", "going");
  await drainAll(stack);
  assertEquals(newMails(stack), ["guest-added u1"]);
  await sql`update luma.settings set send_email = false`;
  await rsvp(stack, event, "u1", "cancelled");
  await rsvp(stack, event, "u2", "going");
  await drainAll(stack);
  assertEquals(guestList(stack), { u1: "declined", u2: "approved" });
  assertEquals(newMails(stack), []);
});

stackTest(
  "luma.backfill() enqueues the RSVPs that Luma has not as they are, once, and mails nobody",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 4);
    for (const user of ["u1", "u2"]) await rsvp(stack, event, user, "going");
    await drainAll(stack);
    assertEquals(newMails(stack).length, 2);
    await rsvp(stack, event, "u1", "cancelled");
    await rsvp(stack, event, "u3", "interested");
    await rsvp(stack, event, "u4", "not_going");
    await sql`delete from luma.sync_outbox where entity = 'rsvp'`;
    const backfill = async () =>
      (await one(sql`select luma.backfill() as enqueued`)).enqueued;
    assertEquals([await backfill(), await backfill()], [2, 0]);
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "declined",
      u2: "approved",
      u3: "pending_approval",
    });
    assertEquals([await backfill(), newMails(stack)], [0, []]);
  },
);

stackTest(
  "the sweep finds changes and deletions that the triggers missed",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 4);
    for (const user of ["u1", "u2", "u3"]) {
      await rsvp(stack, event, user, "going");
    }
    await drainAll(stack);
    await sql`alter table public.event_rsvps disable trigger user`;
    await rsvp(stack, event, "u1", "cancelled");
    await sql`delete from public.event_rsvps where user_id = 'u2'`;
    await rsvp(stack, event, "u4", "going");
    await sql`alter table public.event_rsvps enable trigger user`;
    await drainAll(stack);
    assertEquals(Object.values(guestList(stack)), Array(3).fill("approved"));

    assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 3);
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "declined",
      u2: "declined",
      u3: "approved",
      u4: "approved",
    });
    assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 0);
  },
);

stackTest(
  "luma_synced_at that could not be written while the app held the event is written by the sweep",
  async (stack) => {
    const { sql } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 1);
    await rsvp(stack, event, "u1", "going");
    const synced = async () =>
      (await one(sql`select luma_synced_at from public.event_rsvps`))
        .luma_synced_at;
    await sql.begin(async (app) => {
      await app`select from public.canonical_events for update`;
      await drain(stack);
    });
    assertEquals([guestList(stack).u1, await synced()], ["approved", null]);
    await sql`select luma.sweep()`;
    assert(await synced() instanceof Date);
    const { version, done_version } = await one(
      sql`select version, done_version from luma.sync_outbox where entity = 'rsvp'`,
    );
    assertEquals(version, done_version, "that is no change to be sent");
  },
);

stackTest(
  "a refused RSVP is a dead letter that names event and user, and luma.retry() sends it",
  async (stack) => {
    const { sql, simulator } = stack;
    const [event] = await eventOnLuma(stack);
    await insertUsers(stack, 2);
    const refusal = simulator.faults.add({
      path: ADD,
      contains: "u1@example.com",
      status: 400,
      message: "u1@example.com is blocked",
    });
    await rsvp(stack, event, "u1", "going");
    await rsvp(stack, event, "u2", "going");
    await drainAll(stack);
    assertEquals(guestList(stack), { u2: "approved" });
    const { id } = await one(
      sql`select id from public.event_rsvps where user_id = 'u1'`,
    );
    const dead = await one(sql`select * from luma.dead_letters`);
    assertEquals(
      [dead.entity, dead.entity_id, dead.title, dead.to_retry],
      ["rsvp", id, "Event 0: RSVP of u1", `select luma.retry('${id}');`],
    );
    assertMatch(dead.error, /guests\/add answered 400: u…@example\.com is blo/);
    assertMatch(await statusOf(stack, "u1"), /^failed: .*is blocked/);

    refusal.remove();
    await drainAll(stack);
    assertEquals(guestList(stack), { u2: "approved" });
    await sql.unsafe(dead.to_retry);
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "approved", u2: "approved" });
    const error = await assertRejects(() => sql.unsafe(dead.to_retry)) as Error;
    assertMatch(error.message, /nothing of .* waits/);
  },
);
