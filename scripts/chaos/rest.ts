/** The faults stop. Now the system has so many drains and pulls to come to rest. */
import { approveAll } from "./app_acts.ts";
import type { System, World } from "./world.ts";

/** Drains and pulls until both sides are equal. */
export interface Rest {
  drains: number;
  pulls: number;
}

/** Of drains that each do all there is to do: a few, because what one brings to light the next one sends. */
const ROUNDS_MAX = 12;

/** Ends every fault, and lets the system come to rest. Throws when it does not. */
export async function comeToRest(world: World): Promise<Rest> {
  await endFaults(world);
  await approveAll(world);
  const rest = { drains: 0, pulls: 0 };
  await settle(world, rest);
  await pull(world);
  rest.pulls++;
  await settle(world, rest);
  return rest;
}

async function endFaults(world: World): Promise<void> {
  const { stack } = world;
  await world.endFaults();
  stack.simulator.faults.clear();
  for (const calendar of ["blr", "zo_events"]) {
    await stack.sql`select luma.resume(${calendar})`;
  }
  await stack.sql`select luma.set_mode('live')`;
  await stack
    .admin`update luma.covers set busy_until = null where busy_until is not null`;
  await stack
    .admin`update luma.pull_runs set alive_until = now() where lease is not null`;
}

/** Drains until nothing is left to do on either side. */
async function settle(world: World, rest: Rest): Promise<void> {
  const { stack } = world;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    await world.webhooksIdle();
    await world.passTime();
    await stack
      .admin`update luma.webhook_inbox set due_at = now() where due_at is not null`;
    await stack
      .admin`update luma.calendar_state set paused_until = now() where paused_until > now() and stopped_at is null`;
    await stack.sql`select luma.sweep()`;
    await drain(world);
    rest.drains++;
    await world.webhooksIdle();
    if (await isIdle(stack)) return;
  }
  throw new Error(`After ${ROUNDS_MAX} drains something is still left to do`);
}

async function isIdle({ sql }: System): Promise<boolean> {
  const left = await sql`
    select from luma.sync_outbox where version > done_version and dead_at is null
    union all select from luma.rechecks
    union all select from luma.webhook_inbox where due_at is not null`;
  return left.length === 0;
}

export async function drain(world: World): Promise<void> {
  await world.ask("luma-drain");
}

/** Reads everything on Luma. */
export async function pull(world: World): Promise<void> {
  await world.ask("luma-pull", JSON.stringify({ all: true }));
}
