/** What was there before the mode went live reaches Luma: in order, below live traffic, without a mail, and once. */
import { assert, assertEquals } from "@std/assert";
import { changingCalls } from "./luma_guests.ts";
import { linkedEvents, manyCalls } from "./linked_events.ts";
import {
  calls,
  claim,
  drain,
  drainAll,
  drainInCall,
  type EventRow,
  guestList,
  insertEvent,
  insertUsers,
  one,
  passTime,
  rsvp,
  type Stack,
  stackTest,
  startRun,
} from "./testing.ts";

const CREATE = "/v1/events/create";
const MANY = { simulator: { rateLimitPerMinute: 10_000 } };

async function setMode({ sql }: Stack, mode: string): Promise<void> {
  await sql`select luma.set_mode(${mode})`;
}

async function backfill({ sql }: Stack): Promise<number> {
  return (await one(sql`select luma.backfill() as enqueued`)).enqueued;
}

async function progress({ sql }: Stack): Promise<EventRow> {
  const row = await one(
    sql`select state, total::int, done::int, waiting::int, dead::int from luma.backfill_progress`,
  );
  return { ...row };
}

/** What the events' jobs are to send: a job that is enqueued again gets a higher version. */
async function eventVersions({ sql }: Stack): Promise<EventRow[]> {
  return (await sql`select entity_id, version::int from luma.sync_outbox where entity = 'event' order by entity_id`)
    .map((row) => ({ ...row }));
}

/** An event that starts in so many days, and runs for two hours. */
async function eventIn(
  stack: Stack,
  days: number,
  columns: EventRow = {},
): Promise<string> {
  const start = Date.now() + days * 86_400_000;
  return await insertEvent(stack, {
    title: `In ${days} days`,
    starts_at: new Date(start),
    ends_at: new Date(start + 2 * 3_600_000),
    ...columns,
  });
}

/** Claims one job at a time, and answers what each was. Nothing is settled, so every claim finds others. */
async function claimed(stack: Stack): Promise<string[]> {
  const run = await startRun(stack);
  const titles = [];
  while (true) {
    const { jobs: [job] } = await claim(stack, run, 1);
    if (!job) return titles;
    titles.push(job.entity === "event" ? job.state?.title ?? "gone" : "RSVPs");
  }
}

function titles({ simulator }: Stack): string[] {
  return simulator.events().map(({ name }) => name).sort();
}

stackTest(
  "going live sends every approved, coming event of the app's, the oldest start first, whenever it was written",
  async (stack) => {
    const { sql } = stack;
    await setMode(stack, "off");
    await manyCalls(stack);
    await sql`update luma.settings set oldest_share = 0`;
    // Before this project came, and while its mode was off; none of them in order.
    for (const isOld of [true, false]) {
      for (const days of [5, 1, 9, 3]) {
        await eventIn(stack, days + (isOld ? 0.5 : 0));
      }
      if (isOld) await sql`delete from luma.sync_outbox`;
    }
    await eventIn(stack, -0.04, { title: "Has begun" });
    await eventIn(stack, -2, { title: "Over" });
    await eventIn(stack, 2, { submission_status: "pending" });
    await eventIn(stack, 2, { submission_status: "cancelled" });
    await eventIn(stack, 2, { submission_status: "rejected" });
    await eventIn(stack, 2, { submission_status: "draft" });
    await eventIn(stack, 2, { source_type: "ical" });
    await eventIn(stack, 2, { external_rsvp_url: "https://lu.ma/somewhere" });
    await setMode(stack, "live");
    const live = await eventIn(stack, 20, { title: "Live" });
    await passTime(stack);
    assertEquals(await claimed(stack), [
      "Live",
      "Has begun",
      ...[1, 1.5, 3, 3.5, 5, 5.5, 9, 9.5].map((days) => `In ${days} days`),
    ]);
    assertEquals(await progress(stack), {
      state: "running",
      total: 9,
      done: 0,
      waiting: 9,
      dead: 0,
    }, `${live} is none of it`);
  },
);

