/** RSVPs through drains that die, drains that run at once, and leases that were lost. */
import { assertEquals, assertLessOrEqual, assertMatch } from "@std/assert";
import { manyCalls } from "./linked_events.ts";
import {
  calls,
  claimGuests,
  drain,
  drainAll,
  drainInCall,
  guestList,
  insertUsers,
  one,
  passTime,
  rsvp,
  stackTest,
  startRun,
  until,
} from "./testing.ts";
import {
  ADD,
  additions,
  each,
  mailed,
  outcomes,
  UPDATE,
  waitingEvents,
  waitingRsvps,
} from "./rsvps_for_tests.ts";

for (const change of ["added", "changed"] as const) {
  stackTest(
    `an RSVP that kills every drain by which it is ${change} ends as the only dead letter`,
    async (stack) => {
      const { sql, simulator } = stack;
      const count = change === "added" ? 30 : 6;
      const { lumaId } = await waitingRsvps(stack, count);
      if (change === "changed") {
        await drain(stack);
        await sql`update public.event_rsvps set status = 'cancelled'`;
        await passTime(stack);
        simulator.clearRequests();
      }
      await sql`update luma.settings set edit_spacing_ms = 300`;
      const path = change === "added" ? ADD : UPDATE;
      // Guests are named by their ids once those are known.
      const known = simulator.event(lumaId)!.guests.find(({ user_email }) =>
        user_email === "u3@example.com"
      );
      const faults = [known?.id, "u3@example.com"].filter((name) => name).map((
        name,
      ) =>
        simulator.faults.add({
          path,
          contains: `"${name}"`,
          hang: true,
          close: true,
        })
      );
      const hits = () => faults.reduce((sum, fault) => sum + fault.hits, 0);
      // Whatever is sent beside it is still under way when it strikes.
      const slow = simulator.faults.add({ path, latencyMs: 50 });
      const deadLetters = () => sql`select title, error from luma.dead_letters`;
      while ((await deadLetters()).length === 0) {
        const before = hits();
        assertLessOrEqual(before, 8);
        let isOver = false;
        const drained = drain(stack).catch(() => {}).finally(() =>
          isOver = true
        );
        await until(
          "a drain dies or ends",
          () => hits() > before || isOver,
          60,
        );
        if (hits() > before) await stack.functions.kill("luma-drain");
        await drained;
        // Leases run out; no other delay ends before its time.
        await sql`update luma.sync_outbox set due_at = now() - interval '1 second' where lease is not null`;
        await sql`update luma.drain_runs set alive_until = now() where ended_at is null`;
        await sql`select luma.expire_leases()`;
      }
      for (const fault of [...faults, slow]) fault.remove();
      if (change === "added") {
        const [once, again, ...after] = additions(stack).map((guests) =>
          guests.length
        );
        assertEquals([once, again], [30, 30]);
        assertEquals(new Set(after), new Set([1]));
      }
      await drainAll(stack);
      const dead = await one(deadLetters());
      assertMatch(dead.title, /RSVP of u3$/);
      assertMatch(dead.error, /5 drains in a row died/);
      const users = await insertUsers(stack, count);
      const others = users.filter((user) => user !== "u3").sort();
      const { u3, ...list } = guestList(stack, lumaId);
      assertEquals(
        list,
        each(others, change === "added" ? "approved" : "declined"),
      );
      assertEquals(u3, change === "added" ? undefined : "approved");
    },
  );
}

