/** What breaks, and what admins do. */
import type { AdminAct, FaultAct, TamperAct } from "./acts.ts";
import { mark, type World } from "./world.ts";

const DELAY_MS = 1_500;

export async function fault(world: World, act: FaultAct): Promise<void> {
  if (act.do !== "trap") world.count(nameOf(act));
  switch (act.do) {
    case "trap":
      return world.arm(act);
    case "webhooks":
      return disturbWebhooks(world, act);
    case "kill":
      return await world.crash([act.name], "");
    case "functions":
      return act.up ? functionsUp(world) : await functionsDown(world);
    case "crash-database":
      return await world.crashDatabase(act.signal, act.meanwhile);
    case "terminate":
      return await world.terminate();
    case "wipe-net":
      return await world.wipeNet();
    case "cron":
      return await cron(world, act.on);
    case "clock":
      return world.stepClock(act.whose, act.ms);
    case "time":
      return await world.passTime();
    case "recover":
      return await recover(world);
  }
}

function functionsUp(world: World): void {
  world.functionsUp();
  world.crashes.endOutage("functions");
}

async function functionsDown(world: World): Promise<void> {
  world.crashes.beginOutage("functions");
  await world.functionsDown();
}

async function cron(world: World, on: boolean): Promise<void> {
  if (!on) world.crashes.beginOutage("cron");
  await world.cron(on);
  if (on) world.crashes.endOutage("cron");
}

/** Longer than a lease and a minute of pg_cron's. */
const RECOVERY_S = 90;

async function recover(world: World): Promise<void> {
  const { sql } = world.stack;
  functionsUp(world);
  await cron(world, true);
  const alive = world.crashes.now() + RECOVERY_S * 1000;
  await world.until(
    "the jobs of dead drains were claimed again",
    async () => {
      if (world.crashes.waiting === 0 || world.crashes.now() > alive) {
        return true;
      }
      // A change may have been taken back, or its calendar may be paused.
      const due = await sql`
        select from luma.sync_outbox where version > done_version or lease is not null`;
      return due.length === 0;
    },
    RECOVERY_S + 30,
  );
}

function nameOf(act: Exclude<FaultAct, { do: "trap" }>): string {
  switch (act.do) {
    case "webhooks":
      return `webhooks ${act.how}`;
    case "kill":
      return `kill ${act.name}`;
    case "crash-database":
      return `database ${act.signal}`;
    case "functions":
      return act.up ? "functions up again" : "functions down";
    case "cron":
      return act.on ? "cron on again" : "cron silent";
    case "clock":
      return `clock of the ${act.whose} ${act.ms > 0 ? "forward" : "back"}`;
    case "terminate":
      return "backends terminated";
    case "wipe-net":
      return "pg_net queue wiped";
    case "time":
      return "time passes";
    case "recover":
      return "time to recover";
  }
}

function disturbWebhooks(
  { stack }: World,
  { how, count }: Extract<FaultAct, { do: "webhooks" }>,
): void {
  const effect = {
    drop: { drop: true },
    duplicate: { duplicate: 2 },
    delay: { delayMs: DELAY_MS },
    reorder: { reorder: true },
  }[how];
  stack.simulator.faults.add({ on: "webhook", count, ...effect });
}

/** What is not in a condition to be done. */
const REFUSED = "55000";

export async function administer(world: World, act: AdminAct): Promise<void> {
  const { sql } = world.stack;
  switch (act.do) {
    case "pull":
      await sql`select luma.pull_now()`.catch((error) => {
        // With the mode off an admin is told so.
        if (error.code !== REFUSED) throw error;
        world.skipped++;
      });
      return;
    case "drain":
      await sql`select luma.ring()`;
      return;
    case "retry":
      await sql`select luma.retry()`;
      return;
    case "pause":
      world.crashes.beginOutage(act.calendar);
      await sql`select luma.pause(${act.calendar})`;
      return;
    case "resume":
      await sql`select luma.resume(${act.calendar})`;
      world.crashes.endOutage(act.calendar);
      return;
    case "mode":
      if (act.mode === "off") world.crashes.beginOutage("mode");
      await sql`select luma.set_mode(${act.mode})`;
      if (act.mode === "live") world.crashes.endOutage("mode");
  }
}

/** Does what the product must never do. A stranger that came before the row's own event would be taken for it. */
export async function tamper(world: World, act: TamperAct): Promise<void> {
  const { sql, simulator } = world.stack;
  const event = await world.event(act.event);
  if (event?.id === undefined) {
    world.skipped++;
    return;
  }
  const { id } = event;
  await world.until("the row has its Luma event", async () => {
    const linked = await sql`
      select from public.canonical_events where id = ${id} and luma_event_id is not null`;
    return linked.length > 0;
  });
  simulator.host.createEvent(simulator.calendars[0]!.id, {
    name: "Again",
    slug: `again-${mark(id)}`,
    start_at: new Date(Date.now() + 86_400_000).toISOString(),
    timezone: "Asia/Kolkata",
  });
}
