import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { Stack } from "../../scripts/stack/mod.ts";
import {
  calls,
  claim,
  claimEvents,
  drain,
  drainInCall,
  insertEvent,
  one,
  passTime,
  stackTest,
  startRun,
} from "./testing.ts";

for (const drains of [2, 8]) {
  stackTest(
    `${drains} drains at once never call twice for one version`,
    async (stack) => {
      const { sql, simulator } = stack;
      for (let n = 0; n < 24; n++) {
        await insertEvent(stack, { title: `Event ${n}`, culture: "food" });
      }
      await Promise.all(Array.from({ length: drains }, () => drain(stack)));
      assertEquals(simulator.events().length, 24);
      assertEquals(
        calls(stack).filter((path) => path === "/v1/events/create").length,
        24,
      );

      await sql`update public.canonical_events set title = title || ' (moved)'`;
      await passTime(stack);
      await Promise.all(Array.from({ length: drains }, () => drain(stack)));
      const updates = simulator.requests.filter((request) =>
        request.path === "/v1/events/update"
      ).map((request) => (request.body as { event_id: string }).event_id);
      assertEquals(updates.length, 24);
      assertEquals(new Set(updates).size, 24);
      // Every attempt but the acknowledged ones would show here.
      assertEquals(
        await sql`select outcome, count(*)::int from luma.attempts group by 1`
          .then((rows) => [...rows]),
        [{ outcome: "done", count: 48 }],
      );
    },
  );
}

stackTest(
  "one image is uploaded once, however many events and drains want it",
  async (stack) => {
    const { simulator } = stack;
    for (let n = 0; n < 12; n++) await insertEvent(stack);
    await Promise.all([drain(stack), drain(stack), drain(stack)]);
    assertEquals(
      calls(stack).filter((path) => path === "/v1/images/create-upload-url")
        .length,
      1,
    );
    assertEquals(
      new Set(simulator.events().map((event) => event.cover_url)).size,
      1,
    );
  },
);

stackTest(
  "a run does not end on an event that was enqueued while it was ending",
  async (stack) => {
    const { sql } = stack;
    const run = await startRun(stack);
    const end = await sql.begin(async (ending) => {
      await ending`select now()`;
      await insertEvent(stack);
      return await one(
        ending`select public.luma_drain_end(${run}, '{blr,zo_events}', 0, 'empty', false) as end`,
      );
    });
    assertEquals(end.end, "soon");
  },
);

/** Two events: one enqueued by a transaction that began first, and one claimed by a run before that committed. */
async function overtaken(
  stack: Stack,
): Promise<{ run: string; late: string }> {
  const { sql } = stack;
  await sql`update luma.settings set oldest_share = 0`;
  const run = await startRun(stack);
  const late = await sql.begin(async (late): Promise<string> => {
    await late`select now()`;
    await insertEvent(stack, { title: "First claimed" });
    const { jobs } = await claim(stack, run, 1);
    assertEquals(jobs.length, 1);
    // However slow this machine is, that second is not over.
    await sql`update luma.drain_runs set looked_at = now() + interval '1 hour'`;
    return await insertEvent({ sql: late as unknown as Stack["sql"] }, {
      title: "Late to commit",
    });
  });
  return { run, late };
}

stackTest(
  "what a long transaction enqueued is claimed though what is due later has been",
  async (stack) => {
    const { run, late } = await overtaken(stack);
    const { jobs } = await claim(stack, run, 10);
    assertEquals(jobs.map(({ id }) => id), [late]);
  },
);

stackTest(
  "what a long transaction enqueued waits for a second at most while more keeps coming",
  async (stack) => {
    const { sql } = stack;
    const { run, late } = await overtaken(stack);
    const second = await insertEvent(stack, { title: "Second" });
    assertEquals(
      (await claim(stack, run, 10)).jobs.map(({ id }) => id),
      [second],
    );
    await insertEvent(stack, { title: "Third" });
    await sql`update luma.drain_runs set looked_at = now() - interval '1 second'`;
    const { jobs } = await claim(stack, run, 10);
    assert(jobs.some(({ id }) => id === late), JSON.stringify(jobs));
    assertEquals(jobs.length, 2);
  },
);

