/** RSVPs and users: nothing here may slow, block or break the app's own transaction. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  claim,
  claimGuests,
  drain,
  drainAll,
  drainInCall,
  guestList,
  insertEvent,
  insertUsers,
  one,
  passTime,
  rsvp,
  type Stack,
  stackTest,
  startRun,
  until,
} from "./testing.ts";

type Sql = Stack["sql"];

const ADD = "/v1/events/guests/add";

/** A transaction of the app's. Any lock that it had to wait for would end it with an error. */
async function inApp(
  { sql }: Stack,
  work: (app: Sql) => Promise<unknown>,
  end: "commits" | "rolls back" = "commits",
): Promise<void> {
  const app = await sql.reserve();
  try {
    await app`begin`;
    await app`set local lock_timeout = '300ms'`;
    await work(app);
    if (end === "commits") await app`commit`;
  } finally {
    // After a commit it does nothing.
    await app`rollback`;
    app.release();
  }
}

/**
 * The same for the sync, when the app holds on to something meanwhile. Not a lock_timeout: that error would be
 * caught where errors of the sync are not to reach anybody.
 */
async function inSync<T>(
  { sql }: Stack,
  work: (sync: { sql: Sql }) => Promise<T>,
): Promise<T> {
  return await sql.begin(async (sync) => {
    await sync`set local statement_timeout = '4s'`;
    return await work({ sql: sync as unknown as Sql });
  }) as T;
}

/** Runs a query of one number. */
async function number(query: ReturnType<Sql>): Promise<number> {
  return Object.values(await one(query))[0];
}

/** Users u1, u2, … with RSVPs to this event, in one statement. */
async function insertRsvps(
  stack: Stack,
  eventId: string,
  count: number,
): Promise<void> {
  await insertUsers(stack, count);
  await stack.sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select ${eventId}, 'u' || n, 'going' from generate_series(1, ${count}::int) n`;
}

/** An event on Luma, and RSVPs to it that wait to be sent. */
async function waitingRsvps(stack: Stack, count: number): Promise<string> {
  const id = await insertEvent(stack);
  await drain(stack);
  await insertRsvps(stack, id, count);
  return id;
}

/** Writes RSVPs past our triggers, as a fault of ours would. */
async function unseen({ sql }: Stack, write: () => Promise<unknown>) {
  await sql`alter table public.event_rsvps disable trigger user`;
  await write();
  await sql`alter table public.event_rsvps enable trigger user`;
}

async function noMissedChanges({ sql }: Stack): Promise<void> {
  assertEquals([...await sql`select error from luma.missed_changes`], []);
}

stackTest(
  "users' addresses and their RSVPs, written in opposite orders, never wait for each other",
  async (stack) => {
    const { sql } = stack;
    const id = await waitingRsvps(stack, 4);
    await drain(stack);
    const second = await insertEvent(stack);
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
            insert into public.event_rsvps (event_id, user_id, status) values (${second}, ${last}, 'going')`;
        }));
      // The same in one statement each, first the one before the other and then the other way round.
      const [all, bulk] = [
        (by: Sql) =>
          by`update public.users set email = 'x' || email where id in ('u3', 'u4')`,
        (by: Sql) =>
          by`update public.event_rsvps set status = case status when 'going' then 'waitlist' else 'going' end
             where event_id = ${id} and user_id in ('u4', 'u3')`,
      ];
      await inApp(stack, (users) =>
        inApp(stack, async (rsvps) => {
          if (first === "u1") await all(users);
          await bulk(rsvps);
          if (first !== "u1") await all(users);
        }));
    }
    await noMissedChanges(stack);
    assertEquals(
      (await sql`select distinct user_id from luma.rechecks order by 1`).length,
      4,
    );
    await drainAll(stack);
    assertEquals(guestList(stack, await lumaId(stack, id)), {
      u1: "approved",
      u2: "approved",
      u3: "approved",
      u4: "approved",
    });
  },
);

async function lumaId({ sql }: Stack, eventId: string): Promise<string> {
  return (await one(
    sql`select luma_event_id from public.canonical_events where id = ${eventId}`,
  )).luma_event_id;
}

