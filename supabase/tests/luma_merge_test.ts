/** Edits on both sides before either has heard of the other. Nothing drains by itself here, so "at once" is real. */
import { assertEquals } from "@std/assert";
import type { SimEvent } from "../../scripts/luma-simulator/mod.ts";
import {
  assertRest,
  byField,
  conflictOf,
  edit,
  edits,
  inDays,
  manual,
  merged,
  type Patch,
} from "./field_edits.ts";
import {
  bothKinds,
  changedColumns,
  conflicts,
  passDays,
  picked,
  rowWithVersion,
  uploadedCover,
} from "./luma_deliveries.ts";
import { lumaTest, settle } from "./luma_side.ts";
import {
  calls,
  drain,
  drainInCall,
  type EventRow,
  passTime,
  type Stack,
} from "./testing.ts";

const UPDATE = "/v1/events/update";

/** What a merge may change. */
const COLUMNS = [
  ...["title", "description", "starts_at", "ends_at", "tz", "lat", "lng"],
  ...["location_raw", "location_name", "location_type", "meeting_point"],
  ...["meeting_url", "cover_image_url", "visibility", "culture"],
  ...["submission_status", "max_capacity"],
];

/** Both edit; then all that follows, down to rest. */
async function atOnce(
  stack: Stack,
  { id, event }: { id: string; event: SimEvent },
  app: EventRow,
  luma: Patch,
): Promise<void> {
  stack.simulator.clearRequests();
  await edit(stack, id, app);
  stack.simulator.host.updateEvent(event.id, luma);
  await settle(stack);
}

for (const isRead of [false, true]) {
  const how = isRead ? "when webhooks follow each other" : "from one webhook";
  lumaTest(
    `of fields that were edited on both sides ours keeps the app's and Luma's keeps Luma's, ${how}`,
    async (stack) => {
      for (const one of await bothKinds(stack)) {
        const { kind, id, event } = one;
        const known = (await conflicts(stack)).length;
        if (!isRead) await passDays(stack);
        const all = edits();
        await atOnce(
          stack,
          one,
          merged(all.map(({ app }) => app)),
          merged(all.map(({ luma }) => luma)),
        );
        const row = await rowWithVersion(stack, id);
        const isOurs = kind === "ours";
        const columns = merged(
          all.map((edit) => isOurs ? edit.app : edit.columns),
        );
        assertEquals(picked(row, Object.keys(columns)), columns, kind);
        if (isOurs) {
          const told = merged(all.map((edit) => edit.told));
          assertEquals(
            picked({ ...event }, Object.keys(told)),
            { ...told },
            kind,
          );
        } else {
          assertEquals(event.name, "Theirs");
          assertEquals(event.visibility, "private");
        }
        assertEquals(
          byField((await conflicts(stack)).slice(known)),
          byField(all.map((edit) => conflictOf(edit, kind))),
          kind,
        );
        assertEquals(calls(stack), [
          ...(isRead ? ["/v1/events/get"] : []),
          ...(isOurs ? [UPDATE] : []),
        ], kind);
        await assertRest(stack, id);
      }
    },
  );

  lumaTest(
    `edits of different fields both survive, ${how}`,
    async (stack) => {
      for (const one of await bothKinds(stack)) {
        const { kind, id, event } = one;
        const all = edits();
        // Luma sees to it that the end comes after the start.
        const odd = all.filter((_, n) => n % 2 === 1 || n === 2);
        const even = all.filter((edit) => !odd.includes(edit));
        for (const [here, there] of [[odd, even], [even, odd]] as const) {
          if (!isRead) await passDays(stack);
          await atOnce(
            stack,
            one,
            merged(here.map(({ app }) => app)),
            merged(there.map(({ luma }) => luma)),
          );
          const row = await rowWithVersion(stack, id);
          const columns = merged([
            ...here.map(({ app }) => app),
            ...there.map(({ columns }) => columns),
          ]);
          assertEquals(picked(row, Object.keys(columns)), columns, kind);
          const told = merged(here.map((edit) => edit.told));
          assertEquals(picked({ ...event }, Object.keys(told)), {
            ...told,
          }, kind);
          assertEquals(
            calls(stack),
            [...(isRead ? ["/v1/events/get"] : []), UPDATE],
            kind,
          );
          await assertRest(stack, id);
        }
      }
      assertEquals(await conflicts(stack), []);
    },
  );
}