stackTest(
  "an event that has nothing to send is never leased, and one that has is leased with it",
  async (stack) => {
    const { sql } = stack;
    const same = await insertEvent(stack);
    const edited = await insertEvent(stack);
    await drain(stack);
    await sql`update public.canonical_events set title = 'New' where id = ${edited}`;
    await sql`select luma.enqueue('event', ${same}, 3, ${same})`;
    await passTime(stack);
    const [job, ...more] = await claimEvents(stack, await startRun(stack));
    assertEquals(more, []);
    assertEquals(
      [
        ...await sql`
          select entity_id, lease, lease_state ->> 'title' as title, version - done_version as behind
          from luma.sync_outbox where entity = 'event' order by entity_id = ${edited}`,
      ],
      [
        { entity_id: same, lease: null, title: null, behind: "0" },
        { entity_id: edited, lease: job!.lease, title: "New", behind: "1" },
      ],
    );
  },
);

stackTest("a stale lease can settle nothing", async (stack) => {
  const { sql } = stack;
  await insertEvent(stack);
  const first = await startRun(stack);
  const job = (await claimEvents(stack, first))[0]!;
  await passTime(stack);
  const second = await startRun(stack);
  const again = (await claimEvents(stack, second))[0]!;
  assert(job.lease !== again.lease);

  const result = JSON.stringify({
    outcome: "done",
    luma_event_id: "evt-stale",
    calls: [],
  });
  assertEquals(
    (await one(
      sql`select public.luma_acknowledge(${job.lease}, ${result}) as ok`,
    )).ok,
    false,
  );
  assertEquals(
    (await one(
      sql`select public.luma_fail(${job.lease}, '{"kind": "refused", "message": "no"}') as outcome`,
    )).outcome,
    null,
  );
  await sql`select public.luma_release(array[${job.lease}]::uuid[])`;
  assertEquals(
    (await one(sql`select lease from luma.sync_outbox`)).lease,
    again.lease,
  );
  assertEquals(
    (await sql`select luma_renew from public.luma_renew(${first})`).length,
    0,
  );
  assertEquals(
    (await sql`select luma_renew from public.luma_renew(${second})`).length,
    1,
  );
});

stackTest("a leased job is claimed by nobody else", async (stack) => {
  await insertEvent(stack);
  const [first, second] = [await startRun(stack), await startRun(stack)];
  assertEquals((await claimEvents(stack, first)).length, 1);
  assertEquals((await claimEvents(stack, second)).length, 0);
});

stackTest(
  "a change during a call does not give its job to a second drain",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    const { drained, release } = await drainInCall(stack, "/v1/events/create");
    const before = calls(stack).length;
    // The most urgent kind of change.
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${id}`;
    assertEquals((await drain(stack)).done, 0);
    assertEquals(calls(stack).length, before);
    release();
    await drained;
    await drain(stack);
    assertEquals(simulator.events().map((event) => event.visibility), [
      "private",
    ]);
  },
);

stackTest("urgent work is claimed first", async (stack) => {
  const { sql } = stack;
  await sql`update luma.settings set oldest_share = 0`;
  const cancelled = await insertEvent(stack, { title: "To be cancelled" });
  const edited = await insertEvent(stack, { title: "To be edited" });
  await drain(stack);
  await insertEvent(stack, { title: "New" });
  await sql`update public.canonical_events set title = 'Edited' where id = ${edited}`;
  await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${cancelled}`;
  await passTime(stack);
  const jobs = await claimEvents(stack, await startRun(stack));
  assertEquals(
    jobs.map((job) => job.state?.title),
    [
      "To be cancelled",
      "New",
      "Edited",
    ],
  );
});

