/** A host's edit whose webhook comes when ours of the same field is on Luma already: luma.conflicts has it. */
import { assertEquals } from "@std/assert";
import type { Delivery } from "../../scripts/luma-simulator/mod.ts";
import {
  assertRest,
  byField,
  conflictOf,
  edit,
  edits,
  merged,
} from "./field_edits.ts";
import {
  bothKinds,
  conflicts,
  deliverer,
  intercepted,
  passDays,
  picked,
  rowWithVersion,
} from "./luma_deliveries.ts";
import { hostEvent, lumaTest, rowOf, settle } from "./luma_side.ts";
import { drain, drainInCall, passTime, type Stack } from "./testing.ts";

const UPDATE = "/v1/events/update";

/** What a host said of the title is kept, and the title is one on both sides. */
async function assertTheirsKept(
  stack: Stack,
  { kind, id, event }: Awaited<ReturnType<typeof bothKinds>>[number],
  known: number,
): Promise<void> {
  const found = (await conflicts(stack)).slice(known);
  assertEquals(
    found.map(({ field, luma_value }) => ({ field, luma_value })),
    [{ field: "name", luma_value: "Theirs" }],
    kind,
  );
  assertEquals(event.name, (await rowWithVersion(stack, id)).title);
  await assertRest(stack, id);
}

/** Sends what the row says now, and answers the webhooks that this causes, kept back. */
async function sent(
  stack: Stack,
  id: string,
  columns: Record<string, unknown>,
) {
  return await intercepted(stack, async () => {
    await edit(stack, id, columns);
    await passTime(stack);
    await drain(stack);
  });
}

/** In which order, and how often, the host's webhook and that of our own update come. */
const ORDERS: Record<
  string,
  (late: Delivery[], echo: Delivery[]) => Delivery[]
> = {
  "before our own": (late, echo) => [...late, ...echo],
  "after our own": (late, echo) => [...echo, ...late],
  "twice, and ours never": (late) => [...late, ...late],
};

for (const [when, inOrder] of Object.entries(ORDERS)) {
  lumaTest(
    `what ours has overwritten is in luma.conflicts when it is told ${when}`,
    async (stack) => {
      const deliver = await deliverer(stack);
      for (const { kind, id, event } of await bothKinds(stack)) {
        const known = (await conflicts(stack)).length;
        const all = edits();
        const late = await intercepted(
          stack,
          () =>
            stack.simulator.host.updateEvent(
              event.id,
              merged(all.map(({ luma }) => luma)),
            ),
        );
        const app = merged(all.map(({ app }) => app));
        const echo = await sent(stack, id, app);
        const theirs = { ...event };
        for (const delivery of inOrder(late, echo)) await deliver(delivery);
        await settle(stack);

        assertEquals(
          picked(await rowWithVersion(stack, id), Object.keys(app)),
          app,
          kind,
        );
        assertEquals({ ...event }, theirs, kind);
        assertEquals(
          byField((await conflicts(stack)).slice(known)),
          byField(all.map((edit) => conflictOf(edit, "ours"))),
          kind,
        );
        await assertRest(stack, id);
      }
    },
  );
}

