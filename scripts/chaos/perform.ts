/** One act after the other. */
import type { Act, AdminAct, AppAct, FaultAct, LumaAct } from "./acts.ts";
import { actInApp } from "./app_acts.ts";
import { administer, fault, tamper } from "./fault_acts.ts";
import { actOnLuma } from "./luma_acts.ts";
import type { World } from "./world.ts";

const APP = [
  "create",
  "edit",
  "culture",
  "price",
  "rsvp",
  "unrsvp",
  "status",
  "delete",
  "together",
];
const LUMA = [
  "host-create",
  "host-edit",
  "host-cancel",
  "host-guest",
  "register",
];
const ADMIN = ["pull", "drain", "retry", "pause", "resume", "mode"];

/** Acts, and then leaves the system alone for as long as the act says. */
export async function perform(world: World, act: Act): Promise<void> {
  if (act.do === "tamper") await tamper(world, act);
  else if (APP.includes(act.do)) await actInApp(world, act as AppAct);
  else if (LUMA.includes(act.do)) await actOnLuma(world, act as LumaAct);
  else if (ADMIN.includes(act.do)) await administer(world, act as AdminAct);
  else await fault(world, act as FaultAct);
  // The rhythm of the history, not a wait for anything: functions start and work meanwhile.
  await world.pause(act.pause ?? 0);
}