stackTest(
  "a guest whose RSVP the app is writing is settled later, the others of its batch at once",
  async (stack) => {
    const { sql } = stack;
    await waitingRsvps(stack, 5);
    const settled = () =>
      sql`select email from luma.guests where synced_at is not null`;
    const { drained, release } = await drainInCall(stack, ADD);
    await inApp(stack, async (app) => {
      await app`update public.event_rsvps set status = 'waitlist' where user_id = 'u1'`;
      release();
      await until(
        "the four others are settled",
        async () => (await settled()).length === 4,
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
    await noMissedChanges(stack);
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "waitlist",
      u2: "declined",
      u3: "approved",
      u4: "approved",
      u5: "approved",
    });
    const outcomes =
      await sql`select distinct outcome from luma.attempts where entity = 'rsvp'`;
    assertEquals(outcomes.map((row) => row.outcome), ["done"]);
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
      const id = await waitingRsvps(stack, 3);
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
      const settle = async ({ sql }: { sql: Sql }) =>
        (await sql`select luma_settle_guests as lease from public.luma_settle_guests(${id}, ${done})`)
          .map(({ lease }) => users.get(lease)!);
      const renew = async ({ sql }: { sql: Sql }) =>
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

/** What enqueues RSVPs that differ from Luma. */
const ENQUEUERS: [string, (sync: { sql: Sql }) => Promise<unknown>][] = [
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
        await noMissedChanges(stack);
        await inSync(stack, enqueue);
        await passTime(stack);
        await inSync(stack, enqueue);
        assertEquals(await waiting(), 4);
        await drainAll(stack);
        const status = end === "commits" ? "pending_approval" : "waitlist";
        assertEquals(guestList(stack), {
          u1: status,
          u2: status,
          u3: status,
          u4: status,
        });
      },
    );
  }
}

stackTest(
  "nothing waits for a bulk write of RSVPs that were never enqueued before",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await drain(stack);
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
    await noMissedChanges(stack);
    await drainAll(stack);
    assertEquals(
      new Set(Object.values(guestList(stack))),
      new Set(["waitlist"]),
    );
  },
);

stackTest(
  "an RSVP that cannot be enqueued is written all the same, recorded, and swept up",
  async (stack) => {
    const { sql } = stack;
    const id = await waitingRsvps(stack, 2);
    await drain(stack);
    await sql`alter table luma.sync_outbox add constraint broken check (entity = 'nothing') not valid`;
    await insertUsers(stack, 3);
    await rsvp(stack, id, "u1", "waitlist");
    await sql`delete from public.event_rsvps where user_id = 'u2'`;
    await rsvp(stack, id, "u3", "going");
    const missed =
      await sql`select entity, error from luma.missed_changes order by id`;
    assertEquals(missed.map((row) => row.entity), ["rsvp", "rsvp", "rsvp"]);
    for (const { error } of missed) assertMatch(error, /broken/);

    await sql`alter table luma.sync_outbox drop constraint broken`;
    assertEquals(await number(sql`select luma.sweep()`), 3);
    await noMissedChanges(stack);
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "waitlist",
      u2: "declined",
      u3: "approved",
    });
    assertEquals(await number(sql`select luma.sweep()`), 0);
  },
);

stackTest(
  "an address is changed even when that cannot be noted, and the sweep sends what waited for it",
  async (stack) => {
    const { sql } = stack;
    const id = await waitingRsvps(stack, 1);
    await sql`update luma.settings set require_email = false`;
    await sql`insert into public.users (id, name) values ('late', 'Late')`;
    await rsvp(stack, id, "late", "going");
    await drain(stack);
    await sql`alter table luma.rechecks rename to rechecks_gone`;
    await sql`update public.users set email = 'late@example.com' where id = 'late'`;
    await sql`alter table luma.rechecks_gone rename to rechecks`;
    await drain(stack);
    assertEquals(guestList(stack), { u1: "approved" });
    await sql`select luma.sweep()`;
    await drainAll(stack);
    assertEquals(guestList(stack), { late: "approved", u1: "approved" });
  },
);

