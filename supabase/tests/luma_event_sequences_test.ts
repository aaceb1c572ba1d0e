/**
 * Short random histories of one event: edits on both sides, drains, calls that hang, lose their answer or their
 * function, and Luma's deliveries late, twice and in any order. At the end both sides are alike.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Delivery, SimEvent } from "../../scripts/luma-simulator/mod.ts";
import { manyCalls } from "./linked_events.ts";
import {
  changedColumns,
  type Deliver,
  deliverer,
  type Kind,
  lumaColumns,
  picked,
  rowWithVersion,
} from "./luma_deliveries.ts";
import { hostEvent, lumaTest, rowOf, settle } from "./luma_side.ts";
import {
  calls,
  drain,
  type EventRow,
  insertEvent,
  passTime,
  type Stack,
  until,
} from "./testing.ts";

/** Others with SEQUENCES_SEED, and more of them with SEQUENCES_RUNS. */
const SEED = Number(Deno.env.get("SEQUENCES_SEED") ?? 12);
const RUNS = Number(Deno.env.get("SEQUENCES_RUNS") ?? 25);
const UPDATE = "/v1/events/update";

type Patch = Parameters<Stack["simulator"]["host"]["updateEvent"]>[1];

const inDays = (days: number) =>
  new Date(Math.floor(Date.now() / 86_400_000 + days) * 86_400_000);

/** A value of a field, as either side would write it. */
interface Value {
  field: string;
  app: EventRow;
  luma: Patch;
}

const texts = ["Alpha", "Beta", "Gamma", "Delta"];
const VALUES: Value[] = [
  ...texts.map((text) => ({
    field: "title",
    app: { title: text },
    luma: { name: text },
  })),
  ...[...texts, null].map((text) => ({
    field: "description",
    app: { description: text },
    luma: { description_md: text ?? "" },
  })),
  ...["one", "two", null].map((word) => {
    const url = word && `https://meet.example.com/${word}`;
    return {
      field: "meeting_url",
      app: { meeting_url: url },
      luma: { meeting_url: url },
    };
  }),
  ...[8, 9].map((days) => ({
    field: "starts_at",
    app: { starts_at: inDays(days) },
    luma: { start_at: inDays(days).toISOString() },
  })),
  ...[20, 21].map((days) => ({
    field: "ends_at",
    app: { ends_at: inDays(days) },
    luma: { end_at: inDays(days).toISOString() },
  })),
  ...[1.5, 2.25].map((latitude) => ({
    field: "lat",
    app: { lat: latitude, lng: 7.5 },
    luma: { coordinate: { latitude, longitude: 7.5 } },
  })),
  ...["1 Sea Road", "2 Hill Road"].map((address) => ({
    field: "location_raw",
    app: { location_raw: address },
    luma: { geo_address_json: { type: "manual" as const, address } },
  })),
  ...(["public", "members-only", "private"] as const).map((visibility) => ({
    field: "visibility",
    app: { visibility },
    luma: { visibility },
  })),
];

const value = fc.constantFrom(...VALUES);
const edit = fc.oneof(
  fc.record({ by: fc.constant("app" as const), value }),
  fc.record({ by: fc.constant("host" as const), value }),
  fc.record({ by: fc.constant("courier" as const), which: fc.nat(20) }),
);
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;
const trouble = fc.constantFrom("none", "none", "lost", "refused", "killed");
const step = fc.oneof(
  { weight: 6, arbitrary: edit },
  { weight: 2, arbitrary: fc.constant("drain" as const) },
  {
    weight: 3,
    arbitrary: fc.record({
      during: fc.constantFrom("before" as const, "after" as const),
      trouble,
      edits: fc.array(edit, { maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      status: fc.constantFrom("cancelled", "approved"),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One event and what is on its way about it. */
class History {
  readonly #from: number;
  readonly #told = new Set<string>();
  /** The last value that a side gave a field. */
  readonly app = new Map<string, Value>();
  readonly host = new Map<string, Value>();
  hasStatus = false;

  constructor(
    readonly stack: Stack,
    readonly deliver: Deliver,
    readonly id: string,
    readonly event: SimEvent,
  ) {
    this.#from = stack.simulator.deliveries.length;
  }

  async act(step: Step): Promise<void> {
    if (step === "drain") await this.#drain();
    else if ("by" in step) await this.#edit(step);
    else if ("status" in step) {
      this.hasStatus = true;
      await this.#write({ submission_status: step.status });
    } else await this.#drainDuring(step);
  }

  async #write(columns: EventRow): Promise<void> {
    const { sql } = this.stack;
    await sql`update public.canonical_events set ${
      sql(columns)
    } where id = ${this.id}`;
  }

  async #edit(edit: Edit): Promise<void> {
    if (edit.by === "courier") {
      const pool = this.#deliveries();
      const delivery = pool[edit.which % Math.max(pool.length, 1)];
      if (delivery) await this.#tell(delivery);
    } else if (edit.by === "app") {
      this.app.set(edit.value.field, edit.value);
      await this.#write(edit.value.app);
    } else {
      this.host.set(edit.value.field, edit.value);
      this.stack.simulator.host.updateEvent(this.event.id, edit.value.luma);
    }
  }

  async #drain(): Promise<void> {
    await passTime(this.stack);
    await this.stack
      .sql`update luma.webhook_inbox set due_at = now() where due_at is not null`;
    await drain(this.stack);
  }

  /** A drain that something happens to in its first call about the event, if it makes one. */
  async #drainDuring(
    { during, trouble, edits }: {
      during: "before" | "after";
      trouble: string;
      edits: Edit[];
    },
  ): Promise<void> {
    const { simulator, functions } = this.stack;
    if (trouble === "lost" || trouble === "refused") {
      const when = trouble === "lost" ? "after" as const : "before" as const;
      const fault = simulator.faults.add({
        path: UPDATE,
        when,
        status: 503,
        count: 1,
      });
      await this.#drain();
      fault.remove();
      for (const edit of edits) await this.#edit(edit);
      return;
    }
    const fault = simulator.faults.add({
      path: "/v1/events/*",
      when: during,
      hang: true,
      count: 1,
    });
    let isOver = false;
    const drained = this.#drain().finally(() => isOver = true);
    drained.catch(() => {});
    await until("it hangs or is over", () => fault.hits > 0 || isOver);
    for (const edit of edits) await this.#edit(edit);
    if (trouble === "killed") await functions.kill("luma-drain");
    fault.remove();
    await drained.catch((error) => {
      if (trouble !== "killed") throw error;
    });
  }

  #deliveries(): Delivery[] {
    return this.stack.simulator.deliveries.slice(this.#from);
  }

  async #tell(delivery: Delivery): Promise<void> {
    this.#told.add(delivery.id);
    await this.deliver(delivery);
  }

  /** Delivers what was not delivered yet, the last first, until both sides are at rest. */
  async end(): Promise<void> {
    await this.#rest();
    // While it is hidden Luma need not follow.
    await this.#write({ submission_status: "approved" });
    await this.#rest();
  }

  async #rest(): Promise<void> {
    let left: Delivery[];
    do {
      await settle(this.stack);
      left = this.#deliveries().filter(({ id }) => !this.#told.has(id));
      for (const delivery of left.reverse()) await this.#tell(delivery);
    } while (left.length > 0);
  }
}