stackTest(
  "RSVPs of backfilled events follow without a mail; who has come since going live is mailed",
  async (stack) => {
    const { sql, simulator } = stack;
    // An event that Luma has, from now on.
    const [[linked, lumaId]] = [...await linkedEvents(stack, 1)] as [
      [string, string],
    ];
    simulator.guest.register(lumaId, { name: "n", email: "n@example.com" });
    await setMode(stack, "off");
    await sql`update public.canonical_events set title = 'Edited' where id = ${linked}`;
    await manyCalls(stack);
    const users = await insertUsers(stack, 30);
    const events = [];
    for (let n = 0; n < 4; n++) {
      const id = await eventIn(stack, 4 - n);
      for (const user of users.slice(0, 20)) {
        await rsvp(stack, id, user, "going");
      }
      events.push(id);
      // Half of them from before this project came.
      if (n === 1) await sql`delete from luma.sync_outbox`;
    }
    await setMode(stack, "live");
    await drain(stack);
    await rsvp(stack, linked, "u25", "going");
    await rsvp(stack, events[0]!, "u26", "going");
    await drainAll(stack);
    assertEquals(guestList(stack, lumaId), { n: "approved", u25: "approved" });
    assertEquals(simulator.event(lumaId)!.name, "Edited");
    for (const event of simulator.events()) {
      if (event.id === lumaId) continue;
      const guests = guestList(stack, event.id);
      assertEquals(
        Object.keys(guests).length,
        event.name === "In 4 days" ? 21 : 20,
        event.name,
      );
    }
    assertEquals(
      simulator.emails.map(({ to }) => to).sort(),
      ["u25@example.com", "u26@example.com"],
      "only who has come since",
    );
    assertEquals(await progress(stack), {
      state: "done",
      total: 85,
      done: 85,
      waiting: 0,
      dead: 0,
    });
  },
  MANY,
);

stackTest(
  "a backfill can be stopped, goes on where it was, and live changes pass it meanwhile",
  async (stack) => {
    const { sql, simulator } = stack;
    await setMode(stack, "off");
    await manyCalls(stack);
    const [user] = await insertUsers(stack, 3);
    const ids: string[] = [];
    for (let n = 1; n <= 12; n++) {
      ids.push(await eventIn(stack, n));
      await rsvp(stack, ids.at(-1)!, user!, "going");
    }
    await setMode(stack, "live");
    const before = await one(
      sql`select started_at from luma.backfill_progress`,
    );
    const create = await drainInCall(stack, CREATE);
    const waiting =
      (await one(sql`select luma.stop_backfill() as waiting`)).waiting;
    create.release();
    await create.drained;
    const stopped = await progress(stack);
    assertEquals(stopped.state, "stopped");
    const made = simulator.events().length;
    assert(made < 12 && made > 0, `${made} were under way`);
    assert(waiting >= stopped.waiting!, "calls under way have ended");

    // Stopped: also the RSVPs of those that are on Luma, also after a sweep, and whatever time passes.
    simulator.clearRequests();
    for (let n = 0; n < 3; n++) {
      await sql`select luma.sweep()`;
      await passTime(stack);
      await drain(stack);
    }
    assertEquals(changingCalls(stack), []);
    const { ends_at } = await one(
      sql`select ends_at from luma.backfill_progress`,
    );
    assertEquals(ends_at, null);

    // Live traffic goes on; a live change of what waits takes it along.
    await eventIn(stack, 30, { title: "Live" });
    await sql`update public.canonical_events set title = 'Edited' where id = ${ids[
      11
    ]!}`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.events().length, made + 2);
    assert(titles(stack).includes("Edited"));
    const [first] = await sql`
      select e.id from public.canonical_events e where e.luma_event_id is not null order by e.starts_at limit 1`;
    await rsvp(stack, first!.id, "u2", "going");
    await passTime(stack);
    await drain(stack);
    assertEquals(
      simulator.emails.map(({ to }) => to),
      ["u2@example.com"],
    );

    await backfill(stack);
    assertEquals((await progress(stack)).state, "running");
    await drainAll(stack);
    assertEquals(simulator.events().length, 13);
    for (const { id, name } of simulator.events()) {
      if (name !== "Live") assertEquals(guestList(stack, id).u1, "approved");
    }
    assertEquals(simulator.emails.length, 1);
    const after = await one(
      sql`select started_at, state, total::int from luma.backfill_progress`,
    );
    assertEquals([after.state, after.total], ["done", 24]);
    assertEquals(after.started_at, before.started_at, "it is the same one");
  },
  MANY,
);

