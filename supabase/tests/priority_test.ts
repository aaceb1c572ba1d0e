/** What goes first, and that nothing waits for ever. */
import { assert, assertEquals } from "@std/assert";
import {
  claim,
  drain,
  insertEvent,
  insertUsers,
  passTime,
  type Stack,
  stackTest,
  startRun,
} from "./testing.ts";
import { linkedEvents } from "./linked_events.ts";

/** Claims one job at a time, and answers what each was. Nothing is settled, so every claim finds others. */
async function claims(stack: Stack, count: number): Promise<string[]> {
  const run = await startRun(stack);
  const claimed = [];
  for (let n = 0; n < count; n++) {
    const { jobs: [job] } = await claim(stack, run, 1);
    if (!job) break;
    claimed.push(job.entity === "event" ? job.state?.title ?? "gone" : "RSVPs");
  }
  return claimed;
}

async function share({ sql }: Stack, oldest: number): Promise<void> {
  await sql`update luma.settings set oldest_share = ${oldest}, calls_per_minute = 10000, calls_per_minute_total = 10000`;
}

stackTest(
  "cancellations and RSVPs go first, then creates, then edits, then a backfill",
  async (stack) => {
    const { sql } = stack;
    await share(stack, 0);
    await insertUsers(stack, 1);
    const titles = ["Cancelled", "Edited", "Visited", "Backfilled"];
    const [cancelled, edited, visited, backfilled] = await Promise.all(
      titles.map((title) => insertEvent(stack, { title })),
    );
    await drain(stack);
    await passTime(stack);
    await sql`update public.canonical_events set title = 'Backfilled too' where id = ${backfilled!}`;
    await sql`update luma.sync_outbox set priority = 4 where entity_id = ${backfilled!}`;
    await sql`update public.canonical_events set title = 'Edited too' where id = ${edited!}`;
    await insertEvent(stack, { title: "New" });
    await sql`insert into public.event_rsvps (event_id, user_id, status) values (${visited!}, 'u1', 'going')`;
    await sql`update public.canonical_events set submission_status = 'cancelled' where id = ${cancelled!}`;
    await passTime(stack);
    const order = await claims(stack, 10);
    assertEquals(order.slice(0, 2).sort(), ["Cancelled", "RSVPs"]);
    assertEquals(order.slice(2), ["New", "Edited too", "Backfilled too"]);
  },
);

/** A backfill that has waited, and live RSVPs that came since. */
async function backfillAndTraffic(stack: Stack): Promise<void> {
  const { sql } = stack;
  await insertUsers(stack, 1);
  const events = await linkedEvents(stack, 100);
  // On one calendar: between calendars chance decides.
  await sql`update luma.event_links set calendar = 'blr'`;
  for (let n = 0; n < 100; n++) await insertEvent(stack, { title: "Old" });
  await sql`
    update luma.sync_outbox set priority = 4, due_at = now() - interval '1 hour'`;
  await sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select id, 'u1', 'going' from unnest(${[...events.keys()]}::uuid[]) id`;
}

stackTest(
  "a backfill waits for live traffic, but gets its share while that goes on",
  async (stack) => {
    await backfillAndTraffic(stack);
    await share(stack, 0);
    const strict = await claims(stack, 30);
    assertEquals(new Set(strict), new Set(["RSVPs"]));
    await share(stack, 0.3);
    const fair = await claims(stack, 60);
    const old = fair.filter((title) => title === "Old").length;
    // Three in ten; less than 5 or more than 35 of 60 is less likely than one in a million.
    assert(old >= 5 && old <= 35, `${old} of 60`);
    await share(stack, 1);
    assertEquals(new Set(await claims(stack, 10)), new Set(["Old"]));
  },
);

stackTest(
  "a live RSVP is sent before the thousands of a backfill",
  async (stack) => {
    const { sql, simulator } = stack;
    await share(stack, 0);
    const events = await linkedEvents(stack, 2);
    const [first, second] = [...events.keys()];
    await insertUsers(stack, 2_000);
    await sql`
      insert into public.event_rsvps (event_id, user_id, status)
      select ${first!}, id, 'going' from public.users where id <> 'u1'`;
    await sql`update luma.sync_outbox set priority = 4`;
    await sql`insert into public.event_rsvps (event_id, user_id, status) values (${second!}, 'u1', 'going')`;
    await drain(stack);
    // Calls of one claim are made at once, and arrive in any order: what counts is which job was taken first.
    const [taken] = await sql`
      select r.user_id from luma.attempts a join public.event_rsvps r on r.id = a.entity_id order by a.leased_at limit 1`;
    assertEquals(taken!.user_id, "u1");
    const called = simulator.requests.slice(0, 2).map(({ body }) =>
      (body as { event_id: string }).event_id
    );
    assert(called.includes(events.get(second!)!), called.join());
    assertEquals(simulator.event(events.get(first!)!)!.guests.length, 1_999);
    // Nobody of the backfill is mailed.
    assertEquals(simulator.emails.map(({ to }) => to), ["u1@example.com"]);
  },
);
