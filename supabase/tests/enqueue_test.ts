/** What the triggers on the app's tables make of a statement. */
import { assert, assertEquals } from "@std/assert";
import { calls, drain, insertEvent, stackTest } from "./testing.ts";

stackTest(
  "rows that a trigger of the app's changes once more, by a statement of its own, are enqueued",
  async ({ sql, admin }) => {
    for (const title of ["First", "Second"]) {
      await insertEvent({ sql }, { title });
    }
    await admin.unsafe(`
      create function public.tell_others() returns trigger language plpgsql as $$
      begin
        update public.canonical_events set meeting_point = new.title where id <> new.id;
        return null;
      end $$;
      create trigger a_tells_others after update of title on public.canonical_events
      for each row execute function public.tell_others()`);
    await sql`update luma.sync_outbox set done_version = version`;

    await sql`update public.canonical_events set title = title || '!'`;
    assertEquals((await sql`select error from luma.missed_changes`).length, 0);
    const due = await sql`
      select from luma.sync_outbox where version > done_version`;
    assertEquals(due.length, 2);
  },
);

stackTest(
  "many rows of one statement are enqueued once each, with the priority of what they are",
  async ({ sql }) => {
    for (let n = 0; n < 3; n++) await insertEvent({ sql });
    await insertEvent({ sql }, { luma_event_id: "evt-known" });
    await sql`update luma.sync_outbox set done_version = version`;

    await sql`update public.canonical_events set title = title || '!'`;
    const due = await sql<{ priority: number; times: string }[]>`
      select priority, version - done_version as times from luma.sync_outbox order by priority`;
    assertEquals(due.map(({ priority }) => priority), [2, 2, 2, 3]);
    assert(due.every(({ times }) => times === "1"));
  },
);

stackTest(
  "a price that is stored in another form makes no call",
  async (stack) => {
    const { sql } = stack;
    await insertEvent(stack, { is_ticketed: true, ticket_price: 5 });
    await drain(stack);
    const before = calls(stack).length;

    await sql`update public.canonical_events set ticket_price = 5.00::numeric`;
    await drain(stack);
    assertEquals(calls(stack).length, before);
    const due = await sql`
      select from luma.sync_outbox where version > done_version`;
    assertEquals(due.length, 0);
  },
);
