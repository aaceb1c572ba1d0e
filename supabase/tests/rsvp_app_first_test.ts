/** Neither the app's writes of RSVPs and users nor the sync ever wait for a lock of the other's. */
import { assert, assertEquals } from "@std/assert";
import {
  claim,
  claimGuests,
  drain,
  drainAll,
  drainInCall,
  guestList,
  insertUsers,
  passTime,
  type Stack,
  stackTest,
  startRun,
  until,
} from "./testing.ts";
import {
  ADD,
  each,
  inApp,
  insertRsvps,
  inSync,
  missedChanges,
  number,
  outcomes,
  waitingEvents,
  waitingRsvps,
} from "./rsvps_for_tests.ts";

type Sql = Stack["sql"];

/** Writes RSVPs past our triggers, as a fault of ours would. */
async function unseen({ sql }: Stack, write: () => Promise<unknown>) {
  await sql`alter table public.event_rsvps disable trigger user`;
  await write();
  await sql`alter table public.event_rsvps enable trigger user`;
}

stackTest(
  "users' addresses and their RSVPs, written in opposite orders, never wait for each other",
  async (stack) => {
    const { sql } = stack;
    const [event, second] = await waitingEvents(stack, 4, 0);
    await drain(stack);
    for (const [first, last] of [["u1", "u2"], ["u2", "u1"]] as const) {
      const address = (by: Sql, user: string) =>
        by`update public.users set email = 'new-' || email where id = ${user}`;
      const status = (by: Sql, user: string) =>
        by`update public.event_rsvps set status = case status when 'going' then 'waitlist' else 'going' end
           where user_id = ${user}`;
      await inApp(stack, (users) =>
        inApp(stack, async (rsvps) => {
          await address(users, first);
          await status(rsvps, last);
          await inSync(
            stack,
            async (sync) => claim(sync, await startRun(sync)),
          );
          await status(rsvps, first);
          await address(users, last);
          await rsvps`
            insert into public.event_rsvps (event_id, user_id, status) values (${
            second!.id
          }, ${last}, 'going')`;
        }));
      // The same in one statement each, first the one before the other and then the other way round.
      await inApp(stack, (users) =>
        inApp(stack, async (rsvps) => {
          const all = () =>
            users`update public.users set email = 'x' || email where id in ('u3', 'u4')`;
          if (first === "u1") await all();
          await rsvps`
            update public.event_rsvps set status = case status when 'going' then 'waitlist' else 'going' end
            where event_id = ${event!.id} and user_id in ('u4', 'u3')`;
          if (first !== "u1") await all();
        }));
    }
    assertEquals(await missedChanges(stack), []);
    assertEquals(
      await number(
        sql`select count(distinct user_id)::int from luma.rechecks`,
      ),
      4,
    );
    await drainAll(stack);
    assertEquals(
      guestList(stack, event!.lumaId),
      each(["u1", "u2", "u3", "u4"], "approved"),
    );
  },
);

stackTest(
  "a guest whose RSVP the app is writing is settled later, the others of its batch at once",
  async (stack) => {
    const { sql } = stack;
    await waitingRsvps(stack, 5);
    const settled = () =>
      number(
        sql`select count(*)::int from luma.guests where synced_at is not null`,
      );
    const { drained, release } = await drainInCall(stack, ADD);
    await inApp(stack, async (app) => {
      await app`update public.event_rsvps set status = 'waitlist' where user_id = 'u1'`;
      release();
      await until(
        "the four others are settled",
        async () => await settled() === 4,
      );
      await app`update public.event_rsvps set status = 'cancelled' where user_id = 'u2'`;
      assertEquals(
        await number(
          sql`select count(*)::int from luma.sync_outbox where lease is not null`,
        ),
        1,
      );
    });
    await drained;
    assertEquals(await missedChanges(stack), []);
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "waitlist",
      u2: "declined",
      u3: "approved",
      u4: "approved",
      u5: "approved",
    });
    // Nobody's lease ran out.
    assertEquals(Object.keys(await outcomes(stack)), ["done"]);
  },
);

/** What the app holds of u1's RSVP, who of the batch is busy then, and whose row cannot be written. */
const HELD: [string, string, string[], string[]][] = [
  [
    "the event's row",
    "update public.canonical_events set current_rsvp_count = 3",
    [],
    ["u1", "u2", "u3"],
  ],
  [
    "an RSVP's row",
    "select from public.event_rsvps where user_id = 'u1' for update",
    [],
    ["u1"],
  ],
  [
    "an outbox row",
    "select from luma.sync_outbox o join public.event_rsvps r on r.id = o.entity_id where r.user_id = 'u1' for update of o",
    ["u1"],
    ["u1"],
  ],
];

