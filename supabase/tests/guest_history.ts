/** What the calls to Luma did to its guest lists, one after the other. */
import type {
  FaultHandle,
  LumaSimulator,
} from "../../scripts/luma-simulator/mod.ts";

interface GuestCall {
  event_id: string;
  guests?: { email: string }[];
  approval_status?: string;
  guest_id?: string;
  status?: string;
}

const REPEAT_WITHIN_MS = 100;

/** Calls that gave a guest the status that the guest had already. */
export function needlessCalls(
  simulator: LumaSimulator,
  faults: FaultHandle[],
): string[] {
  const after = new Set(
    faults.filter(({ fault }) => "when" in fault && fault.when === "after")
      .map(({ id }) => id),
  );
  const emails = new Map(
    simulator.events().flatMap(({ guests }) =>
      guests.map((guest) => [guest.id, guest.user_email])
    ),
  );
  const held = new Map<string, string>();
  const needless: string[] = [];
  const brokenAt = new Map<string, number>();
  for (const request of simulator.requests) {
    const { path, status, fault, outcome, time } = request;
    if (!/guests\/(add|update-status)$/.test(path)) continue;
    const text = JSON.stringify(request.body);
    // fetch itself repeats a call whose connection broke, at once and to the letter.
    const isRepeat = time - (brokenAt.get(text) ?? 0) < REPEAT_WITHIN_MS;
    if (outcome === "closed") brokenAt.set(text, time);
    if (status !== 200 && !after.has(fault ?? "")) continue;
    const call = request.body as GuestCall;
    const who = call.guests?.map(({ email }) => email) ??
      [emails.get(call.guest_id ?? "") ?? call.guest_id ?? ""];
    const given = call.approval_status ?? call.status ?? "";
    for (const email of who) {
      const guest = `${call.event_id} ${email}`;
      if (held.get(guest) === given && !isRepeat) {
        needless.push(`${request.id} ${guest} ${given}`);
      }
      held.set(guest, given);
    }
  }
  return needless;
}
