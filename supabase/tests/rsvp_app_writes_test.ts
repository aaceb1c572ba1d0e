/** The app's writes of RSVPs and users go through whatever is broken, and only what matters is enqueued. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { linkedEvents, manyCalls } from "./linked_events.ts";
import {
  drain,
  drainAll,
  guestList,
  insertUsers,
  one,
  rsvp,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";
import {
  inApp,
  missedChanges,
  number,
  outcomes,
  waitingRsvps,
} from "./rsvps_for_tests.ts";

type Sql = Stack["sql"];

stackTest(
  "an RSVP that cannot be enqueued is written all the same, recorded, and swept up",
  async (stack) => {
    const { sql } = stack;
    const { id } = await waitingRsvps(stack, 2);
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
    assertEquals(await missedChanges(stack), []);
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
    const { id } = await waitingRsvps(stack, 1);
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
    const { id } = await waitingRsvps(stack, 3);
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
    assertEquals(await missedChanges(stack), []);
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
    const [party, partyOnLuma] = [...await linkedEvents(stack, 21)][0]!;
    await insertUsers(stack, 200);
    await sql`
      insert into public.event_rsvps (event_id, user_id, status)
      select e.id, u.id, 'going' from public.canonical_events e cross join public.users u
      where e.id = ${party} or u.id in ('u1', 'u2')`;
    await drain(stack);
    await inApp(stack, async (app) => {
      await app`delete from public.canonical_events where id = ${party}`;
      await app`delete from public.users where id = 'u1'`;
    });
    assertEquals(await missedChanges(stack), []);
    const waiting = await sql`
      select entity, event_id = ${party} as of_party, count(*)::int from luma.sync_outbox
      where version > done_version group by 1, 2 order by 1, 3`;
    assertEquals(waiting.map((row) => Object.values(row)), [
      ["event", true, 1],
      ["rsvp", false, 20],
      ["rsvp", true, 200],
    ]);
    await drainAll(stack);
    for (const { id, visibility } of simulator.events()) {
      if (id === partyOnLuma) assertEquals(visibility, "private");
      else {
        assertEquals(guestList(stack, id), { u1: "declined", u2: "approved" });
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
  "eight writers are never in the drains' way nor these in theirs, and Luma ends up with what was written last",
  async (stack) => {
    const { sql } = stack;
    await manyCalls(stack);
    await sql`update luma.settings set edit_spacing_ms = 100`;
    const linked = await linkedEvents(stack, 5);
    const events = [...linked.keys()];
    const users = await insertUsers(stack, 40);
    const pick = <T>(of: readonly T[]) =>
      of[Math.floor(Math.random() * of.length)]!;
    const statuses = ["going", "interested", "waitlist", "cancelled"];
    let isOver = false;
    // Two of them never write one row: as the app alone, they would wait for each other crosswise.
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      const own = users.slice(writer * 5, writer * 5 + 5);
      for (let n = 0; !isOver; n++) {
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
    await until(
      "nothing waits",
      async () => await number(sql`select waiting::int from luma.health`) === 0,
      90,
    );
    assertEquals(await missedChanges(stack), []);
    assert(!/deadlock detected|lock timeout/.test(stack.postgres.log));
    for (const [id, lumaId] of linked) {
      const wanted = await sql`
        select user_id, luma.guest_status(status) as status from public.event_rsvps
        where event_id = ${id} and luma.guest_status(status) <> 'declined'`;
      const list = Object.entries(guestList(stack, lumaId));
      assertEquals(
        Object.fromEntries(list.filter(([, status]) => status !== "declined")),
        Object.fromEntries(wanted.map((row) => [row.user_id, row.status])),
      );
    }
    for (const outcome of Object.keys(await outcomes(stack))) {
      assert(["done", "nothing_to_do"].includes(outcome), outcome);
    }
  },
  { bell: true, simulator: { rateLimitPerMinute: 10_000 } },
);
