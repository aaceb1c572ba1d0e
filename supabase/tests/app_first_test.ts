/** Nothing here may slow, block or break the app's own transaction. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  calls,
  drain,
  drainInCall,
  insertEvent,
  one,
  passTime,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

async function posts({ admin }: Stack): Promise<number> {
  const { count } = await one(
    admin`select count(*)::int as count from net.http_request_queue`,
  );
  return count;
}

stackTest(
  "the app's write commits while the functions are down",
  async (stack) => {
    await stack.functions.stop();
    await insertEvent(stack);
    await until(
      "pg_net has rung in vain",
      async () =>
        (await stack
          .admin`select from net._http_response where status_code = 503`)
          .length === 1,
    );
    stack.functions.start();
    await until(
      "the event is on Luma, by pg_cron's sweep",
      () => stack.simulator.events().length === 1,
      stack.postgres.pgCron === "real" ? 90 : 40,
    );
  },
  { bell: true },
);

stackTest(
  "the app's write commits with an empty Vault, and health names what is missing",
  async (stack) => {
    const { sql } = stack;
    await stack.admin`delete from vault.secrets`;
    await insertEvent(stack);
    assertEquals((await sql`select from luma.sync_outbox`).length, 1);
    assertMatch(
      (await one(sql`select problem from luma.health`)).problem,
      /luma_functions_url and luma_sync_secret/,
    );
  },
);

stackTest(
  "health says why a drain that is rung for does not run",
  async (stack) => {
    const { sql } = stack;
    await stack.functions.setEnv({ LUMA_SYNC_SECRET: "another" });
    await insertEvent(stack);
    await until("it is rung for again, in vain", async () => {
      const answered = await stack.admin`
        select from luma.bell b join net._http_response r on r.id = b.request_id`;
      if (answered.length === 0) return false;
      const { problem } = await one(sql`select problem from luma.health`);
      if (/rung for \d+ times.*401.*LUMA_SYNC_SECRET/.test(problem ?? "")) {
        return true;
      }
      // What five seconds without a start do.
      await sql`update luma.bell set rung_at = rung_at - interval '6 seconds' where id`;
      await sql`select luma.tick()`;
      return false;
    });
    const { note } = await one(sql`select note from luma.event_status`);
    assertMatch(note, /LUMA_SYNC_SECRET/);

    await stack.functions.setEnv({ LUMA_SYNC_SECRET: stack.syncSecret });
    await drain(stack);
    assertEquals(
      (await one(sql`select problem from luma.health`)).problem,
      null,
    );
  },
  { bell: true, cron: false },
);

stackTest("the app's write commits while pg_net is broken", async (stack) => {
  await stack.admin`alter table net.http_request_queue rename to gone`;
  await insertEvent(stack);
  assertEquals((await stack.sql`select from luma.sync_outbox`).length, 1);
  await drain(stack);
  assertEquals(stack.simulator.events().length, 1);
});

stackTest(
  "the app's write does not wait for a drain that holds leases",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    const { drained, release } = await drainInCall(stack, "/v1/events/create");
    // Any lock that it had to wait for would end these with an error.
    await sql.begin(async (app) => {
      await app`set local lock_timeout = '200ms'`;
      await app`update public.canonical_events set title = 'While leased' where id = ${id}`;
    });
    release();
    await drained;
    assertEquals(simulator.events()[0]!.name, "While leased");
  },
);

stackTest(
  "an acknowledgement and the app's transaction on one event never deadlock",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    const { drained, release } = await drainInCall(stack, "/v1/events/create");
    await sql.begin(async (app) => {
      await app`set local lock_timeout = '300ms'`;
      // The app has the event's row, the acknowledgement comes and wants it too ...
      await app`update public.canonical_events set current_rsvp_count = 1 where id = ${id}`;
      release();
      await until(
        "the acknowledgement waits",
        async () =>
          (await stack
            .admin`select from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%luma_acknowledge%'`)
            .length === 1,
      );
      // ... and the app's next write needs the outbox row.
      await app`update public.canonical_events set title = 'Both' where id = ${id}`;
    });
    await drained;
    assertEquals(
      (await sql`select error from luma.missed_changes`).length,
      0,
    );
    await drain(stack);
    assertEquals(simulator.events()[0]!.name, "Both");
  },
);

stackTest(
  "a failure inside a trigger is recorded, and swept up later",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`alter table luma.sync_outbox add constraint broken check (entity = 'nothing') not valid`;
    const id = await insertEvent(stack);
    const missed = await one(sql`select * from luma.missed_changes`);
    assertEquals(missed.entity_id, id);
    assertMatch(missed.error, /broken/);

    await sql`alter table luma.sync_outbox drop constraint broken`;
    await sql`select luma.sweep()`;
    assertEquals((await sql`select from luma.missed_changes`).length, 0);
    await drain(stack);
    assertEquals(simulator.events().length, 1);
  },
);

stackTest(
  "even without a place to record it, a failing trigger loses no change",
  async (stack) => {
    const { sql, simulator } = stack;
    const id = await insertEvent(stack);
    await drain(stack);
    await sql`alter table luma.sync_outbox rename to outbox_gone`;
    await sql`alter table luma.missed_changes rename to missed_gone`;
    await sql`update public.canonical_events set title = 'Unseen edit' where id = ${id}`;
    await sql`alter table luma.outbox_gone rename to sync_outbox`;
    await sql`alter table luma.missed_gone rename to missed_changes`;
    assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 1);
    await drain(stack);
    assertEquals(simulator.events()[0]!.name, "Unseen edit");
    // Swept once is enough.
    assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 0);
  },
);

stackTest(
  "a sweep neither waits for the app's transaction nor deadlocks with it",
  async (stack) => {
    const { sql } = stack;
    const [first, second] = [
      await insertEvent(stack),
      await insertEvent(stack),
    ];
    await drain(stack);
    await sql`
      insert into luma.missed_changes (entity, entity_id, error)
      values ('event', ${first}, 'test'), ('event', ${second}, 'test')`;
    await sql.begin(async (app) => {
      await app`set local lock_timeout = '300ms'`;
      await app`update public.canonical_events set title = 'One' where id = ${first}`;
      // The one that the app has is left to it.
      assertEquals((await one(sql`select luma.sweep() as swept`)).swept, 1);
      await app`update public.canonical_events set title = 'Two' where id = ${second}`;
    });
    assertEquals((await sql`select from luma.missed_changes`).length, 0);
    await passTime(stack);
    await drain(stack);
    assertEquals(
      stack.simulator.events().map((event) => event.name).sort(),
      ["One", "Two"],
    );
  },
);

stackTest("a deletion that no trigger saw is swept up", async (stack) => {
  const { sql, simulator } = stack;
  await insertEvent(stack);
  await drain(stack);
  await sql`alter table public.canonical_events disable trigger zz_luma_event_deleted`;
  await sql`delete from public.canonical_events`;
  await sql`select luma.sweep()`;
  await drain(stack);
  assertEquals(simulator.events()[0]!.visibility, "private");
});

stackTest(
  "the app writes events though it has dropped a column that is synced, and what was missed is recorded",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await sql`delete from luma.sync_outbox`;
    await sql`alter table public.canonical_events drop column meeting_point cascade`;
    await sql`update public.canonical_events set title = 'Without'`;
    await insertEvent(stack);
    await sql`delete from public.canonical_events where id = ${id}`;
    assertEquals(
      [...await sql`select entity, entity_id from luma.missed_changes`],
      [{ entity: "event", entity_id: id }],
    );
    assertEquals((await sql`select from luma.sync_outbox`).length, 2);
  },
);

stackTest(
  "an app role without rights in schema luma can write events",
  async (stack) => {
    const { sql } = stack;
    await sql`create policy all_for_test on public.canonical_events to authenticated using (true) with check (true)`;
    await sql`grant select, insert, update on public.canonical_events to authenticated`;
    await sql.begin(async (app) => {
      await app`set local role authenticated`;
      await insertEvent({ sql: app as unknown as Stack["sql"] });
    });
    assertEquals((await sql`select from luma.sync_outbox`).length, 1);
    assertEquals((await sql`select from luma.missed_changes`).length, 0);
  },
);

stackTest(
  "a transaction that rolls back leaves nothing and rings nobody",
  async (stack) => {
    const { sql } = stack;
    await assertRejects(() =>
      sql.begin(async (app) => {
        await insertEvent({ sql: app as unknown as Stack["sql"] });
        throw new Error("the app changed its mind");
      })
    );
    assertEquals((await sql`select from luma.sync_outbox`).length, 0);
    assertEquals(await posts(stack), 0);
  },
);

stackTest(
  "a transaction above read committed rings too, whatever others did to the bell",
  async (stack) => {
    const { sql } = stack;
    await sql.begin("isolation level repeatable read", async (app) => {
      await app`select`;
      await sql`update luma.bell set rung_at = now() where id`;
      await sql`update luma.bell set rung_at = null where id`;
      await insertEvent({ sql: app as unknown as Stack["sql"] });
    });
    assertEquals(await posts(stack), 1);
  },
);

stackTest("a burst of writes makes one post", async (stack) => {
  const { sql } = stack;
  await Promise.all(
    Array.from({ length: 40 }, () => insertEvent(stack)),
  );
  await sql`update public.canonical_events set title = title || '!'`;
  assertEquals(await posts(stack), 1);
});

stackTest(
  "while a run is active nobody rings, and the run does not end before it saw every commit",
  async (stack) => {
    const { sql, simulator } = stack;
    // Counts each run's tries to end; a sequence shows that before the transaction is over.
    await sql.unsafe(`
      create sequence luma.tries;
      alter function luma.try_lock_bell(boolean) rename to try_lock_bell_itself;
      create function luma.try_lock_bell(exclusive boolean) returns boolean language plpgsql as $$
      begin
        perform nextval('luma.tries') where exclusive;
        return luma.try_lock_bell_itself(exclusive);
      end $$`);
    await insertEvent(stack);
    const { drained, release } = await drainInCall(stack, "/v1/events/create");
    await stack.admin`delete from net.http_request_queue`;
    // A ring of a moment ago would be reason enough to stay silent.
    await sql`update luma.bell set rung_at = null`;

    // A writer that has looked, and stays silent because a run is active, but has not committed yet.
    const committing = Promise.withResolvers<void>();
    const looked = Promise.withResolvers<void>();
    const writer = sql.begin(async (app) => {
      await insertEvent({ sql: app as unknown as Stack["sql"] }, {
        title: "Late",
      });
      // What the commit does first; after it the transaction is held open.
      await app`set constraints all immediate`;
      looked.resolve();
      await committing.promise;
    });
    // A test that fails before its end closes the connection under it.
    writer.catch(() => {});
    await looked.promise;
    assertEquals(await posts(stack), 0);
    release();
    await until(
      "the first event is acknowledged",
      async () =>
        (await sql`select from public.canonical_events where luma_event_id is not null`)
          .length === 1,
    );
    // The run finds nothing more, and tries to end, but may not.
    await until(
      "the run has tried to end",
      async () =>
        (await one(sql`select last_value, is_called from luma.tries`))
          .is_called,
    );
    assertEquals(
      (await sql`select from luma.drain_runs where ended_at is null`).length,
      1,
    );
    committing.resolve();
    await writer;
    // Only now could a ring of its be seen.
    assertEquals(await posts(stack), 0);
    await drained;
    assertEquals(simulator.events().map((event) => event.name).sort(), [
      "Late",
      "Rooftop Jam",
    ]);
  },
);

stackTest("no wake-up is lost among eight writers", async (stack) => {
  const { sql, simulator } = stack;
  // Without pg_cron nothing but the bell starts a drain.
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let n = 0; n < 6; n++) {
      await insertEvent(stack, {
        title: `Event ${writer}-${n}`,
        culture: "default",
      });
      await new Promise((resolve) => setTimeout(resolve, 40 * Math.random()));
    }
  });
  await Promise.all(writers);
  await until(
    "all 48 events are on Luma",
    () => simulator.events().length === 48,
    60,
  );
  await until(
    "all are acknowledged",
    async () =>
      (await sql`select from luma.sync_outbox where version > done_version`)
        .length === 0,
  );
  assertEquals(new Set(simulator.events().map((event) => event.name)).size, 48);
}, { bell: true, cron: false });

stackTest(
  "a meeting_url that is no address is refused by the table",
  async (stack) => {
    await assertRejects(
      () => insertEvent(stack, { meeting_url: "zoom please" }),
      Error,
      "canonical_events_meeting_url_is_address",
    );
    await insertEvent(stack, { meeting_url: "https://zoom.example.com/j/1" });
  },
);

stackTest(
  "the sync's own columns and the app's columns are told apart",
  async (stack) => {
    const { sql } = stack;
    const id = await insertEvent(stack);
    await drain(stack);
    const before = calls(stack).length;
    await sql`update public.canonical_events set luma_synced_at = now(), luma_sync_status = 'synced', external_rsvp_url = 'https://example.com' where id = ${id}`;
    await drain(stack);
    assertEquals(calls(stack).length, before);
    const { version, done_version } = await one(
      sql`select * from luma.sync_outbox`,
    );
    assert(version === done_version);
  },
);
