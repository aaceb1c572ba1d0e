/** What is on Luma though the database does not know: pushed by another integration, or since the backup. */
import { assertEquals } from "@std/assert";
import { linked } from "./adoption_for_tests.ts";
import { hostEvent, lumaTest, settle } from "./luma_side.ts";
import {
  drain,
  guestList,
  insertEvent,
  insertUsers,
  one,
  pull,
  rsvp,
} from "./testing.ts";

lumaTest(
  "what another integration has pushed is linked, not pushed once more; its guests are neither added nor mailed again",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`select luma.set_mode('off')`;
    const [user] = await insertUsers(stack, 1);
    // Nobody listened then.
    const unheard = simulator.faults.add({ on: "webhook", drop: true });
    const pushed = hostEvent(stack, { name: "Pushed by the app" });
    simulator.guest.register(pushed.id, {
      name: "User 1",
      email: "u1@example.com",
    });
    const known = await insertEvent(stack, {
      title: "Pushed by the app",
      luma_event_id: pushed.id,
      external_rsvp_url: "https://example.com/rsvp",
    });
    await rsvp(stack, known, user!, "going");
    const gone = await insertEvent(stack, {
      title: "Gone",
      luma_event_id: "evt-Gone",
    });
    const fresh = await insertEvent(stack, { title: "Never pushed" });
    await simulator.webhooksIdle();
    unheard.remove();
    await sql`select luma.set_mode('live')`;
    // Also when it is sent before anything was read.
    await drain(stack);
    assertEquals(Object.keys(await linked(stack)), [fresh]);
    const { note } = await one(
      sql`select note from luma.event_status where event_id = ${known}`,
    );
    assertEquals(
      note,
      `on Luma already as ${pushed.id}; if Luma has no such event any more, set luma_event_id to null`,
    );

    await pull(stack);
    await settle(stack);
    assertEquals((await linked(stack))[known], pushed.id);
    assertEquals(simulator.events().length, 2);
    assertEquals(guestList(stack, pushed.id), { u1: "approved" });
    assertEquals(simulator.emails, []);
    // A host's own address stays.
    const row = await one(
      sql`select external_rsvp_url from public.canonical_events where id = ${known}`,
    );
    assertEquals(row.external_rsvp_url, "https://example.com/rsvp");

    // From now on its edits are ours.
    await sql`update public.canonical_events set title = 'Edited' where id = ${known}`;
    await settle(stack);
    assertEquals(simulator.event(pushed.id)!.name, "Edited");

    await sql`update public.canonical_events set luma_event_id = null where id = ${gone}`;
    await sql`select luma.sweep()`;
    await settle(stack);
    assertEquals(simulator.events().length, 3);
  },
);

for (const first of ["the pull", "the approval"]) {
  lumaTest(
    `after a backup from before its approval was restored, an event is linked again, and not doubled: ${first} comes first`,
    async (stack) => {
      const { sql, simulator } = stack;
      const id = await insertEvent(stack);
      await settle(stack);
      const [event] = simulator.events();
      await sql`select luma.set_mode('off')`;
      await sql`
        truncate luma.event_links, luma.sync_outbox, luma.guests, luma.guest_links, luma.webhook_inbox, luma.reads, luma.removed_events`;
      await sql`
        update public.canonical_events
        set submission_status = 'pending', luma_event_id = null, external_rsvp_url = null, luma_sync_status = null where id = ${id}`;
      await sql`truncate luma.sync_outbox`;
      await sql`select luma.set_mode('live')`;
      if (first === "the pull") await pull(stack);
      await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
      await settle(stack);
      await sql`update public.canonical_events set title = 'Since' where id = ${id}`;
      await settle(stack);
      await pull(stack);
      await settle(stack);
      assertEquals(await linked(stack), { [id]: event!.id });
      assertEquals(simulator.events().map(({ name }) => name), ["Since"]);
      const { count } = await one(
        sql`select count(*)::int as count from public.canonical_events`,
      );
      assertEquals(count, 1);
    },
  );
}
