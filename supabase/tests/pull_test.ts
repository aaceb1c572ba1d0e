/** Pulling events: what no webhook told is healed, and what has not changed costs the app nothing. */
import { assertEquals, assertMatch } from "@std/assert";
import { createLumaClient } from "../functions/_shared/luma/client.ts";
import { fromLumaEvent } from "../functions/_shared/sync/from_luma.ts";
import { manyCalls } from "./linked_events.ts";
import {
  changedColumns,
  conflicts,
  rowWithVersion,
} from "./luma_deliveries.ts";
import { ownEvent, register } from "./luma_guests.ts";
import { hostEvent, rowOf, rsvpsOf, settle } from "./luma_side.ts";
import {
  calls,
  drain,
  drainAll,
  type EventRow,
  insertEvent,
  insertUsers,
  one,
  passTime,
  pull,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

/** The last run of the calendar. */
export async function lastPull(
  { sql }: Pick<Stack, "sql">,
  calendar = "blr",
): Promise<EventRow> {
  return await one(sql`
    select * from luma.pulls where calendar = ${calendar} order by requested_at desc limit 1`);
}

/** What tells every write of any row that a pull could write, of the app and of ours. */
async function rowVersions({ sql }: Stack): Promise<string> {
  const { versions } = await one(sql`
    select md5(string_agg(v, ',' order by v)) as versions from (
      select concat('e', id, xmin) from public.canonical_events
      union all select concat('r', id, xmin) from public.event_rsvps
      union all select concat('l', event_id, xmin) from luma.event_links
      union all select concat('g', id, xmin) from luma.guests
      union all select concat('o', entity_id, xmin) from luma.sync_outbox
    ) x (v)`);
  return versions;
}

function pagesListed(stack: Stack): number {
  return calls(stack).filter((path) => path === "/v1/calendars/events/list")
    .length;
}

stackTest(
  "a pull brings events and guests that no webhook told, once, with description and counts",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 2);
    const event = hostEvent(stack);
    register(stack, { lumaId: event.id }, "u1");
    register(stack, { lumaId: event.id }, "nobody");
    await pull(stack);
    const row = await rowOf(stack, event.id);
    assertEquals(row.title, "Full Moon Swim");
    assertEquals(row.description, "Bring a towel.");
    assertEquals(row.source_type, "luma");
    assertEquals(await rsvpsOf(stack, row.id), { u1: "going" });
    assertEquals(row.current_rsvp_count, 2);
    const first = await lastPull(stack);
    assertEquals(
      { ...first, id: 0, took: 0 },
      {
        ...first,
        id: 0,
        took: 0,
        state: "done",
        events: 1,
        guests: 2,
        inserted: 2,
        errors: 0,
        // The calendar, its list, the event, its guests.
        calls: 4,
      },
    );

    await settle(stack);
    const before = await rowVersions(stack);
    await pull(stack);
    assertEquals(await rowVersions(stack), before);
    assertEquals((await lastPull(stack)).unchanged, 3);
    assertEquals((await sql`select from public.canonical_events`).length, 1);

    // And what has changed since.
    simulator.host.updateEvent(event.id, {
      name: "New Moon Swim",
      description_md: "Bring a torch.",
    });
    simulator.guest.cancel(event.id, "u1@example.com");
    register(stack, { lumaId: event.id }, "u2");
    await pull(stack);
    const after = await rowOf(stack, event.id);
    assertEquals(
      [after.title, after.description, after.current_rsvp_count],
      ["New Moon Swim", "Bring a torch.", 2],
    );
    assertEquals(await rsvpsOf(stack, row.id), { u1: "rejected", u2: "going" });
    await drainAll(stack);
    // Nothing of it is an echo's.
    assertEquals(simulator.requests.filter((r) => r.method === "POST"), []);
  },
);