stackTest(
  "repeating a backfill, also while it runs or after a crash, sends nothing twice",
  async (stack) => {
    const { simulator, functions } = stack;
    await setMode(stack, "off");
    await manyCalls(stack);
    const [user] = await insertUsers(stack, 1);
    for (let n = 1; n <= 6; n++) {
      await rsvp(stack, await eventIn(stack, n), user!, "going");
    }
    await setMode(stack, "live");
    assertEquals(await backfill(stack), 0, "all of it waits already");
    const create = await drainInCall(stack, CREATE, "after");
    const versions = await eventVersions(stack);
    // Only RSVPs of events that other calls of the same drain have just created can be new to it.
    await backfill(stack);
    assertEquals(await eventVersions(stack), versions);
    await functions.kill("luma-drain");
    create.release();
    await create.drained.catch(() => {});
    await setMode(stack, "off");
    await setMode(stack, "live");
    await backfill(stack);
    await drainAll(stack);
    assertEquals(
      titles(stack),
      [1, 2, 3, 4, 5, 6].map((n) => `In ${n} days`),
    );
    for (const { id } of simulator.events()) {
      assertEquals(guestList(stack, id), { u1: "approved" });
    }
    const done = await progress(stack);
    assertEquals([done.state, done.waiting, done.dead], ["done", 0, 0]);
    simulator.clearRequests();
    assertEquals(await backfill(stack), 0);
    await drainAll(stack);
    assertEquals(calls(stack), []);
    assertEquals(await progress(stack), {
      state: "done",
      total: 0,
      done: 0,
      waiting: 0,
      dead: 0,
    }, "a new one, with nothing to do");
    assertEquals(simulator.emails, []);
  },
  MANY,
);

stackTest(
  "the progress and its estimate are shown, and what Luma refuses does not hold the rest up",
  async (stack) => {
    const { sql, simulator } = stack;
    const shown = async (): Promise<EventRow> => {
      const { backfill, ...row } = await one(sql`
        select p.state, p.total::int, p.done::int, p.dead::int, p.per_minute > 0 as is_moving, p.ends_at > now() as is_coming, h.backfill
        from luma.backfill_progress p, luma.health h`);
      assertEquals(backfill.state, row.state);
      return row;
    };
    await setMode(stack, "off");
    await manyCalls(stack);
    for (let n = 1; n <= 4; n++) await eventIn(stack, n);
    await eventIn(stack, 5, { title: "Far away", lat: 40, lng: -74 });
    simulator.faults.add({
      path: CREATE,
      contains: "In 2 days",
      status: 400,
      message: "no",
    });
    // The one that is far away has to wait.
    await sql`select luma.pause('zo_events')`;
    const running = { state: "running", total: 5 };
    await sql`delete from luma.sync_outbox`;
    await setMode(stack, "dry_run");
    await drain(stack);
    await sql`update luma.backfill_state set started_at = started_at - interval '3 days', resumed_at = resumed_at - interval '3 days'`;
    await sql`update luma.sync_outbox set backfill_started_at = backfill_started_at - interval '3 days'`;
    await setMode(stack, "live");
    assertEquals(await shown(), {
      ...running,
      done: 0,
      dead: 0,
      is_moving: false,
      is_coming: null,
    });
    await drain(stack);
    const half = { ...running, done: 3, dead: 1 };
    assertEquals(await shown(), { ...half, is_moving: true, is_coming: true });
    // The days of a dry run do not count, nor does a pause.
    const minutes = async () =>
      (await one(
        sql`select extract(epoch from ends_at - now()) / 60 as minutes from luma.backfill_progress`,
      )).minutes;
    assert(Number(await minutes()) < 2, `${await minutes()} minutes`);
    await sql`select luma.stop_backfill()`;
    assertEquals(await shown(), {
      ...half,
      state: "stopped",
      is_moving: null,
      is_coming: null,
    });
    await sql`update luma.backfill_state set resumed_at = resumed_at - interval '3 days'`;
    await backfill(stack);
    await sql`select luma.resume('zo_events')`;
    await drain(stack);
    assertEquals(await shown(), {
      state: "done",
      total: 5,
      done: 4,
      dead: 1,
      is_moving: null,
      is_coming: null,
    });
  },
);
