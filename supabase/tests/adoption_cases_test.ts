/** Adoption where it is not plain: two rows for one event, somebody else's page, ended and locked rows, and twice at once. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { duplicates, feedRow, linked, rowCount } from "./adoption_for_tests.ts";
import {
  deliverer,
  intercepted,
  rowWithVersion,
  type Sent,
} from "./luma_deliveries.ts";
import { changingCalls } from "./luma_guests.ts";
import { hostEvent, lumaTest, rowOf, settle } from "./luma_side.ts";
import {
  drainAll,
  insertEvent,
  one,
  pull,
  stackTest,
  until,
} from "./testing.ts";

stackTest(
  "of two rows for one Luma event one is linked and the other is reported, never merged",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack);
    const feed = await insertEvent(stack, feedRow(event));
    const own = await insertEvent(stack, {
      title: "Swim",
      external_rsvp_url: `https://lu.ma/${event.slug}`,
    });
    const before = await rowWithVersion(stack, feed);
    await pull(stack);
    await drainAll(stack);
    assertEquals(await linked(stack), { [own]: event.id });
    assertEquals(await duplicates(stack), [[feed, own]]);
    assertEquals(
      (await one(sql`select duplicates::int from luma.health`)).duplicates,
      1,
    );
    // A later one of the feed too.
    const later = await insertEvent(stack, feedRow(event, { title: "A" }));
    await pull(stack);
    await drainAll(stack);
    assertEquals(await duplicates(stack), [[later, own], [feed, own]]);
    assertEquals(await rowWithVersion(stack, feed), before);
    assertEquals(await rowCount(stack), 3);
    assertEquals(simulator.events().length, 1);
    // An admin deletes one of the two.
    await sql`delete from public.canonical_events where id = any (${[
      feed,
      later,
    ]}::uuid[])`;
    assertEquals(await duplicates(stack), []);
    assertEquals(simulator.event(event.id)!.visibility, "public");
  },
);

stackTest(
  "a description that names somebody else's page links with nothing, and holds nothing up for longer than one pull",
  async (stack) => {
    const { simulator } = stack;
    const theirs = hostEvent(stack, { name: "Our friends' party" });
    const ids: string[] = [];
    for (const slug of [theirs.slug, "somebody-elses"]) {
      ids.push(
        await insertEvent(stack, {
          title: "Rooftop Jam",
          description: `After https://lu.ma/${slug} we go on.`,
        }),
      );
    }
    await drainAll(stack);
    assertEquals(simulator.events().length, 1, "it may be that event");
    await pull(stack);
    await drainAll(stack);
    const links = await linked(stack);
    assertEquals(simulator.events().length, 3);
    assertEquals(
      ids.map((id) => simulator.event(links[id]!)?.name),
      ["Rooftop Jam", "Rooftop Jam"],
    );
    const row = await rowOf(stack, theirs.id);
    assert(!ids.includes(String(row.id)));
    assertEquals(row.title, "Our friends' party");
    assertEquals(await duplicates(stack), []);
  },
);

stackTest(
  "a row that an admin has ended is not adopted, and one that is not approved changes nothing on Luma until it is",
  async (stack) => {
    const { sql, simulator } = stack;
    for (const submission_status of ["cancelled", "rejected", "draft"]) {
      const event = hostEvent(stack);
      const id = await insertEvent(stack, {
        submission_status,
        external_rsvp_url: `https://lu.ma/${event.slug}`,
      });
      const before = await rowWithVersion(stack, id);
      await pull(stack);
      await drainAll(stack);
      const row = await rowOf(stack, event.id);
      assert(row.id !== id, submission_status);
      assertEquals(await rowWithVersion(stack, id), before);
    }
    simulator.clearRequests();
    const event = hostEvent(stack, { name: "Luma's name" });
    const id = await insertEvent(stack, {
      submission_status: "pending",
      external_rsvp_url: `https://lu.ma/${event.slug}`,
    });
    await pull(stack);
    await drainAll(stack);
    const row = await rowOf(stack, event.id);
    assertEquals([row.id, row.submission_status], [id, "pending"]);
    assertEquals(changingCalls(stack), []);
    assertEquals([event.visibility, event.name], ["public", "Luma's name"]);
    await sql`update public.canonical_events set submission_status = 'approved' where id = ${id}`;
    await drainAll(stack);
    assertEquals([event.visibility, event.name], ["public", "Rooftop Jam"]);
    assertEquals(simulator.events().length, 4);
  },
);

stackTest(
  "a row that the app is writing is adopted when it is free, or by the next pull",
  async (stack) => {
    const { sql, simulator } = stack;
    for (const isShort of [true, false]) {
      const event = hostEvent(stack);
      const id = await insertEvent(stack, feedRow(event));
      let pulled!: Promise<unknown>;
      await sql.begin(async (app) => {
        await app`update public.canonical_events set title = 'The app''s' where id = ${id}`;
        pulled = pull(stack);
        if (isShort) {
          await until("the pull has found it locked", async () => {
            const [run] =
              await sql`select from luma.pull_runs where tries > 2 and ended_at is null`;
            return run !== undefined;
          });
        } else {
          await pulled;
          assertEquals((await linked(stack))[id], undefined);
        }
      });
      await pulled;
      const run = await one(
        sql`select state, problems from luma.pulls where calendar = 'blr' and luma_event_id is null order by requested_at desc limit 1`,
      );
      assertEquals(run.state, isShort ? "done" : "incomplete");
      if (!isShort) {
        assertMatch(run.problems[0], /is being written by the app/);
        await pull(stack);
      }
      assertEquals((await rowOf(stack, event.id)).id, id);
    }
    assertEquals(await rowCount(stack), simulator.events().length);
    assertEquals(await duplicates(stack), []);
  },
);

lumaTest(
  "adopting the same event again, by pull and by webhook at once, changes nothing",
  async (stack) => {
    const { simulator } = stack;
    const made: [string, SimEvent, Sent[]][] = [];
    for (let n = 0; n < 6; n++) {
      let event!: SimEvent;
      const sent = await intercepted(stack, () => event = hostEvent(stack));
      const columns = n % 2
        ? feedRow(event)
        : { external_rsvp_url: `https://lu.ma/${event.slug}` };
      made.push([await insertEvent(stack, columns), event, sent]);
    }
    const deliver = await deliverer(stack);
    await Promise.all([
      pull(stack),
      ...made.flatMap(([, , sent]) => sent.map(deliver)),
    ]);
    await pull(stack);
    await settle(stack);
    const expected = Object.fromEntries(made.map(([id, { id: lumaId }]) => [
      id,
      lumaId,
    ]));
    assertEquals(await linked(stack), expected);
    const rows = await Promise.all(
      made.map(([id]) => rowWithVersion(stack, id)),
    );
    simulator.clearRequests();
    for (const [, , sent] of made) {
      for (const { id, body } of sent) {
        await deliver({ id: `${id}-again`, body });
      }
    }
    await pull(stack);
    await settle(stack);
    assertEquals(await linked(stack), expected);
    assertEquals(
      await Promise.all(made.map(([id]) => rowWithVersion(stack, id))),
      rows,
    );
    assertEquals(changingCalls(stack), []);
    assertEquals(await rowCount(stack), 6);
    assertEquals(await duplicates(stack), []);
  },
);