lumaTest(
  "the title edited there while the description is edited here: both survive",
  async (stack) => {
    for (const one of await bothKinds(stack)) {
      await atOnce(stack, one, { description: "Ours" }, { name: "Theirs" });
      const { id, event, kind } = one;
      assertEquals(
        picked(await rowWithVersion(stack, id), ["title", "description"]),
        { title: "Theirs", description: "Ours" },
        kind,
      );
      assertEquals([event.name, event.description_md], ["Theirs", "Ours"]);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest("covers that were changed on both sides", async (stack) => {
  for (const one of await bothKinds(stack)) {
    const { kind, id, event } = one;
    const known = (await conflicts(stack)).length;
    const cover = await uploadedCover(stack);
    const mine = "/covers/mine.png";
    await atOnce(
      stack,
      one,
      { cover_image_url: mine },
      { cover_url: cover },
    );
    const isOurs = kind === "ours";
    const row = await rowWithVersion(stack, id);
    assertEquals(row.cover_image_url, isOurs ? mine : cover);
    assertEquals(event.cover_url === cover, !isOurs);
    assertEquals((await conflicts(stack)).slice(known), [{
      field: "cover_url",
      app_value: { cover_image_url: mine },
      luma_value: cover,
      winner: isOurs ? "app" : "luma",
    }]);
    await assertRest(stack, id);
  }
});

lumaTest(
  "the same edit on both sides, in Luma's form or the app's, is no conflict and needs no call",
  async (stack) => {
    const start = inDays(8);
    const end = inDays(9);
    for (const one of await bothKinds(stack)) {
      const { kind, id } = one;
      await passDays(stack);
      const before = await rowWithVersion(stack, id);
      const app = {
        title: "The same",
        description: "* a\n\n\n\n* b",
        starts_at: start,
        ends_at: end,
        tz: "Europe/Lisbon",
        lat: 1.5,
        lng: 2.5,
        meeting_url: "https://meet.example.com/same",
        visibility: "members-only",
      };
      await atOnce(stack, one, app, {
        name: "The same",
        description_md: "* a\n\n* b",
        start_at: start.toISOString(),
        end_at: end.toISOString(),
        timezone: "Europe/Lisbon",
        coordinate: { latitude: 1.5, longitude: 2.5 },
        meeting_url: "https://meet.example.com/same",
        visibility: "members-only",
      });
      const changed = changedColumns(before, await rowWithVersion(stack, id));
      assertEquals(picked(changed, Object.keys(app)), app, kind);
      assertEquals(calls(stack), [], kind);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "the same address on both sides, which the app keeps in parts, is no conflict",
  async (stack) => {
    for (const one of await bothKinds(stack)) {
      const { kind, id } = one;
      await passDays(stack);
      const app = {
        location_name: "Pier",
        location_raw: "1 Sea Road",
        meeting_point: "gate",
      };
      await atOnce(
        stack,
        one,
        app,
        manual("Pier, 1 Sea Road (Meeting point: gate)"),
      );
      const row = await rowWithVersion(stack, id);
      assertEquals(picked(row, Object.keys(app)), app, kind);
      assertEquals(calls(stack), [], kind);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

/** Edits whose echo looks least like the row. */
const LOSABLE: [what: string, columns: EventRow, path?: string][] = [
  ["a title", { title: " Lost  title" }],
  ["a description", { description: "* lost\n\n\n\n__twice__" }],
  ["an address", { location_name: "Pier", location_raw: "1 Sea Road" }],
  ["a meeting point", { meeting_point: "gate" }],
  ["a place", { lat: 1.123456789, lng: 2 }],
  ["a cover", { cover_image_url: "/covers/lost.png" }],
  ["an open end", { ends_at: null }],
  ["a time zone", { tz: "nowhere" }],
  ["a culture", { culture: "food" }, "/v1/calendars/event-tags/apply"],
  ["a cancellation", { submission_status: "cancelled" }],
];

/** A drain whose call takes effect, and whose answer is lost; it is tried again only when a test lets time pass. */
async function loseAnswer(stack: Stack, path = UPDATE): Promise<void> {
  const { sql, simulator } = stack;
  await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
  const held = simulator.faults.add({ on: "webhook", hold: true });
  const lost = { path, when: "after", status: 503, count: 1 } as const;
  const fault = simulator.faults.add(lost);
  await passTime(stack);
  await drain(stack);
  await fault.waitForHit();
  held.remove();
  await simulator.webhooksIdle();
}

/** A drain whose function dies in a call that takes effect. */
async function loseFunction(stack: Stack, path = UPDATE): Promise<void> {
  await passTime(stack);
  const { drained, release } = await drainInCall(stack, path, "after");
  await stack.functions.kill("luma-drain");
  release();
  await drained.catch(() => {});
  await stack.simulator.webhooksIdle();
}

for (
  const [what, lose] of [["answer", loseAnswer], [
    "function",
    loseFunction,
  ]] as const
) {
  lumaTest(
    `the echo of an update that lost its ${what} changes nothing and is no conflict`,
    async (stack) => {
      const wrong: Record<string, unknown> = {};
      for (const [what, columns, path] of LOSABLE) {
        for (const { kind, id } of await bothKinds(stack)) {
          const known = (await conflicts(stack)).length;
          await edit(stack, id, columns);
          const before = await rowWithVersion(stack, id);
          await lose(stack, path);
          await settle(stack);
          const after = await rowWithVersion(stack, id);
          const found = {
            changed: changedColumns(
              picked(before, COLUMNS),
              picked(after, COLUMNS),
            ),
            conflicts: (await conflicts(stack)).slice(known),
          };
          const parts = Object.values(found);
          if (parts.some((part) => Object.keys(part).length > 0)) {
            wrong[`${what}, ${kind}`] = found;
          }
          await assertRest(stack, id);
        }
      }
      assertEquals(wrong, {});
    },
  );

  lumaTest(
    `an edit in the app after an update of the same field that lost its ${what} survives the echo`,
    async (stack) => {
      for (const { kind, id, event } of await bothKinds(stack)) {
        await edit(stack, id, { title: "Ours 1" });
        await lose(stack);
        await edit(stack, id, { title: "Ours 2" });
        await settle(stack);
        assertEquals((await rowWithVersion(stack, id)).title, "Ours 2", kind);
        assertEquals(event.name, "Ours 2", kind);
        await assertRest(stack, id);
      }
      assertEquals(await conflicts(stack), []);
    },
  );
}

lumaTest(
  "an event whose reading is cut short keeps what a host has changed",
  async (stack) => {
    for (const { kind, id, event } of await bothKinds(stack)) {
      // The second is told so soon after the first that it has to be read.
      stack.simulator.host.updateEvent(event.id, { name: "Theirs 1" });
      await settle(stack);
      const patch = { name: "Theirs 2", visibility: "members-only" } as const;
      stack.simulator.host.updateEvent(event.id, patch);
      await stack.simulator.webhooksIdle();
      await loseFunction(stack, "/v1/events/get");
      await settle(stack);
      assertEquals(
        picked(await rowWithVersion(stack, id), ["title", "visibility"]),
        { title: "Theirs 2", visibility: "members-only" },
        kind,
      );
      assertEquals(event.visibility, "members-only", kind);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

for (const isHeld of [false, true]) {
  const how = isHeld ? "told after the next attempt" : "told before";
  lumaTest(
    `an update of the title that fails leaves alone the visibility that a host has changed, ${how}`,
    async (stack) => {
      const { simulator, sql } = stack;
      await sql`update luma.settings set retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
      for (const { kind, id, event } of await bothKinds(stack)) {
        const held = simulator.faults.add({ on: "webhook", hold: true });
        await edit(stack, id, { title: "Ours" });
        simulator.faults.add({ path: UPDATE, status: 503, count: 1 });
        await passTime(stack);
        await drain(stack);
        simulator.host.updateEvent(event.id, { visibility: "members-only" });
        if (isHeld) {
          await passTime(stack);
          await drain(stack);
        }
        held.remove();
        await settle(stack);
        assertEquals(
          picked(await rowWithVersion(stack, id), ["title", "visibility"]),
          { title: "Ours", visibility: "members-only" },
          kind,
        );
        assertEquals(
          [event.name, event.visibility],
          ["Ours", "members-only"],
          kind,
        );
        await assertRest(stack, id);
      }
      assertEquals(await conflicts(stack), []);
    },
  );
}

for (
  const [mine, app, luma, told] of [
    ["start", { starts_at: inDays(6) }, { end_at: inDays(12).toISOString() }, {
      start_at: inDays(6).toISOString(),
      end_at: inDays(12).toISOString(),
    }],
    ["address", { location_raw: "1 Sea Road" }, {
      coordinate: { latitude: 3.5, longitude: 4.5 },
    }, { coordinate: { latitude: 3.5, longitude: 4.5 } }],
    ["culture", { culture: "food" }, { name: "Theirs" }, { name: "Theirs" }],
  ] as [string, EventRow, Patch, Partial<SimEvent>][]
) {
  lumaTest(
    `a new ${mine} from the app leaves alone what a host has changed but nobody has told yet`,
    async (stack) => {
      for (const { kind, id, event } of await bothKinds(stack)) {
        const held = stack.simulator.faults.add({ on: "webhook", hold: true });
        stack.simulator.host.updateEvent(event.id, luma);
        await edit(stack, id, app);
        await passTime(stack);
        await drain(stack);
        held.remove();
        await settle(stack);
        assertEquals(picked({ ...event }, Object.keys(told)), told, kind);
        const row = await rowWithVersion(stack, id);
        assertEquals(picked(row, Object.keys(app)), app, kind);
        if (told.end_at) assertEquals(row.ends_at, new Date(told.end_at));
        if (told.name) assertEquals(row.title, told.name);
        await assertRest(stack, id);
      }
      assertEquals(await conflicts(stack), []);
    },
  );
}

lumaTest(
  "an update whose answer was lost, and a host's edit of another field after it: both survive",
  async (stack) => {
    for (const { kind, id, event } of await bothKinds(stack)) {
      await edit(stack, id, { title: "Ours" });
      await loseAnswer(stack);
      const theirs = { description_md: "Theirs" };
      stack.simulator.host.updateEvent(event.id, theirs);
      await settle(stack);
      assertEquals(
        picked(await rowWithVersion(stack, id), ["title", "description"]),
        { title: "Ours", description: "Theirs" },
        kind,
      );
      assertEquals([event.name, event.description_md], ["Ours", "Theirs"]);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "a host's edit of what an update had changed, whose answer was lost but whose echo came, is a later one and no conflict",
  async (stack) => {
    for (const { kind, id, event } of await bothKinds(stack)) {
      await passDays(stack);
      await edit(stack, id, { title: "Ours" });
      await loseAnswer(stack);
      stack.simulator.host.updateEvent(event.id, { name: "Theirs" });
      await settle(stack);
      assertEquals((await rowWithVersion(stack, id)).title, "Theirs", kind);
      assertEquals(event.name, "Theirs", kind);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

/** A first edit of the app is on its way; another one and a host's come meanwhile. */
async function duringUpdate(
  stack: Stack,
  { id, event }: { id: string; event: SimEvent },
  when: "before" | "after",
  app: EventRow,
  luma: Patch,
): Promise<void> {
  await edit(stack, id, { title: "Ours 1" });
  await passTime(stack);
  const { drained, release } = await drainInCall(stack, UPDATE, when);
  await edit(stack, id, app);
  stack.simulator.host.updateEvent(event.id, luma);
  await stack.simulator.webhooksIdle();
  release();
  await drained;
  await settle(stack);
}

for (const when of ["before", "after"] as const) {
  const effect = when === "before" ? "has not reached" : "has reached";
  lumaTest(
    `edits of other fields on both sides, while an update is under way that ${effect} Luma: all survive`,
    async (stack) => {
      for (const one of await bothKinds(stack)) {
        const { kind, id, event } = one;
        await duringUpdate(stack, one, when, { max_capacity: 9 }, {
          description_md: "Theirs",
        });
        assertEquals(
          picked(await rowWithVersion(stack, id), [
            "title",
            "description",
            "max_capacity",
          ]),
          { title: "Ours 1", description: "Theirs", max_capacity: 9 },
          kind,
        );
        assertEquals(
          [event.name, event.description_md, event.max_capacity],
          ["Ours 1", "Theirs", 9],
          kind,
        );
        await assertRest(stack, id);
      }
      assertEquals(await conflicts(stack), []);
    },
  );
}

lumaTest(
  "edits of the same field on both sides, while an update of it is under way that has reached Luma, are a conflict",
  async (stack) => {
    for (const one of await bothKinds(stack)) {
      const { kind, id, event } = one;
      const known = (await conflicts(stack)).length;
      await duringUpdate(stack, one, "after", { title: "Ours 2" }, {
        name: "Theirs",
      });
      const { title } = await rowWithVersion(stack, id);
      assertEquals(title, kind === "ours" ? "Ours 2" : "Theirs");
      assertEquals(event.name, title);
      assertEquals((await conflicts(stack)).slice(known), [{
        field: "name",
        app_value: { title: "Ours 2" },
        luma_value: "Theirs",
        winner: kind === "ours" ? "app" : "luma",
      }]);
      await assertRest(stack, id);
    }
  },
);

lumaTest(
  "a host's edit that an update under way then overwrites leaves both sides alike",
  async (stack) => {
    for (const one of await bothKinds(stack)) {
      const { kind, id, event } = one;
      await duringUpdate(stack, one, "before", { title: "Ours 2" }, {
        name: "Theirs",
      });
      assertEquals((await rowWithVersion(stack, id)).title, "Ours 2", kind);
      assertEquals(event.name, "Ours 2", kind);
      await assertRest(stack, id);
    }
  },
);

lumaTest(
  "an event that the app cancels while a host edits it is private, with the host's edit",
  async (stack) => {
    for (const one of await bothKinds(stack)) {
      const { kind, id, event } = one;
      await atOnce(stack, one, { submission_status: "cancelled" }, {
        name: "Theirs",
      });
      assertEquals(
        picked(await rowWithVersion(stack, id), ["title", "submission_status"]),
        { title: "Theirs", submission_status: "cancelled" },
        kind,
      );
      assertEquals([event.visibility, event.name], ["private", "Theirs"]);
      await assertRest(stack, id);
      await edit(stack, id, { submission_status: "approved" });
      await settle(stack);
      assertEquals([event.visibility, event.name], ["public", "Theirs"], kind);
      await assertRest(stack, id);
    }
    assertEquals(await conflicts(stack), []);
  },
);

lumaTest(
  "an event that a host cancels while the app edits it is cancelled, and the edit is nowhere sent",
  async (stack) => {
    for (const { kind, id, event } of await bothKinds(stack)) {
      stack.simulator.clearRequests();
      await edit(stack, id, { title: "Ours" });
      stack.simulator.host.cancelEvent(event.id);
      await settle(stack);
      assertEquals(
        picked(await rowWithVersion(stack, id), ["title", "submission_status"]),
        { title: "Ours", submission_status: "cancelled" },
        kind,
      );
      assertEquals(calls(stack), [], kind);
      await assertRest(stack, id);
    }
  },
);
