/** Tells the database what became of a batch of guests. */
import type { LumaClient } from "../luma/client.ts";
import { redact } from "../redact.ts";
import type { Failure, GuestSettlement, Store } from "../store.ts";
import { toFailure } from "./failure.ts";
import type { GuestsJob } from "./job.ts";
import type { GuestResult } from "./push_guests.ts";

/** What settling needs from outside. */
export interface SettleDeps {
  client: Pick<LumaClient, "getSelf">;
  store: Pick<Store, "settleGuests">;
  sleep: (ms: number) => Promise<void>;
  log: (message: string) => void;
  dryRun: boolean;
}

/** How long to let the app finish what it is writing, and how often, all within a lease. */
const PAUSE_MS = 50;
const MAX_TRIES = 100;

/** Settles a batch that was sent. What stays unsettled because the app holds on to it is left to its lease. Throws StoreError. */
export async function settleGuests(
  job: GuestsJob,
  results: GuestResult[],
  deps: SettleDeps,
): Promise<void> {
  await settle(job.id, await settlements(job, results, deps), deps);
}

/** Settles guests of an event, read or sent. Throws StoreError. */
export async function settle(
  eventId: string,
  settlements: GuestSettlement[],
  deps: Pick<SettleDeps, "store" | "sleep" | "log">,
): Promise<void> {
  let open = settlements;
  for (let tries = 0; open.length > 0 && tries < MAX_TRIES; tries++) {
    if (tries > 0) await deps.sleep(PAUSE_MS);
    const busy = new Set(await deps.store.settleGuests(eventId, open));
    open = open.filter(({ lease }) => busy.has(lease));
  }
  if (open.length > 0) {
    deps.log(
      `event ${eventId}: ${open.length} RSVPs were locked for too long to be settled`,
    );
  }
}

async function settlements(
  job: GuestsJob,
  results: GuestResult[],
  { client, log, dryRun }: SettleDeps,
): Promise<GuestSettlement[]> {
  // One error can be that of many guests; asking what it means may be a call to Luma.
  const failures = new Map<unknown, Failure>();
  const settled: GuestSettlement[] = [];
  for (const { guest: { lease, rsvp_id }, calls, ...result } of results) {
    if (result.outcome === "released") {
      settled.push({ lease, calls, outcome: "released" });
    } else if (result.outcome === "done") {
      settled.push({
        lease,
        calls,
        outcome: dryRun ? "dry_run" : "done",
        status: result.status,
        luma_guest_id: result.lumaGuestId,
      });
    } else {
      const failure = failures.get(result.error) ??
        withoutNames(job, await toFailure(result.error, job.calendar, client));
      if (!failures.has(result.error)) {
        log(`rsvp ${rsvp_id}: ${failure.message}`);
      }
      failures.set(result.error, failure);
      settled.push({
        lease,
        calls,
        outcome: "failed",
        failure,
        maybe_applied: result.maybeApplied,
      });
    }
  }
  return settled;
}

/** Luma may quote the guest that it refuses. */
function withoutNames({ guests }: GuestsJob, failure: Failure): Failure {
  const names = guests.flatMap(({ name }) => name?.trim() || []);
  return { ...failure, message: redact(failure.message, names) };
}