stackTest(
  "what was leased when drains died twice goes alone, and one at a time over all events",
  async (stack) => {
    const { sql } = stack;
    // Of one calendar.
    await waitingEvents(stack, 4, 0, 1);
    // The first of them, u2, could go with three others.
    await sql`
      update luma.sync_outbox o set crashes = 2, due_at = now() - interval '1 minute' * right(r.user_id, 1)::int
      from public.event_rsvps r where r.id = o.entity_id and r.user_id in ('u1', 'u2')`;
    /** The batches of a claim that have such a one. */
    const suspects = async (run: string) =>
      (await claimGuests(stack, run)).map(({ guests }) => guests).filter((
        guests,
      ) => guests.some(({ email }) => /^u[12]@/.test(email)));
    const [first, second] = [await startRun(stack), await startRun(stack)];
    const [alone, ...others] = await suspects(first);
    assertEquals(others, []);
    const [guest, ...more] = alone!;
    assertEquals(more, []);
    assertEquals(await suspects(second), []);
    const result = {
      lease: guest!.lease,
      outcome: "done",
      status: "approved",
      luma_guest_id: null,
      calls: [],
    };
    await sql`
      select public.luma_settle_guests(event_id, ${JSON.stringify([result])})
      from public.event_rsvps where id = ${guest!.rsvp_id}`;
    await passTime(stack);
    assertEquals((await suspects(second)).length, 1);
    assertEquals(await suspects(first), []);
    // Its drain died too.
    await passTime(stack);
    assertEquals((await suspects(first)).length, 1);
  },
);

for (const drains of [2, 8]) {
  stackTest(
    `${drains} drains at once add nobody twice and change nobody twice`,
    async (stack) => {
      const { sql, simulator } = stack;
      await manyCalls(stack);
      const events = await waitingEvents(stack, ...Array(10).fill(30));
      const drainAtOnce = () =>
        Promise.all(Array.from({ length: drains }, () => drain(stack)));
      await drainAtOnce();
      const added = additions(stack).flat();
      assertEquals(added.length, 300);
      const users = (await insertUsers(stack, 30)).sort();
      for (const { lumaId } of events) {
        assertEquals(guestList(stack, lumaId), each(users, "approved"));
      }
      await sql`update public.event_rsvps set status = 'waitlist'`;
      await passTime(stack);
      simulator.clearRequests();
      await drainAtOnce();
      for (const { lumaId } of events) {
        assertEquals(guestList(stack, lumaId), each(users, "waitlist"));
      }
      assertEquals(calls(stack), Array(300).fill(UPDATE));
      assertEquals(await outcomes(stack), { done: 600 });
    },
    { simulator: { rateLimitPerMinute: 10_000 } },
  );
}

stackTest("a stale lease settles no guest", async (stack) => {
  const { sql } = stack;
  const { id } = await waitingRsvps(stack, 3);
  const first = await startRun(stack);
  const stale = (await claimGuests(stack, first))[0]!.guests;
  await passTime(stack);
  const held = (await claimGuests(stack, await startRun(stack)))[0]!.guests;
  assertEquals(held.map(({ in_doubt }) => in_doubt), [true, true, true]);
  const state = async () => [
    ...await sql`select * from luma.sync_outbox order by entity_id`,
    ...await sql`select * from luma.guests order by email`,
    ...await sql`select * from luma.attempts order by id`,
  ];
  const before = await state();
  for (const outcome of ["done", "failed", "released"]) {
    const results = JSON.stringify(stale.map(({ lease }) => ({
      lease,
      outcome,
      status: "approved",
      failure: { kind: "refused", message: "no" },
      calls: [],
    })));
    assertEquals(
      (await sql`select from public.luma_settle_guests(${id}, ${results})`)
        .length,
      0,
    );
  }
  assertEquals(await state(), before);
  assertEquals((await sql`select from public.luma_renew(${first})`).length, 0);
});

stackTest(
  "a companion that has changed since the verdict on it is not sent with the others",
  async (stack) => {
    const { sql } = stack;
    await waitingRsvps(stack, 3);
    // As if the app committed between the two statements of a claim.
    await sql.unsafe(`
      alter function luma.lease_companions(luma.sync_outbox, jsonb) rename to lease_companions_itself;
      create function luma.lease_companions(lead luma.sync_outbox, companions jsonb)
      returns setof luma.sync_outbox language plpgsql as $$
      begin
        update luma.sync_outbox o set version = o.version + 1 where o.entity_id = (companions #>> '{0,rsvp_id}')::uuid;
        return query select * from luma.lease_companions_itself(lead, companions);
      end $$`);
    const [batch] = await claimGuests(stack, await startRun(stack));
    assertEquals(batch!.guests.length, 2);
  },
);

