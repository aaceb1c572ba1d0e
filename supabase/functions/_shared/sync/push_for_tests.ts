/** Pushes jobs to the simulator, with a database that remembers what it is told. */
import {
  type LumaSimulator,
  type SimEvent,
  startSimulator,
} from "../../../../scripts/luma-simulator/mod.ts";
import { createLumaClient, type LumaClientOptions } from "../luma/client.ts";
import type { Result } from "../store.ts";
import type { EventJob } from "./job.ts";
import { type PushDeps, pushEvent } from "./push_event.ts";
import { JOB } from "./testing.ts";

export const OTHER_SLUG = "e-00000000000040008000000000000001";
export const ZO_EVENTS = "cal-3YNnBTToy9fnnjQ";

export interface Pushes {
  simulator: LumaSimulator;
  /** What the database was told, and whether the job's lease is still held. */
  database: { created: [slug: string, id: string][]; leaseHeld: boolean };
  covers: PushDeps["covers"];
  clientOptions: Partial<LumaClientOptions>;
  push(changes?: Partial<EventJob>): Promise<Result>;
  /** Creates an event by a push that is not recorded; its id. */
  existing(changes?: Partial<EventJob>): Promise<string>;
  /** What was called since the last forgetting, for example `events/create 200`. */
  calls(): string[];
  /** The body of the nth call. */
  body(index: number): unknown;
  /** The one event that Luma has. */
  event(): SimEvent;
}

export async function withPushes(test: (pushes: Pushes) => Promise<void>) {
  const simulator = await startSimulator();
  const pushes: Pushes = {
    simulator,
    database: { created: [], leaseHeld: true },
    covers: null,
    clientOptions: {},
    push: (changes) =>
      pushEvent({ ...JOB, ...changes }, {
        client: createLumaClient({
          apiKey: "luma-key-blr",
          baseUrl: simulator.url,
          ...pushes.clientOptions,
        }),
        store: {
          created(_lease, slug, id) {
            pushes.database.created.push([slug, id]);
            return Promise.resolve(pushes.database.leaseHeld);
          },
          createAgain: () => Promise.resolve(pushes.database.leaseHeld),
          slugTaken: () =>
            Promise.resolve(pushes.database.leaseHeld ? OTHER_SLUG : null),
        },
        covers: pushes.covers,
      }),
    async existing(changes) {
      const { luma_event_id: id } = await pushes.push(changes);
      pushes.database.created = [];
      simulator.clearRequests();
      return id!;
    },
    calls: () =>
      simulator.requests.map(({ path, status, outcome }) =>
        `${path.replace("/v1/", "")} ${status ?? outcome}`
      ),
    body: (index) => simulator.requests.at(index)?.body,
    event() {
      const [event, ...others] = simulator.events();
      if (!event || others.length > 0) {
        throw new Error(`Luma has ${simulator.events().length} events, not 1`);
      }
      return event;
    },
  };
  try {
    await test(pushes);
  } finally {
    await simulator.stop();
  }
}