stackTest(
  "no minute holds more calls than the limits, over any number of drains",
  async (stack) => {
    const { sql } = stack;
    await sql`update luma.settings set calls_per_minute = 10, calls_per_minute_total = 14`;
    const take = async (calendar: string) =>
      (await one(sql`select public.luma_take_permits(${calendar}, 4) as taken`))
        .taken;
    const taken = await Promise.all(
      ["blr", "zo_events", "blr", "zo_events", "blr", "zo_events"].map(take),
    );
    const granted = taken.reduce((sum, { granted }) => sum + granted, 0);
    assertEquals(granted, 14);
    assert(
      taken.filter(({ granted }) => granted === 0).every(({ wait_ms }) =>
        wait_ms > 50_000
      ),
    );
    const perCalendar =
      await sql`select calendar, sum(permits)::int as permits from luma.rate_permits group by 1`;
    for (const { permits } of perCalendar) assertLessOrEqual(permits, 10);

    // A permit counts until its call has left every window, and no longer.
    await sql`update luma.rate_permits set free_at = free_at - interval '61 seconds'`;
    assertEquals((await take("blr")).granted, 0);
    await sql`update luma.rate_permits set free_at = free_at - interval '1 second'`;
    assertEquals((await take("blr")).granted, 4);
  },
);

stackTest(
  "a calendar alone stays within its own limit, whatever is left of the total",
  async ({ sql }) => {
    await sql`update luma.settings set calls_per_minute = 10, calls_per_minute_total = 100`;
    const granted = [];
    for (let n = 0; n < 4; n++) {
      const { taken } = await one(
        sql`select luma.take_permits('blr', 4) as taken`,
      );
      granted.push(taken);
    }
    assertEquals(granted, [4, 4, 2, 0]);
  },
);

stackTest(
  "permits that were not used are free again, and no others",
  async ({ sql }) => {
    await sql`select luma.take_permits('blr', 3)`;
    await sql`select luma.take_permits('blr', 4)`;
    await sql`select luma.take_permits('zo_events', 5)`;
    const left = async () =>
      (await sql`select calendar, permits from luma.rate_permits order by id`)
        .map((row) => `${row.calendar} ${row.permits}`);
    await sql`select public.luma_return_permits('blr', 5)`;
    assertEquals(await left(), ["blr 2", "zo_events 5"]);
    await sql`select public.luma_return_permits('blr', 9)`;
    assertEquals(await left(), ["zo_events 5"]);
  },
);

stackTest(
  "a claim over two calendars does not make the first one's permits younger than they are",
  async (stack) => {
    const { sql } = stack;
    await sql`update luma.settings set oldest_share = 0`;
    const cancelled = await insertEvent(stack);
    await drain(stack);
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${cancelled}`;
    await insertEvent(stack, { lat: null, lng: null });
    // Bangalore's is the urgent one; describing the other takes its time.
    await sql.unsafe(`
      alter function luma.event_job(luma.sync_outbox) rename to event_job_itself;
      create function luma.event_job(o luma.sync_outbox) returns jsonb language plpgsql as $$
      begin
        perform pg_sleep(0.5) where o.calendar = 'zo_events';
        return luma.event_job_itself(o);
      end $$`);
    const { permits, permits_after_ms } = await claim(
      stack,
      await startRun(stack),
    );
    assertEquals(permits, { blr: 1, zo_events: 1 });
    assert(permits_after_ms < 500, `${permits_after_ms} ms`);
  },
);

stackTest("the limit that Luma tells is kept at a distance", async (stack) => {
  const { sql } = stack;
  await sql`select public.luma_note_rate_limit('blr', 100)`;
  assertEquals(
    (await one(sql`select luma.permits_free('blr') as free`)).free,
    80,
  );
  assertEquals(
    (await one(sql`select luma.permits_free('zo_events') as free`)).free,
    180,
  );
});

stackTest("jobs wait for permits, and none is dropped", async (stack) => {
  const { sql, simulator } = stack;
  await sql`update luma.settings set calls_per_minute = 3`;
  // The covers' calls are out of the way.
  await sql`update luma.covers set luma_url = 'https://images.lumacdn.com/x.png'`;
  for (let n = 0; n < 5; n++) await insertEvent(stack);
  const running = drain(stack);
  await stack.simulator.waitForRequest(() => simulator.requests.length === 3);
  const { waiting } = await one(
    sql`select count(*)::int as waiting from luma.due_jobs where lease is null`,
  );
  assert(waiting >= 1, `${waiting} waiting`);
  assertLessOrEqual(simulator.requests.length, 3);
  await sql`update luma.settings set calls_per_minute = 180`;
  await sql`delete from luma.rate_permits where true`;
  await running;
  while ((await drain(stack)).calls !== 0);
  assertEquals(simulator.events().length, 5);
});