stackTest(
  "an app role without rights in schema luma can write RSVPs and users",
  async (stack) => {
    const { sql } = stack;
    const id = await waitingRsvps(stack, 3);
    await drain(stack);
    for (const table of ["users", "event_rsvps", "canonical_events"]) {
      await sql.unsafe(`
        create policy all_for_test on public.${table} to authenticated using (true) with check (true);
        grant select, insert, update, delete on public.${table} to authenticated`);
    }
    await inApp(stack, async (app) => {
      await app`set local role authenticated`;
      await app`insert into public.users (id, name, email) values ('u4', 'User 4', 'u4@example.com')`;
      await rsvp({ sql: app }, id, "u4", "going");
      await rsvp({ sql: app }, id, "u1", "waitlist");
      await app`delete from public.event_rsvps where user_id = 'u2'`;
      await app`update public.users set email = 'new@example.com' where id = 'u3'`;
    });
    await noMissedChanges(stack);
    const waiting =
      await sql`select from luma.sync_outbox where version > done_version`;
    assertEquals(waiting.length, 3);
    assertEquals(
      (await one(sql`select user_id from luma.rechecks`)).user_id,
      "u3",
    );
    await drainAll(stack);
    assertEquals(guestList(stack), {
      u1: "waitlist",
      u2: "declined",
      u3: "approved",
      u4: "approved",
    });
  },
);

stackTest(
  "an event with 200 RSVPs and a user with 20 are deleted in one transaction",
  async (stack) => {
    const { sql, simulator } = stack;
    const party = await insertEvent(stack, { title: "Party" });
    for (let n = 0; n < 20; n++) await insertEvent(stack, { title: "Small" });
    await insertUsers(stack, 200);
    await drain(stack);
    await sql`
      insert into public.event_rsvps (event_id, user_id, status)
      select e.id, u.id, 'going' from public.canonical_events e cross join public.users u
      where e.id = ${party} or u.id in ('u1', 'u2')`;
    await drain(stack);
    await inApp(stack, async (app) => {
      await app`delete from public.canonical_events where id = ${party}`;
      await app`delete from public.users where id = 'u1'`;
    });
    await noMissedChanges(stack);
    assertEquals(
      [
        ...await sql`
          select entity, event_id = ${party} as of_party, count(*)::int from luma.sync_outbox
          where version > done_version group by 1, 2 order by 1, 3`,
      ],
      [
        { entity: "event", of_party: true, count: 1 },
        { entity: "rsvp", of_party: false, count: 20 },
        { entity: "rsvp", of_party: true, count: 200 },
      ],
    );
    await drainAll(stack);
    for (const event of simulator.events()) {
      if (event.name === "Party") assertEquals(event.visibility, "private");
      else {
        assertEquals(guestList(stack, event.id), {
          u1: "declined",
          u2: "approved",
        });
      }
    }
  },
);

stackTest("of an RSVP only its status is enqueued", async (stack) => {
  const { sql } = stack;
  await waitingRsvps(stack, 2);
  await drain(stack);
  const versions = async () =>
    (await sql`select entity, version from luma.sync_outbox order by entity, entity_id`)
      .map(({ entity, version }) => `${entity} ${version}`);
  const before = await versions();
  await sql`update public.event_rsvps set checked_in = true, checked_in_at = now(), checked_in_by = 'door'`;
  await sql`update public.event_rsvps set notes = 'vegan', metadata = '{"plus": 1}', rsvp_type = 'vip'`;
  await sql`update public.event_rsvps set updated_at = now(), status = status`;
  await sql`update public.canonical_events set current_rsvp_count = 7, updated_at = now()`;
  await sql`update public.users set name = 'Renamed', email = email`;
  assertEquals(await versions(), before);
  assertEquals((await sql`select from luma.rechecks`).length, 0);
  await sql`update public.event_rsvps set status = 'approved', notes = 'x' where user_id = 'u1'`;
  assertEquals(
    (await versions()).filter((version) => !before.includes(version)).length,
    1,
  );
  assertEquals(
    await number(
      sql`select sum(version)::int from luma.sync_outbox where entity = 'rsvp'`,
    ),
    3,
  );
});

