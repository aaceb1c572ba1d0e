/** Reads guests from Luma again, because webhooks have left unclear what it holds: a few one by one, of many the list. */
import { addressForm } from "../address_form.ts";
import type { LumaClient } from "../luma/client.ts";
import { hasStatus } from "../luma/errors.ts";
import type { LumaGuest } from "../luma/types.ts";
import type { CallRecord, GuestSettlement } from "../store.ts";
import { toFailure } from "./failure.ts";
import { fromLumaGuest } from "./from_luma.ts";
import type { LooksJob } from "./job.ts";
import { LeaseLost } from "./leases.ts";
import { OutOfTime } from "./permits.ts";

type Client = Pick<LumaClient, "getGuest" | "listGuests" | "getSelf">;
type Look = LooksJob["guests"][number];

/** So many guests are read one by one. */
const MAX_SINGLE_READS = 4;

/** Of a list that is longer the rest are read one by one. */
const MAX_PAGES = 10;

/** Reads a batch, and answers what to settle for each guest. `calls` is where the client writes its calls down. */
export async function readGuests(
  job: LooksJob,
  client: Client,
  calls: CallRecord[],
): Promise<GuestSettlement[]> {
  const settled: GuestSettlement[] = [];
  const settle = (
    guest: Look,
    outcome: Omit<GuestSettlement, "lease" | "calls">,
  ) => settled.push({ lease: guest.lease, calls: calls.splice(0), ...outcome });
  let left = job.guests;
  try {
    if (left.length > MAX_SINGLE_READS) {
      const read_at = new Date().toISOString();
      const listed = await readList(job, client);
      for (const guest of left) {
        const found = listed.find((entry) => isSame(guest, entry));
        if (!found) continue;
        settle(guest, { outcome: "read", news: newsOf(job, found), read_at });
      }
      left = left.filter(({ lease }) =>
        !settled.some((done) => done.lease === lease)
      );
    }
    while (left[0]) {
      const read_at = new Date().toISOString();
      const found = await readOne(job, left[0], client);
      settle(left[0], { outcome: "read", news: found, read_at });
      left = left.slice(1);
    }
  } catch (error) {
    if (error instanceof LeaseLost) throw error;
    const outcome = error instanceof OutOfTime
      ? { outcome: "released" as const }
      : {
        outcome: "failed" as const,
        failure: await toFailure(error, job.calendar, client),
        maybe_applied: false,
      };
    // The first is the one that failed; for the others it was not tried.
    left.forEach((guest, place) =>
      settle(guest, place === 0 ? outcome : { outcome: "released" })
    );
  }
  return settled;
}

/** Null when Luma has no such guest. */
async function readOne(job: LooksJob, guest: Look, client: Client) {
  // Whoever was lost on Luma and added again there has another id than the one we know.
  for (const id of [guest.luma_guest_id, guest.email]) {
    if (id === null) continue;
    try {
      return newsOf(job, await client.getGuest(job.luma_event_id, id));
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
  }
  return null;
}

async function readList(job: LooksJob, client: Client): Promise<LumaGuest[]> {
  const listed: LumaGuest[] = [];
  const wanted = (guest: Look) => listed.some((entry) => isSame(guest, entry));
  let cursor: string | undefined;
  for (let read = 0; read < MAX_PAGES; read++) {
    const page = await client.listGuests(job.luma_event_id, {
      // Who changed lately has mostly come lately.
      sortBy: "registered_at",
      direction: "desc nulls last",
      limit: 100,
      cursor,
    });
    listed.push(...page.entries);
    if (!page.next_cursor || job.guests.every(wanted)) break;
    cursor = page.next_cursor;
  }
  return listed;
}

function isSame(guest: Look, entry: LumaGuest): boolean {
  return guest.luma_guest_id === null
    ? addressForm(entry.user_email) === guest.email
    : entry.id === guest.luma_guest_id;
}

function newsOf(job: LooksJob, guest: LumaGuest) {
  return fromLumaGuest(job.luma_event_id, guest);
}
