import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  calls,
  drain,
  drainAll,
  drainInCall,
  insertEvent,
  one,
  passTime,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

const CREATE = "/v1/events/create";

function creates(stack: Stack): number {
  return calls(stack).filter((path) => path === CREATE).length;
}

stackTest(
  "a drain killed after the create reached Luma leaves one event",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertEvent(stack, { culture: "food" });
    const { drained, release } = await drainInCall(stack, CREATE, "after");
    assertEquals(simulator.events().length, 1);
    await stack.functions.kill("luma-drain", "SIGKILL");
    await drained.catch(() => {});
    release();

    await drainAll(stack);
    assertEquals(simulator.events().length, 1);
    assertEquals(creates(stack), 1);
    const row = await one(sql`select * from public.canonical_events`);
    assertEquals(row.luma_event_id, simulator.events()[0]!.id);
    assertEquals(row.luma_sync_status, "pushed");
    // What the killed drain had still to do is done.
    assertEquals(simulator.events()[0]!.tags.map((tag) => tag.name), ["Food"]);
    const outcomes = (await sql`select outcome from luma.attempts order by id`)
      .map(({ outcome }) => outcome);
    // Adopted, the event is read once, because a host may have edited it.
    const kinds = ["lease_expired", "done", "nothing_to_do"];
    assertEquals([...new Set(outcomes)], kinds);
    assertEquals(outcomes.filter((outcome) => outcome === "done").length, 1);
  },
);

stackTest(
  "a tag that a killed drain has put on does not stay beside that of the culture which came after it",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`insert into public.event_cultures (slug, name) values ('sports', 'Sports')`;
    const id = await insertEvent(stack, { culture: "food" });
    await insertEvent(stack, { culture: "game" });
    await drainAll(stack);
    await sql`update public.canonical_events set culture = 'game' where id = ${id}`;
    const { drained, release } = await drainInCall(
      stack,
      "/v1/calendars/event-tags/apply",
      "after",
    );
    await stack.functions.kill("luma-drain", "SIGKILL");
    await drained.catch(() => {});
    release();
    await sql`update public.canonical_events set culture = 'sports' where id = ${id}`;
    await drainAll(stack);
    const row = await one(
      sql`select luma_event_id from public.canonical_events where id = ${id}`,
    );
    assertEquals(
      simulator.event(row.luma_event_id)!.tags.map((tag) => tag.name),
      ["Sports"],
    );
  },
);

stackTest(
  "after a crash the work runs again within 30 seconds, without anybody's help",
  async (stack) => {
    const { simulator } = stack;
    const fault = simulator.faults.add({
      path: CREATE,
      when: "after",
      hang: true,
      count: 1,
    });
    await insertEvent(stack);
    await fault.waitForHit();
    const crashed = Date.now();
    await stack.functions.kill("luma-drain", "SIGKILL");
    fault.remove();
    // pg_cron before 1.5 cannot look more often than every minute.
    const limit = stack.postgres.pgCron === "real" ? 90 : 30;
    await until(
      "the event is linked",
      async () =>
        (await stack
          .sql`select from public.canonical_events where luma_event_id is not null`)
          .length === 1,
      limit,
    );
    assert(Date.now() - crashed < limit * 1000);
    assertEquals(simulator.events().length, 1);
  },
  { bell: true },
);

for (const when of ["before", "after"] as const) {
  stackTest(
    `a connection closed ${when} the create took effect ends with one event`,
    async (stack) => {
      const { simulator, sql } = stack;
      await insertEvent(stack);
      simulator.faults.add({ path: CREATE, when, close: true, count: 1 });
      await drain(stack);
      await passTime(stack);
      await drain(stack);
      assertEquals(simulator.events().length, 1);
      assertEquals(
        (await one(sql`select * from public.canonical_events`)).luma_event_id,
        simulator.events()[0]!.id,
      );
    },
  );
}

/** A drain whose create took effect though its answer was lost, and who could not look it up. */
async function leaveCreateInDoubt(stack: Stack): Promise<void> {
  const { faults } = stack.simulator;
  faults.add({ path: CREATE, when: "after", close: true, count: 1 });
  const lookup = faults.add({ path: "/v1/entity/lookup", status: 503 });
  await drain(stack);
  lookup.remove();
}