stackTest(
  "a pull of 2,000 unchanged events writes no row",
  async (stack) => {
    const { sql, simulator } = stack;
    await manyCalls(stack);
    for (let n = 0; n < 2000; n++) {
      hostEvent(stack, {
        name: `Event ${n}`,
        // Many in one second too.
        start_at: new Date(Date.now() + 86_400_000 * (40 + n % 7)).toISOString()
          .replace(/\.\d+/, ".000"),
        end_at: new Date(Date.now() + 86_400_000 * 50).toISOString(),
      });
    }
    const client = createLumaClient({
      apiKey: simulator.calendars[0]!.key,
      baseUrl: simulator.url,
    });
    let cursor: string | undefined;
    do {
      const page = await client.listEvents({ cursor });
      const news = page.entries.map(fromLumaEvent);
      await sql`
        select luma.apply_listed_event('blr', n, clock_timestamp(), 'list')
        from jsonb_array_elements(${sql.json(news as never)}) n`;
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
    await sql`
      insert into luma.reads (event_id, read_at, guests_read_at)
      select event_id, clock_timestamp(), clock_timestamp() from luma.event_links`;
    simulator.clearRequests();

    await sql`create table public.writes (n int)`;
    await sql`
      create function public.note_write() returns trigger language plpgsql as
      $$ begin insert into public.writes values (1); return null; end $$`;
    for (const table of ["canonical_events", "event_rsvps"]) {
      await sql.unsafe(`
        create trigger note_write after insert or update or delete on public.${table}
        for each statement execute function public.note_write()`);
    }
    const before = await rowVersions(stack);
    await sql`update luma.settings set scheduled_pulls = true`;
    await sql`select luma.schedule_pull()`;
    await pull(stack, {});
    const { state, events, unchanged, calls: made } = await lastPull(stack);
    assertEquals({ state, events, unchanged, made }, {
      state: "done",
      events: 2000,
      unchanged: 2000,
      // The calendar, and 40 pages of 50.
      made: 41,
    });
    assertEquals(await rowVersions(stack), before);
    assertEquals((await sql`select from public.writes`).length, 0);
  },
  { simulator: { rateLimitPerMinute: 10_000 } },
);

stackTest(
  "a pull that was killed in a call goes on with that call, and lists no page twice",
  async (stack) => {
    const { sql, simulator, functions } = stack;
    await manyCalls(stack);
    for (let n = 0; n < 12; n++) hostEvent(stack, { name: `Event ${n}` });
    const fault = simulator.faults.add({
      path: "/v1/calendars/events/list",
      hang: true,
      nth: 2,
      count: 1,
      calendar: simulator.calendars[0]!.id,
    });
    const killed = pull(stack).catch(() => {});
    await fault.waitForHit();
    await functions.kill("luma-pull");
    await killed;
    fault.remove();
    const { started_at, state } = await lastPull(stack);
    assertEquals(state, "running");

    // Nobody takes it while its function may still live.
    await pull(stack, {});
    assertEquals((await lastPull(stack)).state, "running");
    await sql`update luma.pull_runs set alive_until = now() where lease is not null`;
    await pull(stack, {});
    const run = await lastPull(stack);
    assertEquals(run.state, "done");
    assertEquals(run.started_at, started_at);
    assertEquals(run.inserted, 12);
    assertEquals((await sql`select from public.canonical_events`).length, 12);
    const cursors = simulator.requests.filter(({ path }) =>
      path === "/v1/calendars/events/list"
    ).map(({ query }) => query.pagination_cursor ?? "first").sort();
    // Of the other calendar too, and the one that was killed.
    assertEquals(cursors.filter((cursor) => cursor === "first").length, 2);
    assertEquals(new Set(cursors).size, 3);
    assertEquals(cursors.length, 5);
  },
  { simulator: { pageSize: 5 } },
);

stackTest(
  "events that are not listed any more are read: gone is cancelled, private and moved are what Luma says",
  async (stack) => {
    const { sql, simulator } = stack;
    await insertUsers(stack, 1);
    const own = await ownEvent(stack);
    const [gone, hidden, moved, same] = ["Gone", "Hidden", "Moved", "Same"].map(
      (
        name,
      ) => hostEvent(stack, { name }).id,
    );
    register(stack, { lumaId: gone! }, "u1");
    await pull(stack);
    await settle(stack);
    const goneRow = await rowOf(stack, gone!);
    simulator.host.cancelEvent(gone!);
    simulator.host.cancelEvent(own.lumaId);
    simulator.host.makePrivate(hidden!);
    const start = Date.now() - 40 * 86_400_000;
    simulator.host.updateEvent(moved!, {
      start_at: new Date(start).toISOString(),
      end_at: new Date(start + 3_600_000).toISOString(),
    });
    simulator.clearRequests();
    await pull(stack);
    const status = async (id: unknown) =>
      (await one(
        sql`select submission_status, luma_event_id, visibility, starts_at from public.canonical_events where id = ${
          String(id)
        }`,
      )) as EventRow;
    for (const id of [goneRow.id, own.id]) {
      assertEquals((await status(id)).submission_status, "cancelled");
    }
    assertEquals((await rowOf(stack, hidden!)).visibility, "private");
    assertEquals(
      (await rowOf(stack, moved!)).starts_at,
      new Date(start),
    );
    assertEquals((await rowOf(stack, same!)).submission_status, "approved");
    // It does not come back, and nobody tells Luma anything.
    await pull(stack);
    await settle(stack);
    assertEquals((await status(goneRow.id)).submission_status, "cancelled");
    assertEquals(simulator.requests.filter((r) => r.method === "POST"), []);
  },
);

stackTest(
  "an event of ours whose create was never answered is linked by a pull, not inserted again",
  async (stack) => {
    const { sql, simulator, functions } = stack;
    const id = await insertEvent(stack);
    const fault = simulator.faults.add({
      path: "/v1/events/create",
      when: "after",
      hang: true,
      count: 1,
    });
    const drained = drain(stack).catch(() => {});
    await fault.waitForHit();
    await functions.kill("luma-drain");
    await drained;
    fault.remove();
    await pull(stack);
    const [link] = await sql`
      select luma_event_id from luma.event_links where event_id = ${id}`;
    assertEquals(link!.luma_event_id, simulator.events()[0]!.id);
    await drainAll(stack);
    assertEquals(simulator.events().length, 1);
    assertEquals((await sql`select from public.canonical_events`).length, 1);
  },
);

stackTest(
  "different fields changed on both sides both stay; of the same field the app's stays for its events, and the conflict is noted",
  async (stack) => {
    const { sql, simulator } = stack;
    const { id, lumaId } = await ownEvent(stack);
    await pull(stack);
    // Nothing of ours is sent meanwhile.
    await sql`update public.canonical_events set title = 'Ours', location_name = 'The roof' where id = ${id}`;
    simulator.host.updateEvent(lumaId, {
      name: "Theirs",
      meeting_url: "https://meet.example/1",
    });
    await pull(stack);
    await drainAll(stack);
    const event = simulator.event(lumaId)!;
    const row = await rowOf(stack, lumaId);
    assertEquals([event.name, row.title], ["Ours", "Ours"]);
    assertEquals(event.meeting_url, row.meeting_url);
    assertMatch(event.geo_address_json!.full_address!, /The roof/);
    assertEquals(await conflicts(stack), [{
      field: "name",
      app_value: { title: "Ours" },
      luma_value: "Theirs",
      winner: "app",
    }]);
  },
);

stackTest(
  "a page that is older than what we have sent since takes nothing back: the event is read again",
  async (stack) => {
    const { sql, simulator } = stack;
    const { id, lumaId } = await ownEvent(stack);
    await pull(stack);
    const before = await rowWithVersion(stack, id);
    // The page is made, and then waits on its way.
    const fault = simulator.faults.add({
      path: "/v1/calendars/events/list",
      when: "after",
      hang: true,
      count: 1,
      calendar: simulator.calendars[0]!.id,
    });
    const pulled = pull(stack);
    await fault.waitForHit();
    await sql`update public.canonical_events set title = 'Newer' where id = ${id}`;
    await passTime(stack);
    await drain(stack);
    assertEquals(simulator.event(lumaId)!.name, "Newer");
    fault.remove();
    await pulled;
    assertEquals((await lastPull(stack)).to_read, 1);
    await drainAll(stack);
    const after = await rowWithVersion(stack, id);
    assertEquals(changedColumns(before, after).title, "Newer");
    assertEquals(simulator.event(lumaId)!.name, "Newer");
    assertEquals(await conflicts(stack), []);
  },
);

stackTest(
  "a pull that another function has taken over is over for the first one",
  async ({ sql }) => {
    await sql`select luma.pull_now('blr')`;
    const begin = async () =>
      (await one(sql`select public.luma_pull_begin('{blr}') as runs`)).runs[0];
    const step = async (run: { run_id: string; lease: string }) =>
      (await one(
        sql`select public.luma_pull_step(${run.run_id}, ${run.lease}, '{"kind": "none"}') as step`,
      )).step.do;
    const first = await begin();
    assertEquals(await step(first), "get_calendar");
    await sql`update luma.pull_runs set alive_until = now() - interval '1 second'`;
    const second = await begin();
    assertEquals(second.run_id, first.run_id);
    assertEquals([await step(first), await step(second)], [
      "end",
      "get_calendar",
    ]);
  },
);

stackTest(
  "a step of a pull, which may have rows locked, does not wait for a claim that is handing out permits",
  async ({ sql }) => {
    await sql`select luma.pull_now('blr')`;
    const { runs: [run] } = await one(
      sql`select public.luma_pull_begin('{blr}') as runs`,
    );
    const step = () =>
      sql.begin(async (sql): Promise<string> => {
        await sql`set local lock_timeout = '2s'`;
        const [row] = await sql`
          select public.luma_pull_step(${run.run_id}, ${run.lease}, '{"kind": "none"}') as step`;
        return row!.step.do;
      });
    await sql.begin(async (claim) => {
      await claim`select luma.lock_permits()`;
      assertEquals(await step(), "wait");
    });
    assertEquals(await step(), "get_calendar");
  },
);

stackTest(
  "two pulls of a calendar at once are one after the other; asking again while one waits asks for one",
  async (stack) => {
    const { sql, simulator } = stack;
    hostEvent(stack);
    const fault = simulator.faults.add({
      path: "/v1/calendars/get",
      hang: true,
      count: 2,
    });
    const first = pull(stack);
    // A test that fails before its end stops the function under it.
    first.catch(() => {});
    await fault.waitForHit(2);
    await sql`select luma.pull_now()`;
    await sql`select luma.pull_now('blr')`;
    // There is one under way of each calendar.
    assertEquals((await pull(stack, {})).runs, 0);
    fault.remove();
    await first;
    await pull(stack, {});
    const runs = await sql`
      select calendar, started_at, ended_at from luma.pulls order by calendar, started_at`;
    assertEquals(runs.map(({ calendar }) => calendar), [
      "blr",
      "blr",
      "zo_events",
      "zo_events",
    ]);
    assertEquals(runs[1]!.started_at >= runs[0]!.ended_at, true);
    assertEquals((await sql`select from public.canonical_events`).length, 1);
  },
);

stackTest(
  "pg_cron pulls every 15 minutes; a ring that was lost, and a run whose function died, are made good by the tick",
  async (stack) => {
    const { sql, net } = stack;
    const { schedule } = await one(
      sql`select schedule from cron.job where jobname = 'luma-pull'`,
    );
    assertEquals(schedule, "*/15 * * * *");
    hostEvent(stack);
    await sql`update luma.settings set scheduled_pulls = true`;
    await sql`select luma.schedule_pull()`;
    // pg_net has lost what it was given.
    await sql`delete from net.http_request_queue`;
    await sql`update luma.bell set pull_rung_at = now() - interval '6 seconds'`;
    await sql`update luma.pull_runs set lease = gen_random_uuid(), started_at = now(), alive_until = now() where calendar = 'blr'`;
    net.resume();
    await sql`select luma.tick()`;
    await until(
      "both calendars are pulled",
      async () =>
        (await sql`select from luma.pulls where state = 'done'`).length === 2,
    );
    assertEquals((await sql`select from public.canonical_events`).length, 1);
    // One that never starts is rung for less and less often, and luma.health says so.
    await until(
      "nothing rings any more",
      async () => (await sql`select from net.http_request_queue`).length === 0,
    );
    net.pause();
    await stack.functions.kill("luma-pull");
    await sql`select luma.pull_now()`;
    for (let n = 0; n < 40; n++) {
      // The last call of the dead may have begun it.
      await sql`update luma.pull_runs set alive_until = now() where lease is not null`;
      await sql`update luma.bell set pull_rung_at = pull_rung_at - interval '5 seconds'`;
      await sql`select luma.tick()`;
    }
    const { rung } = await one(
      sql`select pull_unanswered as rung from luma.bell`,
    );
    assertEquals(rung >= 4 && rung <= 7, true, `rung for ${rung} times`);
    const { problem } = await one(sql`select problem from luma.health`);
    assertMatch(problem, /luma-pull was rung for \d times without starting/);

    await sql`select luma.set_mode('off')`;
    await sql`select luma.schedule_pull()`;
    assertEquals(
      (await sql`select from luma.pulls where state = 'waiting'`).length,
      0,
    );
  },
  { net: true },
);

stackTest(
  "an event that a host has deleted unheard is cancelled by our next edit of it",
  async (stack) => {
    const { sql, simulator } = stack;
    const { id, lumaId } = await ownEvent(stack);
    simulator.host.cancelEvent(lumaId);
    await sql`update public.canonical_events set title = 'Too late' where id = ${id}`;
    await drainAll(stack);
    const row = await one(
      sql`select submission_status from public.canonical_events where id = ${id}`,
    );
    assertEquals(row.submission_status, "cancelled");
    assertEquals([...await sql`select * from luma.dead_letters`], []);
    assertEquals(pagesListed(stack), 0);
  },
);
