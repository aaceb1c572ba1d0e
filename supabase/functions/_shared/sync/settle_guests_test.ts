import { assertEquals, assertRejects } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import { type CallRecord, type GuestSettlement, StoreError } from "../store.ts";
import type { GuestResult } from "./push_guests.ts";
import { guestJob } from "./push_guests_for_tests.ts";
import { settleGuests } from "./settle_guests.ts";

const JOB = {
  entity: "guests" as const,
  id: "00000000-0000-4000-8000-000000000001",
  calendar: "blr",
  luma_event_id: "evt-1",
  send_email: false,
  guests: [],
};
const CALL: CallRecord = {
  route: "POST /v1/events/guests/add",
  at: "2026-12-01T00:00:00.000Z",
  ms: 12,
  status: 200,
};

/** A database whose app holds these leases back for so many tries, and a Luma whose key works. */
function setUp(busyFor: Record<string, number> = {}) {
  const world = {
    told: [] as { eventId: string; settlements: GuestSettlement[] }[],
    slept: [] as number[],
    logged: [] as string[],
    asked: 0,
  };
  const settle = (results: GuestResult[], dryRun = false) =>
    settleGuests(JOB, results, {
      client: {
        getSelf() {
          world.asked++;
          return Promise.resolve({ id: "usr-1" });
        },
      },
      store: {
        settleGuests(eventId, settlements) {
          world.told.push({ eventId, settlements });
          const tries = world.told.length;
          return Promise.resolve(
            settlements.map(({ lease }) => lease)
              .filter((lease) => tries <= (busyFor[lease] ?? 0)),
          );
        },
      },
      sleep(ms) {
        world.slept.push(ms);
        return Promise.resolve();
      },
      log: (message) => world.logged.push(message),
      dryRun,
    });
  /** The leases of each time the database was told. */
  const leases = () =>
    world.told.map(({ settlements }) => settlements.map(({ lease }) => lease));
  return { world, settle, leases };
}

function done(name: string) {
  return {
    guest: guestJob(name),
    calls: [CALL],
    outcome: "done" as const,
    status: "approved" as const,
    lumaGuestId: `gst-${name}`,
  };
}

function failed(
  name: string,
  error: unknown,
  maybeApplied = false,
): GuestResult {
  return {
    guest: guestJob(name),
    calls: [CALL],
    outcome: "failed",
    error,
    maybeApplied,
  };
}

function http(status: number, lumaMessage = "says Luma") {
  const route = "POST /v1/events/guests/add";
  return new LumaError({ kind: "http", route, status, lumaMessage });
}

Deno.test("every outcome is told to the database in one call, with the calls that were made", async () => {
  const { world, settle } = setUp();
  await settle([
    done("ann"),
    { ...done("bob"), status: null, lumaGuestId: null },
    failed("cyd", http(400), false),
    failed("dan", http(503), true),
    { guest: guestJob("eve"), calls: [], outcome: "released" },
  ]);
  const failure = { kind: "http" as const, retry_after: null };
  const message = "POST /v1/events/guests/add answered";
  assertEquals(world.told, [{
    eventId: JOB.id,
    settlements: [
      {
        lease: "lease-ann",
        calls: [CALL],
        outcome: "done",
        status: "approved",
        luma_guest_id: "gst-ann",
      },
      {
        lease: "lease-bob",
        calls: [CALL],
        outcome: "done",
        status: null,
        luma_guest_id: null,
      },
      {
        lease: "lease-cyd",
        calls: [CALL],
        outcome: "failed",
        failure: {
          ...failure,
          status: 400,
          message: `${message} 400: says Luma`,
        },
        maybe_applied: false,
      },
      {
        lease: "lease-dan",
        calls: [CALL],
        outcome: "failed",
        failure: {
          ...failure,
          status: 503,
          message: `${message} 503: says Luma`,
        },
        maybe_applied: true,
      },
      { lease: "lease-eve", calls: [], outcome: "released" },
    ],
  }]);
  assertEquals(world.slept, []);
});

Deno.test("in a dry run what would have been done is told as that, and a failure as a failure", async () => {
  const { world, settle } = setUp();
  const released = { calls: [], outcome: "released" as const };
  await settle([
    done("ann"),
    failed("bob", http(400)),
    { guest: guestJob("cyd"), ...released },
  ], true);
  assertEquals(
    world.told.flatMap(({ settlements }) =>
      settlements.map(({ outcome }) => outcome)
    ),
    ["dry_run", "failed", "released"],
  );
});

Deno.test("one error that is many guests' is explained and logged once", async () => {
  const { world, settle } = setUp();
  const error = http(403);
  await settle([
    failed("ann", error),
    failed("bob", error),
    done("cyd"),
    failed("dan", error),
  ]);
  assertEquals(world.asked, 1);
  assertEquals(world.logged, [
    "rsvp rsvp-ann: POST /v1/events/guests/add answered 403: says Luma",
  ]);
  const kinds = world.told[0]?.settlements.map(({ failure }) => failure?.kind);
  assertEquals(kinds, ["refused", "refused", undefined, "refused"]);
});

Deno.test("each error of its own is logged with its RSVP", async () => {
  const { world, settle } = setUp();
  await settle([
    failed("ann", http(400, "bounces")),
    failed("bob", http(400, "bounces")),
    failed("cyd", new TypeError("x is not a function")),
  ]);
  assertEquals(world.asked, 0);
  assertEquals(world.logged, [
    "rsvp rsvp-ann: POST /v1/events/guests/add answered 400: bounces",
    "rsvp rsvp-bob: POST /v1/events/guests/add answered 400: bounces",
    "rsvp rsvp-cyd: x is not a function",
  ]);
});

Deno.test("what the app holds on to is told again until it is settled, and nothing else is", async () => {
  const { world, settle, leases } = setUp({ "lease-bob": 1, "lease-cyd": 3 });
  await settle([done("ann"), done("bob"), done("cyd")]);
  assertEquals(leases(), [
    ["lease-ann", "lease-bob", "lease-cyd"],
    ["lease-bob", "lease-cyd"],
    ["lease-cyd"],
    ["lease-cyd"],
  ]);
  assertEquals(world.slept, [50, 50, 50]);
  assertEquals(world.told[3]?.settlements, [
    world.told[0]!.settlements[2]!,
  ]);
  assertEquals(world.logged, []);
});

Deno.test("an app that never lets go is waited for five seconds, and then left to the leases", async () => {
  const { world, settle, leases } = setUp({ "lease-ann": Infinity });
  await settle([done("ann"), done("bob")]);
  assertEquals(leases().length, 100);
  assertEquals(world.slept, Array(99).fill(50));
  assertEquals(world.logged, [
    `event ${JOB.id}: 1 RSVPs were locked for too long to be settled`,
  ]);
});

Deno.test("a batch of nobody costs no call", async () => {
  const { world, settle } = setUp();
  await settle([]);
  assertEquals(world.told, []);
  assertEquals(world.logged, []);
});

Deno.test("a database out of reach is the caller's to know, who lets the leases expire", async () => {
  const store = {
    settleGuests: () => Promise.reject(new StoreError("no database")),
  };
  const results = [done("ann")];
  await assertRejects(
    () =>
      settleGuests(JOB, results, {
        client: { getSelf: () => Promise.resolve({ id: "usr-1" }) },
        store,
        sleep: () => Promise.resolve(),
        log: () => {},
        dryRun: false,
      }),
    StoreError,
    "no database",
  );
});
