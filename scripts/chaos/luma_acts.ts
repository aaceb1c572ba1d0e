/** What hosts and guests do on Luma. */
import type { SimEvent } from "../luma-simulator/mod.ts";
import { FIELDS, type LumaAct } from "./acts.ts";
import { end } from "./app_acts.ts";
import { mayWrite } from "./may_write.ts";
import {
  dayFromNow,
  emailOf,
  lumaPatch,
  lumaStatus,
  lumaValue,
  valueOf,
} from "./values.ts";
import type { KnownEvent, World } from "./world.ts";

/** `isDown`: the database does not answer just now, so only what needs none of its words is done. */
export async function actOnLuma(
  world: World,
  act: LumaAct,
  isDown = false,
): Promise<void> {
  const { simulator } = world.stack;
  if (act.do === "host-create") return createdByHost(world, act.event);
  const known = isDown
    ? world.events.get(act.event)
    : await world.event(act.event);
  const event = known?.lumaId === undefined || known.isOver
    ? undefined
    : simulator.event(known.lumaId);
  if (!known || !event || !(await mayTouch(world, known, isDown))) {
    world.skipped++;
    return;
  }
  if (act.do === "host-cancel") {
    simulator.host.cancelEvent(event.id);
    return end(world, known, act.event);
  }
  const key = `${act.event} ${act.do === "host-edit" ? act.field : act.user}`;
  if (isDown && !world.config.contended) {
    world.withheld++;
    return;
  }
  if (!isDown && !await mayWrite(world, "luma", known, key)) return;
  if (act.do === "host-edit") {
    const value = valueOf(act.field, act.n);
    world.ledger.note("luma", key, value, lumaValue(event, act.field));
    simulator.host.updateEvent(event.id, lumaPatch(act.field, value));
  } else changeGuest(world, event, act, key);
}

/** What the app has hidden nobody finds on Luma. */
async function mayTouch(
  world: World,
  { id }: KnownEvent,
  isDown: boolean,
): Promise<boolean> {
  if (isDown || id === undefined) return true;
  const [row] = await world.stack
    .sql`select submission_status from public.canonical_events where id = ${id}`;
  return row?.submission_status === "approved";
}

function createdByHost(world: World, number: number): void {
  const { simulator } = world.stack;
  const calendar = simulator.calendars[number % 2]!;
  const start = dayFromNow(10);
  const event = simulator.host.createEvent(calendar.id, {
    name: valueOf("title", number),
    description_md: valueOf("description", number),
    meeting_url: valueOf("meeting_url", number),
    start_at: new Date(start).toISOString(),
    end_at: valueOf("ends_at", number),
    timezone: "Asia/Kolkata",
    coordinate: { latitude: 12.93, longitude: 77.63 },
    geo_address_json: { type: "manual", address: "1 Lake Road, Bengaluru" },
  });
  world.events.set(number, { lumaId: event.id });
  for (const field of FIELDS) {
    world.ledger.note(
      "luma",
      `${number} ${field}`,
      valueOf(field, number),
      undefined,
    );
  }
}

function changeGuest(
  world: World,
  event: SimEvent,
  act: Extract<LumaAct, { do: "register" | "host-guest" }>,
  key: string,
): void {
  const { simulator } = world.stack;
  const email = emailOf(act.user);
  const before = lumaStatus(event, act.user);
  const isThere = event.guests.some(({ user_email }) => user_email === email);
  // A guest registers once; a host changes only whom the list has.
  const fits = act.do === "register"
    ? !isThere
    : isThere && before !== act.status;
  if (!fits) {
    world.skipped++;
    return;
  }
  world.ledger.note(
    "luma",
    key,
    act.do === "register" ? "approved" : act.status,
    before,
  );
  if (act.do === "register") {
    simulator.guest.register(event.id, { name: act.user, email });
  } else simulator.host.setGuestStatus(event.id, email, act.status);
}