lumaTest(
  "a late webhook that repeats what either side said before is no conflict",
  async (stack) => {
    const deliver = await deliverer(stack);
    for (const { id, event } of await bothKinds(stack)) {
      const theirs = await intercepted(
        stack,
        () =>
          stack.simulator.host.updateEvent(event.id, {
            name: "Theirs",
            description_md: "* theirs",
          }),
      );
      for (const delivery of theirs) await deliver(delivery);
      await settle(stack);
      const first = await sent(stack, id, {
        title: "Ours 1",
        description: "* ours\n\n\n* 1",
      });
      const second = await sent(stack, id, {
        title: "Ours 2",
        description: "* ours\n\n\n* 2",
      });
      // The same news under other ids: as Luma's other subscriptions send it.
      const again = [...theirs, ...first, ...second, ...first, ...theirs].map(
        (delivery) => ({ ...delivery, id: `whd-${crypto.randomUUID()}` }),
      );
      for (const delivery of again) {
        await deliver(delivery);
        await settle(stack);
      }
      assertEquals(event.name, "Ours 2");
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "what is told before ours is sent, and read only afterwards, is in luma.conflicts",
  async (stack) => {
    const deliver = await deliverer(stack);
    for (const one of await bothKinds(stack)) {
      const { id, event } = one;
      const known = (await conflicts(stack)).length;
      // Told so soon after another edit that it has to be read.
      for (
        const delivery of await intercepted(
          stack,
          () =>
            stack.simulator.host.updateEvent(event.id, {
              meeting_url: "https://a.example.com",
            }),
        )
      ) {
        await deliver(delivery);
      }
      const late = await intercepted(
        stack,
        () => stack.simulator.host.updateEvent(event.id, { name: "Theirs" }),
      );
      for (const delivery of late) await deliver(delivery);
      await edit(stack, id, { title: "Ours" });
      await settle(stack);
      await assertTheirsKept(stack, one, known);
    }
  },
);

lumaTest(
  "what an update that lost its answer has overwritten is in luma.conflicts",
  async (stack) => {
    const { simulator, sql } = stack;
    await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
    const deliver = await deliverer(stack);
    for (const one of await bothKinds(stack)) {
      const { id, event } = one;
      const known = (await conflicts(stack)).length;
      const late = await intercepted(
        stack,
        () => simulator.host.updateEvent(event.id, { name: "Theirs" }),
      );
      simulator.faults.add({
        path: UPDATE,
        when: "after",
        status: 503,
        count: 1,
      });
      const echo = await sent(stack, id, { title: "Ours" });
      for (const delivery of [...late, ...echo]) await deliver(delivery);
      await settle(stack);
      await assertTheirsKept(stack, one, known);
    }
  },
);

for (const when of ["before our own", "after our own"] as const) {
  lumaTest(
    `what an update of a run that died has overwritten is in luma.conflicts, told ${when}`,
    async (stack) => {
      const { functions, simulator, sql } = stack;
      const deliver = await deliverer(stack);
      for (const one of await bothKinds(stack)) {
        const { id, event } = one;
        const known = (await conflicts(stack)).length;
        const late = await intercepted(
          stack,
          () => simulator.host.updateEvent(event.id, { name: "Theirs" }),
        );
        const echo = await intercepted(stack, async () => {
          await edit(stack, id, { title: "Ours" });
          await passTime(stack);
          const { release } = await drainInCall(stack, UPDATE, "after");
          // Nobody takes the job again before both are heard.
          await sql`select luma.pause('blr')`;
          await functions.kill("luma-drain", "SIGKILL");
          release();
        });
        await passTime(stack);
        await drain(stack);
        for (const delivery of ORDERS[when]!(late, echo)) {
          await deliver(delivery);
        }
        await sql`select luma.resume('blr')`;
        await settle(stack);
        await assertTheirsKept(stack, one, known);
      }
    },
  );
}

lumaTest(
  "a host who edits again after ours was sent has the last word, and what the host said before is no conflict",
  async (stack) => {
    const deliver = await deliverer(stack);
    for (const { kind, id, event } of await bothKinds(stack)) {
      const late = await intercepted(
        stack,
        () => stack.simulator.host.updateEvent(event.id, { name: "Theirs 1" }),
      );
      await sent(stack, id, { title: "Ours" });
      const last = await intercepted(
        stack,
        () => stack.simulator.host.updateEvent(event.id, { name: "Theirs 2" }),
      );
      for (const delivery of [...last, ...late]) await deliver(delivery);
      await settle(stack);
      assertEquals((await rowWithVersion(stack, id)).title, "Theirs 2", kind);
      assertEquals(event.name, "Theirs 2", kind);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "of two titles that dead runs have sent the second is ours too, though a late webhook tells the first",
  async (stack) => {
    const { sql, simulator } = stack;
    const { id: lumaId } = hostEvent(stack);
    await settle(stack);
    const id = String((await rowOf(stack, lumaId)).id);
    const say = (name: string) =>
      intercepted(stack, () => simulator.host.updateEvent(lumaId, { name }));
    const late = await say("First");
    await say("Second");
    // As luma.doubt() leaves it when a lease runs out in the call, twice.
    await sql`
      update luma.event_links
      set row_base = row_base - 'title', maybe_sent = '[{"title": "Second"}, {"title": "First"}]'
      where event_id = ${id}`;
    await sql`update public.canonical_events set title = 'Third' where id = ${id}`;
    const deliver = await deliverer(stack);
    for (const delivery of late) await deliver(delivery);
    await sql`select luma.request_look(${id}, tags => false)`;
    await settle(stack);
    assertEquals((await rowOf(stack, lumaId)).title, "Third");
    assertEquals(simulator.event(lumaId)?.name, "Third");
    assertEquals([...await sql`select * from luma.conflicts`], []);
  },
);

lumaTest(
  "an edit that stays against a host's, and is then taken back, is taken back on Luma too",
  async (stack) => {
    const deliver = await deliverer(stack);
    const { id, event } = (await bothKinds(stack)).find(({ kind }) =>
      kind === "ours"
    )!;
    const { title } = await rowWithVersion(stack, id);
    await passDays(stack);
    const theirs = await intercepted(
      stack,
      () => stack.simulator.host.updateEvent(event.id, { name: "Theirs" }),
    );
    await edit(stack, id, { title: "Ours" });
    for (const delivery of theirs) await deliver(delivery);
    assertEquals(
      (await conflicts(stack)).map(({ luma_value }) => luma_value),
      ["Theirs"],
    );
    await edit(stack, id, { title });
    await settle(stack);
    assertEquals((await rowWithVersion(stack, id)).title, title);
    assertEquals(event.name, title);
    await assertRest(stack, id);
  },
);