stackTest(
  "guests that could not be settled are looked at, not added again",
  async (stack) => {
    const { sql, simulator } = stack;
    const { lumaId } = await waitingRsvps(stack, 12);
    await sql.unsafe(`
      create sequence luma.settled;
      alter function luma.settle_guest(luma.sync_outbox, jsonb) rename to settle_guest_itself;
      create function luma.settle_guest(o luma.sync_outbox, result jsonb) returns void language plpgsql as $$
      begin
        -- In the middle of the first batch. A sequence is not rolled back.
        if nextval('luma.settled') = 7 then raise exception 'out of disk'; end if;
        perform luma.settle_guest_itself(o, result);
      end $$`);
    await drain(stack);
    assertMatch(
      stack.functions.logs("luma-drain"),
      /luma_settle_guests: .*out of disk/,
    );
    const users = (await insertUsers(stack, 12)).sort();
    assertEquals(guestList(stack), each(users, "approved"));
    assertEquals((await sql`select from luma.attempts`).length, 0);
    await drainAll(stack);
    assertEquals(calls(stack), [ADD, "/v1/events/guests/list"]);
    assertEquals(await outcomes(stack), { lease_expired: 12, done: 12 });
    assertEquals(
      mailed(stack, lumaId, "guest-added"),
      each(users, 1),
    );
    assertEquals(simulator.events()[0]!.guests.length, 12);
  },
);

stackTest(
  "while a guest's old row is being sent, the row that was made anew is not called done",
  async (stack) => {
    const { sql } = stack;
    const { id } = await waitingRsvps(stack, 1);
    await drain(stack);
    await sql`delete from public.event_rsvps`;
    await rsvp(stack, id, "u1", "waitlist");
    const { rsvp_id } = await one(
      sql`select id as rsvp_id from public.event_rsvps`,
    );
    const due = (at: string) =>
      sql`update luma.sync_outbox set due_at = now() + ${at}::interval where entity_id = ${rsvp_id}`;
    await due("1 hour");
    const { drained, release } = await drainInCall(stack, UPDATE);
    // Luma is being told "waitlist", and both sides agreed on this before.
    await rsvp(stack, id, "u1", "going");
    await due("0");
    assertEquals(await claimGuests(stack, await startRun(stack)), []);
    assertEquals(
      (await sql`select from luma.sync_outbox where entity_id = ${rsvp_id} and version > done_version`)
        .length,
      1,
    );
    release();
    await drained;
    await drainAll(stack);
    assertEquals(guestList(stack), { u1: "approved" });
  },
);

stackTest(
  "a guest whose last call may have arrived is looked at, even while the app is writing the RSVP of that call",
  async (stack) => {
    const { sql } = stack;
    const { id } = await waitingRsvps(stack, 1);
    // Two users, one address.
    await sql`insert into public.users (id, name, email) values ('twin', 'Twin', 'u1@example.com')`;
    const first = (await claimGuests(stack, await startRun(stack)))[0]!.guests;
    assertEquals(first.length, 1);
    await rsvp(stack, id, "twin", "going");
    await passTime(stack);
    await sql.begin(async (app) => {
      await app`update public.event_rsvps set status = 'approved' where user_id = 'u1'`;
      assertEquals(await claimGuests(stack, await startRun(stack)), []);
    });
    await passTime(stack);
    const [job] = await claimGuests(stack, await startRun(stack));
    assertEquals(job?.guests.map(({ in_doubt }) => in_doubt), [true]);
  },
);
