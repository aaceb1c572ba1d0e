/** Pushes guests of one event to the simulator. */
import {
  type LumaSimulator,
  type SimulatorOptions,
  startSimulator,
} from "../../../../scripts/luma-simulator/mod.ts";
import { createLumaClient, type LumaClientOptions } from "../luma/client.ts";
import type { CallRecord } from "../store.ts";
import type { GuestJob, GuestsJob } from "./job.ts";
import { type GuestResult, pushGuests } from "./push_guests.ts";

const BLR = "cal-ZVonmjVxLk7F2oM";
export const ADD = "/v1/events/guests/add";
export const UPDATE = "/v1/events/guests/update-status";

export interface GuestPushes {
  simulator: LumaSimulator;
  eventId: string;
  /** What the jobs say beside their guests. */
  job: Partial<GuestsJob>;
  clientOptions: Partial<LumaClientOptions>;
  push(guests: GuestJob[]): Promise<GuestResult[]>;
  /** Puts a guest on Luma by other hands, with this status; the guest's id. */
  existing(name: string, status?: GuestJob["wanted"] | "session"): string;
  /** Takes a guest off Luma's list, as if there had never been one. */
  lose(name: string): void;
  /** What was called since the last forgetting, for example `guests/add 200`. */
  calls(): string[];
  /** The body of the nth call. */
  body(index: number): unknown;
  /** Whom Luma has, for example `ann approved`. */
  onLuma(): string[];
  /** The addresses that were mailed. */
  mailed(): string[];
}

/** An earlier call about the guest may or may not have taken effect. */
export const IN_DOUBT = { in_doubt: true, agreed: null };

/** A guest who is new to Luma. */
export function guestJob(
  name: string,
  changes: Partial<GuestJob> = {},
): GuestJob {
  return {
    rsvp_id: `rsvp-${name}`,
    lease: `lease-${name}`,
    email: emailOf(name),
    name,
    wanted: "approved",
    agreed: null,
    in_doubt: false,
    luma_guest_id: null,
    ...changes,
  };
}

export function emailOf(name: string): string {
  return `${name}@example.com`;
}

/** What became of each, for example `ann done approved`, `bob failed`, `cyd failed maybe applied`, `dan released`. */
export function became(results: GuestResult[]): string[] {
  return results.map((result) => {
    const [name] = result.guest.email.split("@");
    if (result.outcome === "released") return `${name} released`;
    if (result.outcome === "done") return `${name} done ${result.status}`;
    return `${name} failed${result.maybeApplied ? " maybe applied" : ""}`;
  });
}

/** The calls that are laid to one guest, as `calls()` writes them. */
export function callsOf(results: GuestResult[], name: string): string[] {
  return results.filter(({ guest }) => guest.email === emailOf(name))
    .flatMap(({ calls }) =>
      calls.map(({ route, status }) =>
        `${route.replace(/^.*\/v1\/events\//, "")} ${status}`
      )
    );
}

/** The ids of guests that were learnt, in the guests' order. */
export function ids(results: GuestResult[]) {
  return results.map((result) =>
    result.outcome === "done" ? result.lumaGuestId : undefined
  );
}

export async function withGuests(
  test: (pushes: GuestPushes) => Promise<void>,
  options: SimulatorOptions = {},
) {
  const simulator = await startSimulator(options);
  const { id: eventId } = simulator.host.createEvent(BLR, {
    name: "Open mic",
    start_at: "2027-01-01T14:00:00Z",
    timezone: "UTC",
  });
  const list = () => simulator.event(eventId)?.guests ?? [];
  const pushes: GuestPushes = {
    simulator,
    eventId,
    job: {},
    clientOptions: {},
    push(guests) {
      const job: GuestsJob = {
        entity: "guests",
        id: "00000000-0000-4000-8000-000000000001",
        calendar: "blr",
        luma_event_id: eventId,
        send_email: false,
        ...pushes.job,
        guests,
      };
      return pushGuests(job, (calls) =>
        createLumaClient({
          apiKey: "luma-key-blr",
          baseUrl: simulator.url,
          fetch: recordingFetch(calls),
          ...pushes.clientOptions,
        }));
    },
    existing(name, status = "approved") {
      const email = emailOf(name);
      const { id } = simulator.guest.register(eventId, { name, email });
      simulator.host.setGuestStatus(eventId, id, status);
      return id;
    },
    lose(name) {
      const at = list().findIndex((g) => g.user_email === emailOf(name));
      list().splice(at, 1);
    },
    calls: () =>
      simulator.requests.map(({ path, status, outcome }) =>
        `${path.replace("/v1/events/", "")} ${status ?? outcome}`
      ),
    body: (index) => simulator.requests.at(index)?.body,
    onLuma: () =>
      list().map((guest) =>
        `${guest.user_email.split("@")[0]} ${guest.approval_status}`
      ),
    mailed: () => simulator.emails.map(({ to }) => to),
  };
  try {
    await test(pushes);
  } finally {
    await simulator.stop();
  }
}

/** A fetch that writes its calls down. */
function recordingFetch(calls: CallRecord[]): typeof fetch {
  return async (input, init) => {
    const route = `${init?.method} ${new URL(String(input)).pathname}`;
    const call: CallRecord = { route, at: "", ms: 0, status: null };
    calls.push(call);
    const response = await fetch(input, init);
    call.status = response.status;
    return response;
  };
}