stackTest(
  "an edit after a lost answer reaches the event that was created",
  async (stack) => {
    const { simulator, sql } = stack;
    await insertEvent(stack);
    await leaveCreateInDoubt(stack);
    await sql`update public.canonical_events set title = 'Second title'`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.events().map((event) => event.name), [
      "Second title",
    ]);
  },
);

stackTest(
  "a create in doubt whose event was cancelled meanwhile is hidden",
  async (stack) => {
    const { simulator, sql } = stack;
    await insertEvent(stack);
    await leaveCreateInDoubt(stack);
    await sql`update public.canonical_events set submission_status = 'cancelled'`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.events().map((event) => event.visibility), [
      "private",
    ]);
  },
);

stackTest("server errors are retried until Luma answers", async (stack) => {
  const { simulator, sql } = stack;
  await insertEvent(stack);
  simulator.faults.add({ path: CREATE, status: 502, count: 3 });
  for (let tries = 0; tries < 4; tries++) {
    await passTime(stack);
    await drain(stack);
  }
  assertEquals(simulator.events().length, 1);
  const outcomes = (await sql`select outcome from luma.attempts order by id`)
    .map((attempt) => attempt.outcome);
  assertEquals(outcomes.filter((outcome) => outcome === "retry").length, 3);
  assertEquals(outcomes.at(-1), "done");
  assertEquals(
    await one(sql`select attempts, last_error from luma.sync_outbox`),
    { attempts: 0, last_error: null },
  );
});

stackTest(
  "a 429 pauses the calendar for Retry-After and counts no attempt",
  async (stack) => {
    const { simulator, sql } = stack;
    await insertEvent(stack);
    simulator.faults.add({
      path: CREATE,
      status: 429,
      retryAfterS: 37,
      count: 1,
    });
    await drain(stack);
    const state = await one(
      sql`select *, extract(epoch from paused_until - now()) as seconds from luma.calendar_state where luma_key = 'blr'`,
    );
    assertEquals(state.paused_by, "luma");
    assert(state.seconds > 30 && state.seconds <= 37, `${state.seconds}`);
    assertEquals(
      (await one(sql`select attempts from luma.sync_outbox`)).attempts,
      0,
    );

    // Another calendar goes on; this one does not.
    await insertEvent(stack, { lat: null, lng: null, title: "Online" });
    await drain(stack);
    assertEquals(simulator.events().map((event) => event.name), ["Online"]);

    await sql`select luma.resume('blr')`;
    await drain(stack);
    assertEquals(simulator.events().length, 2);
  },
);

stackTest(
  "a wrong key keeps the jobs, stops the calendar, and says what to do",
  async (stack) => {
    const { simulator, sql } = stack;
    await stack.functions.setEnv({ LUMA_BLR_API_KEY: "wrong-key-value" });
    await insertEvent(stack);
    await insertEvent(stack, { title: "Second" });
    await drain(stack);
    await drain(stack);
    assertEquals(simulator.events(), []);
    const state = await one(
      sql`select * from luma.calendar_state where luma_key = 'blr'`,
    );
    assert(state.stopped_at);
    assertMatch(state.problem, /LUMA_BLR_API_KEY.*luma\.resume\('blr'\)/s);
    assert(!state.problem.includes("wrong-key-value"));
    assertEquals(
      (await one(
        sql`select count(*)::int as waiting from luma.sync_outbox where version > done_version and dead_at is null`,
      )).waiting,
      2,
    );
    const asked = simulator.requests.length;
    await drain(stack);
    assertEquals(simulator.requests.length, asked);

    await stack.functions.setEnv({ LUMA_BLR_API_KEY: "luma-key-blr" });
    await sql`select luma.resume('blr')`;
    await drain(stack);
    assertEquals(simulator.events().length, 2);
  },
);

