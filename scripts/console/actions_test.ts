/** What the buttons of the console do. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { drain, insertEvent, stackTest } from "../../supabase/tests/testing.ts";
import { openConsole, textOf } from "./client_for_tests.ts";

stackTest(
  "each button does what it says, and says what came of it",
  async (stack) => {
    const { sql, simulator } = stack;
    await using client = await openConsole(stack);
    const act = async (action: string, fields?: Record<string, string>) =>
      textOf((await client.act(action, fields)).text);
    const logged = async (what: string) => {
      const [line] =
        await sql`select what, via from luma.admin_log order by id desc limit 1`;
      assertEquals(line, { what, via: "luma console" });
    };
    const mode = async () => (await sql`select luma.mode() as mode`)[0]!.mode;

    assertMatch(await act("mode", { mode: "off" }), /Done. The mode is off/);
    assertMatch(
      await act("mode", { mode: "live" }),
      /That did not work. .* tick the box/,
    );
    assertEquals(await mode(), "off");
    assertMatch(
      await act("mode", { mode: "on" }),
      /That did not work. luma.set_mode: the mode is off, dry_run or live, not 'on'/,
    );
    assertMatch(await act("mode", { mode: "dry_run" }), /The mode is dry run/);
    assertEquals(await mode(), "dry_run");
    assertMatch(
      await act("mode", { mode: "live", confirm: "yes" }),
      /The mode is live/,
    );
    assertEquals(await mode(), "live");
    await logged("set_mode");

    assertMatch(await act("pause", { calendar: "blr" }), /blr is paused/);
    const [paused] =
      await sql`select ready, paused_by from luma.calendar_status where calendar = 'blr'`;
    assertEquals(paused, { ready: false, paused_by: "admin" });
    await logged("pause");
    assertMatch(await act("resume", { calendar: "blr" }), /blr is resumed/);
    const [ready] =
      await sql`select ready from luma.calendar_status where calendar = 'blr'`;
    assertEquals(ready!.ready, true);
    await logged("resume");
    assertMatch(
      await act("pause", { calendar: "goa" }),
      /there is no calendar 'goa' One of: blr, zo_events/,
    );

    const fault = simulator.faults.add({
      path: "/v1/events/create",
      status: 400,
      message: "name: too loud",
    });
    const [first, second] = [
      await insertEvent(stack),
      await insertEvent(stack),
    ];
    await drain(stack);
    const dead = async () =>
      (await sql`select entity_id from luma.dead_letters order by 1`).map((
        row,
      ) => row.entity_id);
    assertEquals(await dead(), [first, second].sort());
    assertMatch(
      textOf((await client.get("/dead-letters")).text),
      /name: too loud/,
    );
    fault.remove();
    assertMatch(
      await act("retry", { id: first }),
      /Done. It is tried again now/,
    );
    assertEquals(await dead(), [second]);
    await logged("retry");
    assertMatch(await act("retry-all"), /Tried again now: 1 dead letter\./);
    assertEquals(await dead(), []);
    await drain(stack);
    assertEquals(simulator.events().length, 2);
    assertMatch(
      await act("retry", { id: first }),
      /That did not work. luma.retry: nothing of .* waits to be sent See luma.dead_letters/,
    );
    // A message is shown once.
    assertEquals(
      /That did not work/.test((await client.get("/log")).text),
      false,
    );

    await sql`
    insert into luma.webhook_inbox (webhook_id, calendar, type, payload, sent_at, state, error)
    values ('msg_1', 'blr', 'event.updated', '{}', now(), 'failed', 'it was garbled')`;
    assertMatch(
      textOf((await client.get("/dead-letters")).text),
      /event.updated webhook · blr it was garbled/,
    );
    assertMatch(await act("retry", { id: "msg_1" }), /It is tried again now/);
    assertEquals(
      (await sql`select state from luma.webhook_inbox`)[0]!.state,
      "stored",
    );

    assertMatch(
      await act("pull", { event: first }),
      /Luma is read now: 1 pull\./,
    );
    assertMatch(await act("pull", { calendar: "zo_events" }), /1 pull\./);
    await logged("pull_now");
    const pulls =
      await sql`select p.calendar, e.event_id from luma.pull_runs p left join luma.event_links e using (luma_event_id) order by p.requested_at`;
    assertEquals(pulls.map(({ event_id }) => event_id).filter(Boolean), [
      first,
    ]);
    assert(pulls.some(({ calendar }) => calendar === "zo_events"));
    assertMatch(await act("pull"), /2 pulls\./);

    assertMatch(
      await act("backfill"),
      /Luma has everything, or it is enqueued already/,
    );
    await logged("backfill");
    assertMatch(
      await act("stop-backfill"),
      /The backfill is stopped; 0 events and RSVPs of it wait/,
    );
    await logged("stop_backfill");
  },
);
