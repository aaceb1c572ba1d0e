/**
 * Makes guests on Luma what the RSVPs of their event say.
 *
 *   1. look    at guests whose last call may or may not have taken effect
 *   2. change  those that Luma has, one call each, all at once
 *   3. add     those that it has not, one call for all; of a refused call each half again, until only the
 *              guests that Luma does not take are left
 *
 * May be killed between any two calls: who was being sent is in doubt then, and the next attempt looks first.
 * The first call that fails for another reason ends the work; what was not begun is given back.
 */
import { addressForm } from "../address_form.ts";
import type { LumaClient } from "../luma/client.ts";
import { hasStatus, LumaError } from "../luma/errors.ts";
import {
  ADDABLE_STATUSES,
  type LumaGuest,
  type SettableStatus,
} from "../luma/types.ts";
import type { CallRecord } from "../store.ts";
import type { GuestJob, GuestsJob } from "./job.ts";
import { LeaseLost } from "./leases.ts";
import { toLumaGuest } from "./mapping.ts";
import { OutOfTime } from "./permits.ts";

/** What became of a guest. */
export type GuestResult = { guest: GuestJob; calls: CallRecord[] } & Outcome;

type Outcome =
  /** `status` is what Luma holds now; null when it has no such guest and need not. */
  | {
    outcome: "done";
    status: SettableStatus | null;
    lumaGuestId: string | null;
  }
  | { outcome: "failed"; error: unknown; maybeApplied: boolean }
  /** No call that changes anything was made. */
  | { outcome: "released" };

type Client = Pick<
  LumaClient,
  "addGuests" | "updateGuestStatus" | "getGuest" | "listGuests"
>;

/** So many guests in doubt are looked at one by one; of more, the newest pages of the guest list are read. */
const MAX_SINGLE_LOOKS = 4;

/** Pages that hold a full call's guests and those who came since. Who is not on them is added again, which adds nobody twice. */
const MAX_PAGES = 4;

/** Makes a client that writes its calls down in `calls`. */
export type ClientFor = (calls: CallRecord[]) => Client;

/** Pushes a batch and answers what became of each guest. */
export async function pushGuests(
  job: GuestsJob,
  clientFor: ClientFor,
): Promise<GuestResult[]> {
  return await new GuestPush(job, clientFor).run();
}

class GuestPush {
  readonly #results = new Map<GuestJob, Outcome>();
  readonly #calls = new Map<GuestJob, CallRecord[]>();
  /** What Luma was seen to have. */
  readonly #seen = new Map<GuestJob, LumaGuest>();
  #isStopped = false;

  constructor(
    readonly job: GuestsJob,
    readonly clientFor: ClientFor,
  ) {}