for (const [what, hold, busyUsers, unwritten] of HELD) {
  stackTest(
    `settling and renewing wait for nobody who holds ${what}`,
    async (stack) => {
      const { sql } = stack;
      const { id } = await waitingRsvps(stack, 3);
      const run = await startRun(stack);
      const { guests } = (await claimGuests(stack, run))[0]!;
      const users = new Map(
        guests.map(({ lease, email }) => [lease, email.split("@")[0]!]),
      );
      const done = JSON.stringify(
        guests.map(({ lease }) => ({
          lease,
          outcome: "done",
          status: "approved",
          luma_guest_id: null,
          calls: [],
        })),
      );
      const settle = async ({ sql }: Pick<Stack, "sql">) =>
        (await sql`select luma_settle_guests as lease from public.luma_settle_guests(${id}, ${done})`)
          .map(({ lease }) => users.get(lease)!);
      const renew = async ({ sql }: Pick<Stack, "sql">) =>
        (await sql`select luma_renew as lease from public.luma_renew(${run})`)
          .map(({ lease }) => users.get(lease)!).sort();
      const notWritten = async () =>
        (await sql`select user_id from public.event_rsvps where luma_synced_at is null order by 1`)
          .map((row) => row.user_id);

      await inApp(stack, async (app) => {
        await app.unsafe(hold);
        assertEquals(
          await inSync(stack, renew),
          ["u1", "u2", "u3"].filter((user) => !busyUsers.includes(user)),
        );
      });
      // What was held a moment ago is renewed with the rest.
      assertEquals(await renew(stack), ["u1", "u2", "u3"]);
      await inApp(stack, async (app) => {
        await app.unsafe(hold);
        assertEquals(await inSync(stack, settle), busyUsers);
        assertEquals(await notWritten(), unwritten);
        await inSync(stack, ({ sql }) => sql`select luma.sweep()`);
        assertEquals(await notWritten(), unwritten);
      });
      assertEquals(await settle(stack), []);
      await sql`select luma.sweep()`;
      assertEquals(await notWritten(), []);
      assertEquals(
        await number(
          sql`select count(*)::int from luma.sync_outbox where version > done_version`,
        ),
        0,
      );
    },
  );
}

stackTest(
  "a claim passes over the RSVPs that the app is writing",
  async (stack) => {
    await waitingRsvps(stack, 4);
    // Routes them, so that nothing but the lock can keep the claim from one.
    const run = await startRun(stack);
    await inApp(stack, async (app) => {
      await app`update public.event_rsvps set status = 'waitlist' where user_id in ('u1', 'u3')`;
      const [job] = await inSync(stack, (sync) => claimGuests(sync, run));
      assertEquals(job?.guests.map(({ email }) => email).sort(), [
        "u2@example.com",
        "u4@example.com",
      ]);
      // What is leased is not locked.
      await app`update public.event_rsvps set status = 'waitlist' where user_id = 'u2'`;
    });
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "waitlist",
      u2: "waitlist",
      u3: "waitlist",
      u4: "approved",
    });
  },
);

/** What enqueues RSVPs that differ from Luma. */
const ENQUEUERS: [string, (sync: Pick<Stack, "sql">) => Promise<unknown>][] = [
  ["a sweep", ({ sql }) => sql`select luma.sweep()`],
  ["a backfill", ({ sql }) => sql`select luma.backfill()`],
  ["a claim", async (sync) => {
    await sync
      .sql`insert into luma.rechecks (user_id) select id from public.users`;
    await claim(sync, await startRun(sync), 0);
  }],
];

for (const [who, enqueue] of ENQUEUERS) {
  for (const end of ["commits", "rolls back"] as const) {
    stackTest(
      `${who} leaves the RSVPs that the app is writing to it, and comes back when it ${end}`,
      async (stack) => {
        const { sql } = stack;
        await waitingRsvps(stack, 4);
        await drain(stack);
        await unseen(
          stack,
          () => sql`update public.event_rsvps set status = 'waitlist'`,
        );
        const waiting = () =>
          number(
            sql`select count(*)::int from luma.sync_outbox where version > done_version`,
          );
        await inApp(stack, async (app) => {
          await app`update public.event_rsvps set status = 'interested' where user_id in ('u1', 'u2')`;
          await inSync(stack, enqueue);
          assertEquals(await waiting(), 2);
          // What the other two were enqueued by holds nothing any more.
          await app`update public.event_rsvps set status = 'interested' where user_id in ('u3', 'u4')`;
        }, end);
        assertEquals(await missedChanges(stack), []);
        await inSync(stack, enqueue);
        await passTime(stack);
        await inSync(stack, enqueue);
        assertEquals(await waiting(), 4);
        await drainAll(stack);
        const status = end === "commits" ? "pending_approval" : "waitlist";
        assertEquals(
          guestList(stack),
          each(["u1", "u2", "u3", "u4"], status),
        );
      },
    );
  }
}

stackTest(
  "nothing waits for a bulk write of RSVPs that were never enqueued before",
  async (stack) => {
    const { id } = await waitingRsvps(stack, 0);
    // Those from before the sync, and one that was enqueued since.
    await unseen(stack, () => insertRsvps(stack, id, 400));
    await inApp(stack, async (app) => {
      await app`update public.event_rsvps set status = 'waitlist' where user_id <> 'u1'`;
      for (const [who, enqueue] of ENQUEUERS) {
        const begun = performance.now();
        await inSync(stack, enqueue);
        const ms = Math.round(performance.now() - begun);
        assert(ms < 2000, `${who} took ${ms} ms`);
      }
      await app`update public.event_rsvps set status = 'waitlist' where user_id = 'u1'`;
    });
    assertEquals(await missedChanges(stack), []);
    await drainAll(stack);
    assertEquals(
      guestList(stack),
      each(await insertUsers(stack, 400), "waitlist"),
    );
  },
);

stackTest(
  "a retry leaves the dead letters that the app is writing to it",
  async (stack) => {
    const { sql } = stack;
    await waitingRsvps(stack, 3);
    const retry = ({ sql }: Pick<Stack, "sql">) =>
      number(sql`select luma.retry()`);
    for (const [end, left] of [["rolls back", 1], ["commits", 0]] as const) {
      await sql`update luma.sync_outbox set dead_at = now(), last_error = 'refused'`;
      await inApp(stack, async (app) => {
        await app`update public.event_rsvps set status = 'interested' where user_id = 'u1'`;
        assertEquals(await inSync(stack, retry), 2);
        await app`update public.event_rsvps set status = 'interested' where user_id = 'u2'`;
      }, end);
      assertEquals(await retry(stack), left);
      assertEquals((await sql`select from luma.dead_letters`).length, 0);
    }
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "pending_approval",
      u2: "pending_approval",
      u3: "approved",
    });
  },
);
