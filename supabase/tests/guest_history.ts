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

/** On a busy machine; an attempt of ours that is made anew comes later, or has looked first. */
const REPEAT_WITHIN_MS = 600;

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
  const held = new Map<string, { status: string; by: string }>();
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
      const before = held.get(guest);
      const by =
        `request ${request.id} at ${time}, ${outcome} ${status} ${fault}`;
      if (before?.status === given && !isRepeat) {
        needless.push(`${guest} ${given}: ${before.by}, then ${by}`);
      }
      held.set(guest, { status: given, by });
    }
  }
  return needless;
}