/** Both say the same, and what only one side has edited is what it was given last. */
async function assertAlike(
  stack: Stack,
  { id, event, app, host, hasStatus }: History,
): Promise<void> {
  const row = await rowWithVersion(stack, id);
  const { location_name: _, cover_image_url: __, ...columns } = lumaColumns(
    event,
  );
  assertEquals(changedColumns(row, columns), {});
  for (const [field, { app: columns }] of app) {
    if (host.has(field) || (field === "visibility" && hasStatus)) continue;
    assertEquals(picked(row, Object.keys(columns)), columns, "the app's edit");
  }
  for (const [field, { app: columns }] of host) {
    if (app.has(field) || (field === "visibility" && hasStatus)) continue;
    assertEquals(picked(row, Object.keys(columns)), columns, "a host's edit");
  }
}

async function atRest(stack: Stack, kind: Kind, deliver: Deliver) {
  const { simulator } = stack;
  const from = simulator.deliveries.length;
  let history: History;
  if (kind === "ours") {
    const id = await insertEvent(stack, {
      location_name: null,
      ends_at: inDays(19),
    });
    await settle(stack);
    const { luma_event_id } = await rowWithVersion(stack, id);
    const event = simulator.event(String(luma_event_id))!;
    history = new History(stack, deliver, id, event);
    for (const one of simulator.deliveries.slice(from)) await deliver(one);
  } else {
    const event = hostEvent(stack, { end_at: inDays(19).toISOString() });
    for (const one of simulator.deliveries.slice(from)) await deliver(one);
    const id = String((await rowOf(stack, event.id)).id);
    history = new History(stack, deliver, id, event);
  }
  await settle(stack);
  simulator.clearRequests();
  return history;
}

for (const kind of ["ours", "Luma's"] as const) {
  lumaTest(
    `whatever happens to ${
      kind === "ours" ? "an event of ours" : "Luma's event"
    }, in whatever order, both sides end alike (SEQUENCES_SEED=${SEED})`,
    async (stack) => {
      const { simulator, sql } = stack;
      await manyCalls(stack);
      await sql`
        update luma.settings set edit_spacing_ms = 20, max_crashes = 100,
          retry_base_seconds = 1000000, retry_cap_seconds = 1000000`;
      const deliver = await deliverer(stack);
      simulator.faults.add({ on: "webhook", drop: true });
      let edits = 0;
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 10, size: "max" }),
        async (steps) => {
          const history = await atRest(stack, kind, deliver);
          for (const step of steps) await history.act(step);
          await history.end();
          await assertAlike(stack, history);
          edits += history.app.size + history.host.size;

          const failed =
            await sql`select error from luma.webhook_inbox where error is not null`;
          assertEquals([...failed], []);
          assertEquals([...await sql`select * from luma.dead_letters`], []);
          const before = await rowWithVersion(stack, history.id);
          simulator.clearRequests();
          await settle(stack);
          assertEquals(calls(stack), []);
          assertEquals(await rowWithVersion(stack, history.id), before);
        },
      );
      await fc.assert(property, { seed: SEED, numRuns: RUNS });
      assert(edits > RUNS, `${edits} fields were edited`);
    },
    { simulator: { rateLimitPerMinute: 100_000 } },
  );
}