  async run(): Promise<GuestResult[]> {
    const { guests } = this.job;
    await this.#look(guests.filter((guest) => guest.in_doubt));
    const absent = new Set<GuestJob>();
    // All at once, because their permits are good for a moment only.
    await Promise.all(guests.map(async (guest) => {
      // After a stop nothing is known of those whose turn never came.
      if (this.#results.has(guest) || this.#isStopped) return;
      const status = statusOf(this.#seen.get(guest)) ?? guest.agreed;
      if (status === guest.wanted) this.#done(guest, this.#idOf(guest));
      else if (status === null || !await this.#change(guest)) {
        absent.add(guest);
      }
    }));
    const missing = guests.filter((guest) => absent.has(guest));
    for (const status of ADDABLE_STATUSES) {
      await this.#add(missing.filter(({ wanted }) => wanted === status));
    }
    for (const guest of missing) {
      // Luma has not whom it should not have.
      if (guest.wanted === "declined") this.#done(guest, null, null);
    }
    return guests.map((guest) => ({
      guest,
      calls: this.#calls.get(guest) ?? [],
      ...(this.#results.get(guest) ?? { outcome: "released" }),
    }));
  }

  async #look(doubtful: GuestJob[]): Promise<void> {
    const event = this.job.luma_event_id;
    if (doubtful.length > MAX_SINGLE_LOOKS) {
      await this.#call(
        doubtful,
        (client) => this.#readNewest(doubtful, client),
      );
      return;
    }
    for (const guest of doubtful) {
      await this.#call([guest], async (client) => {
        try {
          const seen = await client.getGuest(event, guest.email);
          this.#seen.set(guest, seen);
        } catch (error) {
          if (!hasStatus(error, 404)) throw error;
        }
      });
    }
  }

  async #readNewest(doubtful: GuestJob[], client: Client): Promise<void> {
    let cursor: string | undefined;
    for (let read = 0; read < MAX_PAGES; read++) {
      const page = await client.listGuests(this.job.luma_event_id, {
        sortBy: "registered_at",
        direction: "desc nulls last",
        limit: 100,
        cursor,
      });
      const byEmail = new Map(
        page.entries.map((entry) => [addressForm(entry.user_email), entry]),
      );
      for (const guest of doubtful) {
        const seen = byEmail.get(guest.email);
        if (seen) this.#seen.set(guest, seen);
      }
      const areAllFound = doubtful.every((guest) => this.#seen.has(guest));
      if (areAllFound || !page.next_cursor) return;
      cursor = page.next_cursor;
    }
  }

  /** False when Luma has no such guest. */
  async #change(guest: GuestJob): Promise<boolean> {
    const id = this.#idOf(guest);
    if (id !== null && await this.#changeAs(id, guest)) return true;
    // Whoever was lost on Luma and added again there has another id than the one we know.
    return await this.#changeAs(null, guest);
  }

  /** Changes a guest by id, or by e-mail without one. */
  async #changeAs(id: string | null, guest: GuestJob): Promise<boolean> {
    let isThere = true;
    await this.#call([guest], async (client) => {
      try {
        await client.updateGuestStatus({
          event_id: this.job.luma_event_id,
          guest_id: id ?? guest.email,
          status: guest.wanted,
          send_email: this.job.send_email,
        });
        this.#done(guest, id);
      } catch (error) {
        if (!hasStatus(error, 404)) throw error;
        isThere = false;
      }
    });
    return isThere;
  }

  /** Adds guests of one status in one call. */
  async #add(guests: GuestJob[]): Promise<void> {
    const [first] = guests;
    if (!first || first.wanted === "declined" || this.#isStopped) return;
    const approval_status = first.wanted;
    let isRefused = false;
    await this.#call(guests, async (client) => {
      try {
        await client.addGuests({
          event_id: this.job.luma_event_id,
          guests: guests.map(toLumaGuest),
          approval_status,
          send_email: this.job.send_email,
        });
        // Which ids they have now is not told.
        guests.forEach((guest) => this.#done(guest, null));
      } catch (error) {
        // One status for the whole call: if it may be one guest's fault, find that guest.
        isRefused = guests.length > 1 && isGuestsFault(error);
        if (!isRefused) throw error;
      }
    });
    if (!isRefused) return;
    const half = Math.ceil(guests.length / 2);
    await this.#add(guests.slice(0, half));
    await this.#add(guests.slice(half));
  }

  #idOf(guest: GuestJob): string | null {
    return this.#seen.get(guest)?.id ?? guest.luma_guest_id;
  }

  #done(
    guest: GuestJob,
    lumaGuestId: string | null,
    status: SettableStatus | null = guest.wanted,
  ): void {
    this.#results.set(guest, { outcome: "done", status, lumaGuestId });
  }

  /** Makes calls about these guests. What they throw becomes their result, and the end of the work unless it is only theirs. */
  async #call(
    guests: GuestJob[],
    call: (client: Client) => Promise<void>,
  ): Promise<void> {
    if (this.#isStopped) return;
    const calls: CallRecord[] = [];
    try {
      await call(this.clientFor(calls));
    } catch (error) {
      if (!isGuestsFault(error)) this.#isStopped = true;
      // The turn of this call never came.
      if (error instanceof OutOfTime || error instanceof LeaseLost) return;
      const maybeApplied = isMaybeApplied(error);
      for (const guest of guests) {
        this.#results.set(guest, { outcome: "failed", error, maybeApplied });
      }
    } finally {
      for (const guest of guests) {
        const known = this.#calls.get(guest) ?? [];
        this.#calls.set(guest, [...known, ...calls]);
      }
    }
  }
}

/** Luma's status as one that can be set. An invited guest has not registered, so none of those. */
function statusOf(seen: LumaGuest | undefined): string | null {
  if (!seen) return null;
  return seen.approval_status === "session" ? "approved" : seen.approval_status;
}

/** Refusals that can be about what was sent, not about the key, the event (403, 404) or the moment. */
function isGuestsFault(error: unknown): boolean {
  return error instanceof LumaError && error.kind === "http" &&
    error.status !== null && error.status >= 400 && error.status < 500 &&
    ![401, 403, 404, 408, 425, 429].includes(error.status);
}

/**
 * Anything but a clear refusal. Also a 408, and a 429: fetch repeats a call whose connection broke, and the first
 * may have arrived.
 */
function isMaybeApplied(error: unknown): boolean {
  return !(error instanceof LumaError) || error.maybeApplied ||
    ([408, 429].includes(error.status ?? 0) && error.route.startsWith("POST "));
}