stackTest(
  "eight writers and the drains never get in each other's way",
  async (stack) => {
    const { sql } = stack;
    await sql`update luma.settings set calls_per_minute = 5000, calls_per_minute_total = 5000`;
    await sql`insert into luma.calendar_state (luma_key, rate_limit) values ('blr', 10000)`;
    const events: string[] = [];
    for (let n = 0; n < 5; n++) {
      events.push(await insertEvent(stack, { title: `Event ${n}` }));
    }
    const users = await insertUsers(stack, 40);
    const pick = <T>(of: readonly T[]) =>
      of[Math.floor(Math.random() * of.length)]!;
    const statuses = ["going", "interested", "waitlist", "cancelled"];
    let isOver = false;
    let writes = 0;
    // Two of them never write one row: as the app alone, they would wait for each other crosswise.
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      const own = users.slice(writer * 5, writer * 5 + 5);
      for (let n = 0; !isOver; n++) {
        writes++;
        const [event, user, status] = [pick(events), pick(own), pick(statuses)];
        const write = (by: Sql) =>
          by`
            insert into public.event_rsvps (event_id, user_id, status) values (${event}, ${user}, ${status})
            on conflict (event_id, user_id) do update set status = excluded.status`;
        if (n % 10 === 9) {
          await sql`delete from public.event_rsvps where event_id = ${event} and user_id = ${user}`;
        } else if (n % 4 === 3) {
          await sql.begin(async (app) => {
            await app`update public.canonical_events set title = ${`Event ${writer}-${n}`} where id = ${event}`;
            await write(app as unknown as Sql);
          });
        } else if (n % 4 === 2) {
          await sql`update public.users set name = 'Renamed' where id = ${user}`;
          await sql`update public.event_rsvps set status = ${status} where event_id = ${event} and user_id = ${user}`;
        } else await write(sql);
      }
    });
    const t0 = performance.now();
    await Promise.race([
      Promise.all(writers),
      until(
        "drains have settled RSVPs meanwhile",
        async () =>
          await number(
            sql`select count(*)::int from luma.attempts where entity = 'rsvp'`,
          ) > 300,
        60,
      ),
    ]);
    isOver = true;
    await Promise.all(writers);
    console.log("writers", performance.now() - t0, writes, [
      ...await sql`select outcome, entity, count(*) from luma.attempts group by 1,2`,
    ]);
    await until(
      "nothing waits",
      async () => await number(sql`select waiting::int from luma.health`) === 0,
      90,
    );
    await noMissedChanges(stack);
    assert(!/deadlock detected|lock timeout/.test(stack.postgres.log));
    for (const id of events) {
      const wanted = await sql`
        select user_id, luma.guest_status(status) as status from public.event_rsvps
        where event_id = ${id} and luma.guest_status(status) <> 'declined'`;
      const list = Object.entries(guestList(stack, await lumaId(stack, id)))
        .filter(([, status]) => status !== "declined");
      for (
        const [u, st] of [...list, ...wanted.map((w) => [w.user_id, w.status])]
      ) {
        const a = Object.fromEntries(list)[u];
        const b = wanted.find((w) => w.user_id === u)?.status;
        if (a === b) continue;
        console.log(u, st, a, b);
        console.log("rsvp", [
          ...await sql`select * from public.event_rsvps where event_id=${id} and user_id=${u}`,
        ]);
        console.log("guest", [
          ...await sql`select * from luma.guests where event_id=${id} and email=${
            u + "@example.com"
          }`,
        ]);
        console.log("links", [
          ...await sql`select * from luma.guest_links where event_id=${id} and user_id=${u}`,
        ]);
        const lid = await lumaId(stack, id);
        console.log("outbox", [
          ...await sql`select * from luma.sync_outbox where event_id=${id} and (entity_id in (select rsvp_id from luma.guest_links where event_id=${id} and user_id=${u}) or entity_id in (select id from public.event_rsvps where event_id=${id} and user_id=${u}))`,
        ]);
        console.log(
          "attempts",
          [...await sql`select * from luma.attempts where entity_id in (select entity_id from luma.sync_outbox o where event_id=${id} and (entity_id in (select rsvp_id from luma.guest_links where event_id=${id} and user_id=${u}) or entity_id in (select id from public.event_rsvps where event_id=${id} and user_id=${u}))) order by id`]
            .map((x) => JSON.stringify(x)),
        );
        console.log(
          "calls",
          stack.simulator.requests.filter((r) =>
            JSON.stringify(r.body ?? "").includes(`"${u}@example.com"`) &&
            JSON.stringify(r.body).includes(lid)
          ).map((r) =>
            JSON.stringify([
              r.time,
              r.path,
              (r.body as any).status ?? (r.body as any).approval_status,
              r.status,
            ])
          ),
        );
      }
      assertEquals(
        Object.fromEntries(list),
        Object.fromEntries(
          wanted.map((row) => [row.user_id, row.status]).sort(),
        ),
      );
    }
    const outcomes = await sql`select distinct outcome from luma.attempts`;
    for (const { outcome } of outcomes) {
      assert(["done", "nothing_to_do"].includes(outcome), outcome);
    }
  },
  { bell: true, simulator: { rateLimitPerMinute: 10_000 } },
);
