/** luma.clean_up() trims what nobody needs any more, and nothing else. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { linkedEvents } from "./linked_events.ts";
import {
  drainAll,
  drainInCall,
  guestList,
  insertEvent,
  insertUsers,
  one,
  rsvp,
  type Stack,
  stackTest,
} from "./testing.ts";

const DAY = 86_400_000;

function daysAgo(days: number): Date {
  return new Date(Date.now() - days * DAY);
}

async function count({ sql }: Stack, table: string): Promise<number> {
  return (await sql.unsafe(`select from ${table}`)).length;
}

stackTest(
  "the histories are trimmed by age",
  async (stack) => {
    const { sql } = stack;
    for (const settled_at of [daysAgo(13), daysAgo(15), new Date()]) {
      const attempt = {
        entity: "rsvp",
        entity_id: crypto.randomUUID(),
        version: 1,
        outcome: "done",
        settled_at,
      };
      await sql`insert into luma.attempts ${sql(attempt)}`;
      const run = { started_at: settled_at, alive_until: settled_at };
      await sql`insert into luma.drain_runs ${sql(run)}`;
    }
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "luma.attempts"), 2);
    assertEquals(await count(stack, "luma.drain_runs"), 2);
    await sql`update luma.settings set log_days = 1`;
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "luma.attempts"), 1);
    assertEquals(await count(stack, "luma.drain_runs"), 1);
  },
);

stackTest(
  "the histories keep log_rows rows, the newest",
  async (stack) => {
    const { sql } = stack;
    await sql`update luma.settings set log_rows = 1000`;
    await sql`
      insert into luma.attempts (entity, entity_id, version, outcome)
      select 'event', gen_random_uuid(), n, 'done' from generate_series(1, 1100) n`;
    await sql`
      insert into luma.drain_runs (started_at, alive_until, jobs)
      select now() - n * interval '1 second', now(), n from generate_series(1, 1100) n`;
    await sql`select luma.clean_up()`;
    assertEquals(
      await one(
        sql`select count(*)::int, min(version)::int as oldest from luma.attempts`,
      ),
      { count: 1000, oldest: 101 },
    );
    const runs = await one(
      sql`select count(*)::int, max(jobs) as oldest from luma.drain_runs`,
    );
    assertEquals(runs, { count: 1000, oldest: 1000 });
    // Fewer than that are left alone.
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "luma.attempts"), 1000);
    assertEquals(await count(stack, "luma.drain_runs"), 1000);
  },
);

stackTest(
  "finished RSVPs leave the outbox; what is due, failed, leased or young stays",
  async (stack) => {
    const { sql } = stack;
    const due_at = daysAgo(15);
    const [lease, run] = [crypto.randomUUID(), crypto.randomUUID()];
    const rows: Record<string, Record<string, unknown>> = {
      finished: { done_version: 1 },
      young: { done_version: 1, due_at: daysAgo(13) },
      due: {},
      changed: { version: 2, done_version: 1 },
      logged: { dry_version: 1 },
      dead: { dead_at: due_at, last_error: "refused" },
      leased: {
        ...{ done_version: 1, lease, leased_by: run },
        ...{ leased_at: due_at, lease_version: 1 },
      },
    };
    for (const [calendar, columns] of Object.entries(rows)) {
      const row = {
        ...{ entity: "rsvp", priority: 1, due_at, calendar },
        ...{ entity_id: crypto.randomUUID(), event_id: crypto.randomUUID() },
        ...columns,
      };
      await sql`insert into luma.sync_outbox ${sql(row)}`;
    }
    await sql`select luma.clean_up()`;
    const left = await sql`select calendar from luma.sync_outbox order by 1`;
    assertEquals(
      left.map((row) => row.calendar),
      ["changed", "dead", "due", "leased", "logged", "young"],
    );
  },
);

stackTest(
  "an RSVP whose outbox row was trimmed is sent when it changes",
  async (stack) => {
    const { sql } = stack;
    const [linked] = await linkedEvents(stack, 1);
    const [event] = linked!;
    await insertUsers(stack, 2);
    for (const user of ["u1", "u2"]) await rsvp(stack, event, user, "going");
    await drainAll(stack);
    stack.simulator.clearRequests();
    await sql`update luma.sync_outbox set due_at = ${daysAgo(15)}`;
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "luma.sync_outbox"), 0);
    await sql`select luma.sweep()`;
    await rsvp(stack, event, "u1", "cancelled");
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "declined", u2: "approved" });
    assertEquals(stack.simulator.requests.length, 1);
  },
);

stackTest(
  "pg_net's answers go after net_response_hours",
  async (stack) => {
    const { sql } = stack;
    await sql`
      insert into net._http_response (id, created)
      values (1, now() - interval '7 hours'), (2, now() - interval '5 hours'), (3, now())`;
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "net._http_response"), 2);
    await sql`update luma.settings set net_response_hours = 1`;
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "net._http_response"), 1);
  },
);

stackTest(
  "pg_cron's details of our own jobs go after cron_details_days, also of runs that never began",
  async (stack) => {
    const { sql, admin } = stack;
    await sql`select cron.schedule('app-report', '0 4 * * *', 'select 1')`;
    // Runs are numbered in the order of time.
    for (const end_time of [null, daysAgo(4), daysAgo(2), null]) {
      await admin`
        insert into cron.job_run_details (jobid, runid, username, status, end_time)
        select jobid, nextval('cron.runid_seq'), 'postgres', 'failed', ${end_time} from cron.job
        where jobname in ('app-report', 'luma-drain', 'luma-sweep')`;
    }
    await sql`select luma.clean_up()`;
    const left = await sql`
      select jobname, array_agg(end_time is null order by runid) as never_began
      from cron.job_run_details join cron.job using (jobid) group by 1 order by 1`;
    assertEquals([...left], [
      { jobname: "app-report", never_began: [true, false, false, true] },
      { jobname: "luma-drain", never_began: [false, true] },
      { jobname: "luma-sweep", never_began: [false, true] },
    ]);
  },
);

stackTest(
  "guests go with their event and log_days after it, never before or while they are sent",
  async (stack) => {
    const { sql } = stack;
    const times = (start: Date, end: Date | null) => ({
      starts_at: start,
      ends_at: end,
    });
    const events: Record<string, string> = {
      coming: await insertEvent(stack),
      running: await insertEvent(
        stack,
        times(daysAgo(30), new Date(Date.now() + DAY)),
      ),
      "over lately": await insertEvent(stack, times(daysAgo(14), daysAgo(13))),
      "lately without an end": await insertEvent(
        stack,
        times(daysAgo(13), null),
      ),
      "over for long": await insertEvent(
        stack,
        times(daysAgo(16), daysAgo(15)),
      ),
      "long without an end": await insertEvent(stack, times(daysAgo(15), null)),
      deleted: crypto.randomUUID(),
      "deleted, being sent": crypto.randomUUID(),
    };
    for (const [user_id, event_id] of Object.entries(events)) {
      const email = `${user_id.replaceAll(/\W/g, "-")}@example.com`;
      const lease = user_id.endsWith("being sent") ? crypto.randomUUID() : null;
      const guest = { event_id, email, lease, row_base: "approved" };
      await sql`insert into luma.guests ${sql(guest)}`;
      const link = { rsvp_id: crypto.randomUUID(), event_id, user_id, email };
      await sql`insert into luma.guest_links ${sql(link)}`;
    }
    await sql`select luma.clean_up()`;
    const stay = ["coming", "deleted, being sent", "lately without an end"]
      .concat("over lately", "running");
    const links = await sql`select user_id from luma.guest_links order by 1`;
    assertEquals(links.map((row) => row.user_id), stay);
    assertEquals(await count(stack, "luma.guests"), stay.length);
  },
);

stackTest(
  "an event that is deleted during a call about its guest leaves nothing behind",
  async (stack) => {
    const { sql } = stack;
    const [linked] = await linkedEvents(stack, 1);
    await insertUsers(stack, 1);
    await rsvp(stack, linked![0], "u1", "going");
    const { drained, release } = await drainInCall(
      stack,
      "/v1/events/guests/add",
    );
    await sql`delete from public.canonical_events`;
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "luma.guests"), 1);
    release();
    await drained;
    await drainAll(stack);
    await sql`select luma.clean_up()`;
    assertEquals(await count(stack, "luma.guests"), 0);
    assertEquals(await count(stack, "luma.guest_links"), 0);
  },
);

stackTest(
  "settings that make no sense are refused, whoever writes them",
  async ({ sql, admin }) => {
    const nonsense: Record<string, unknown[]> = {
      mode: ["", "LIVE", null],
      require_email: [null],
      send_email: [null],
      oldest_share: [-0.1, 1.1, "NaN", null],
      log_rows: [0, 999, -1, null],
      net_response_hours: [0, -6, null],
      log_days: [0, -1, null],
      webhook_days: [0, null],
      cron_details_days: [0, null],
      calls_per_minute: [0, 10_001, null],
      calls_per_minute_total: [0, null],
      edit_spacing_ms: [-1, 600_001, null],
      lease_seconds: [11, 121, null],
      retry_base_seconds: [0, -2, 601, null],
      retry_cap_seconds: [1, null],
      max_crashes: [0, null],
      id: [false, null],
    };
    for (const [column, values] of Object.entries(nonsense)) {
      for (const value of values) {
        const code = await admin`
          update luma.settings set ${admin({ [column]: value })}`
          .then(() => "taken", (error) => error.code);
        // A check, or not null.
        assertMatch(code, /^23/, `${column} = ${value}`);
      }
    }
    await assertRejects(
      () => sql`insert into luma.settings default values`,
      Error,
      "duplicate key",
    );
    await sql`update luma.settings set oldest_share = 0, log_rows = 1000, net_response_hours = 1`;
    await sql`update luma.settings set oldest_share = 1`;
  },
);

stackTest("it runs every hour", async ({ sql }) => {
  const job = await one(
    sql`select * from cron.job where jobname = 'luma-clean-up'`,
  );
  assertEquals(job.schedule, "17 * * * *");
  await sql.unsafe(job.command);
});