stackTest(
  "a 403 for one event does not stop its calendar",
  async (stack) => {
    const { simulator, sql } = stack;
    const id = await insertEvent(stack);
    await drain(stack);
    simulator.faults.add({ path: "/v1/events/update", status: 403, count: 1 });
    await sql`update public.canonical_events set title = 'Edit' where id = ${id}`;
    await passTime(stack);
    await drain(stack);
    assertEquals(
      (await sql`select * from luma.calendar_state where stopped_at is not null`)
        .length,
      0,
    );
    assertEquals((await sql`select * from luma.dead_letters`).length, 1);
  },
);

stackTest(
  "a missing key names its setting, keeps the jobs, and needs nobody to resume",
  async (stack) => {
    const { simulator, sql } = stack;
    await stack.functions.setEnv({ LUMA_BLR_API_KEY: undefined });
    await insertEvent(stack);
    const summary = await drain(stack);
    assertMatch(String(summary.problems), /LUMA_BLR_API_KEY is not set/);
    assertEquals(
      (await one(sql`select note from luma.event_status`)).note,
      (summary.problems as string[])[0],
    );

    await stack.functions.setEnv({ LUMA_BLR_API_KEY: "luma-key-blr" });
    await sql`update luma.calendar_state set paused_until = now()`;
    await drain(stack);
    assertEquals(simulator.events().length, 1);
    assertEquals(
      (await one(
        sql`select problem from luma.calendar_state where luma_key = 'blr'`,
      )).problem,
      null,
    );
  },
);

stackTest(
  "an event that no calendar takes waits, and the reason is shown",
  async (stack) => {
    const { simulator, sql } = stack;
    await sql`update public.calendars set luma_is_default = false`;
    await insertEvent(stack, { lat: null, lng: null });
    await drain(stack);
    assertEquals(simulator.requests.length, 0);
    assertMatch(
      (await one(sql`select note from luma.event_status`)).note,
      /luma_is_default/,
    );
    await sql`update public.calendars set luma_is_default = true where luma_key = 'zo_events'`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.events().length, 1);
  },
);

stackTest(
  "a job that kills its drains is dead after five of them",
  async (stack) => {
    const { simulator, sql } = stack;
    await insertEvent(stack);
    const fault = simulator.faults.add({ path: "/v1/e*", hang: true });
    const isDead = async () =>
      (await sql`select from luma.dead_letters`).length === 1;
    for (let crash = 1; crash <= 8 && !await isDead(); crash++) {
      const hit = fault.waitForHit(fault.hits + 1, 60_000).catch(() => {});
      await Promise.race([hit, drain(stack).catch(() => {})]);
      await stack.functions.kill("luma-drain", "SIGKILL");
      await passTime(stack);
    }
    fault.remove();
    const dead = await one(sql`select * from luma.dead_letters`);
    assertMatch(dead.error, /5 drains in a row died/);
    assertEquals(
      (await one(sql`select luma_sync_status from public.canonical_events`))
        .luma_sync_status,
      "push_failed",
    );
    await sql`select luma.retry()`;
    await drain(stack);
    assertEquals(simulator.events().length, 1);
  },
);

for (const how of ["answer was lost", "drain was killed"]) {
  stackTest(
    `an edit whose ${how} and that is taken back does not stay on Luma`,
    async (stack) => {
      const { sql, simulator } = stack;
      await insertEvent(stack, { title: "First" });
      await drain(stack);
      await passTime(stack);
      await sql`update public.canonical_events set title = 'Second'`;
      await passTime(stack);
      if (how === "answer was lost") {
        const lost = simulator.faults.add({
          path: "/v1/events/update",
          when: "after",
          status: 500,
        });
        await drain(stack);
        lost.remove();
      } else {
        const { drained, release } = await drainInCall(
          stack,
          "/v1/events/update",
          "after",
        );
        await stack.functions.kill("luma-drain", "SIGKILL");
        await drained.catch(() => {});
        release();
      }
      assertEquals(simulator.events()[0]!.name, "Second");
      await sql`update public.canonical_events set title = 'First'`;
      await passTime(stack);
      await drain(stack);
      await drainAll(stack);
      assertEquals(simulator.events()[0]!.name, "First");
    },
  );
}
