import { assert, assertEquals } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import { StoreError } from "../store.ts";
import { LeaseLost } from "./leases.ts";
import { OutOfTime } from "./permits.ts";
import {
  became,
  callsOf,
  emailOf,
  guestJob,
  ids,
  IN_DOUBT,
  UPDATE,
  withGuests,
} from "./push_guests_for_tests.ts";

Deno.test("new guests are one call, with their names", () =>
  withGuests(async (pushes) => {
    const results = await pushes.push([
      guestJob("ann", { name: " Ann\nB. " }),
      guestJob("bob", { name: null }),
      guestJob("cyd"),
    ]);
    assertEquals(pushes.calls(), ["guests/add 200"]);
    assertEquals(pushes.body(0), {
      event_id: pushes.eventId,
      guests: [
        { email: "ann@example.com", name: "Ann B." },
        { email: "bob@example.com" },
        { email: "cyd@example.com", name: "cyd" },
      ],
      approval_status: "approved",
      send_email: false,
    });
    assertEquals(became(results), [
      "ann done approved",
      "bob done approved",
      "cyd done approved",
    ]);
    // Adding answers no ids.
    assertEquals(ids(results), [null, null, null]);
  }));

Deno.test("new guests of several statuses are one call for each status", () =>
  withGuests(async (pushes) => {
    await pushes.push([
      guestJob("ann", { wanted: "waitlist" }),
      guestJob("bob"),
      guestJob("cyd", { wanted: "pending_approval" }),
      guestJob("dan", { wanted: "waitlist" }),
    ]);
    assertEquals(pushes.calls(), Array(3).fill("guests/add 200"));
    assertEquals(pushes.onLuma().sort(), [
      "ann waitlist",
      "bob approved",
      "cyd pending_approval",
      "dan waitlist",
    ]);
  }));

for (const send_email of [true, false]) {
  Deno.test(`with send_email ${send_email}, ${send_email ? "each" : "no"} guest who is added or changed is mailed`, () =>
    withGuests(async (pushes) => {
      pushes.existing("bob");
      pushes.job = { send_email };
      await pushes.push([
        guestJob("ann"),
        guestJob("bob", { agreed: "approved", wanted: "waitlist" }),
      ]);
      assertEquals(pushes.onLuma(), ["bob waitlist", "ann approved"]);
      const all = ["bob@example.com", "ann@example.com"];
      assertEquals(pushes.mailed(), send_email ? all : []);
    }));
}

Deno.test("a guest whom Luma has is changed by id, or else by e-mail, one call each", () =>
  withGuests(async (pushes) => {
    const id = pushes.existing("ann");
    pushes.existing("bob", "waitlist");
    const results = await pushes.push([
      guestJob("ann", {
        agreed: "approved",
        wanted: "declined",
        luma_guest_id: id,
      }),
      guestJob("bob", { agreed: "waitlist" }),
    ]);
    assertEquals(pushes.calls(), Array(2).fill("guests/update-status 200"));
    const { eventId: event_id } = pushes;
    const send_email = false;
    assertEquals(
      [pushes.body(0), pushes.body(1)],
      [
        { event_id, guest_id: id, status: "declined", send_email },
        { event_id, guest_id: emailOf("bob"), status: "approved", send_email },
      ],
    );
    assertEquals(became(results), ["ann done declined", "bob done approved"]);
    assertEquals(ids(results), [id, null]);
    assertEquals(callsOf(results, "ann"), ["guests/update-status 200"]);
  }));

Deno.test("a guest who is as both sides agreed costs no call", () =>
  withGuests(async (pushes) => {
    const guest = guestJob("ann", { agreed: "approved", luma_guest_id: "g" });
    const results = await pushes.push([guest]);
    assertEquals(pushes.calls(), []);
    assertEquals(became(results), ["ann done approved"]);
    assertEquals(ids(results), ["g"]);
  }));

Deno.test("to decline a guest whom Luma has not is done, and nobody is added", () =>
  withGuests(async (pushes) => {
    const results = await pushes.push([
      guestJob("ann", { agreed: "approved", wanted: "declined" }),
      guestJob("bob", { wanted: "declined" }),
    ]);
    assertEquals(pushes.calls(), ["guests/update-status 404"]);
    assertEquals(became(results), ["ann done null", "bob done null"]);
    assertEquals(pushes.onLuma(), []);
  }));

Deno.test("a guest whom Luma has lost is added with the others", () =>
  withGuests(async (pushes) => {
    const results = await pushes.push([
      guestJob("ann", { agreed: "approved", wanted: "waitlist" }),
      guestJob("bob", { wanted: "waitlist" }),
    ]);
    const calls = ["guests/update-status 404", "guests/add 200"];
    assertEquals(pushes.calls(), calls);
    assertEquals(pushes.onLuma(), ["ann waitlist", "bob waitlist"]);
    assertEquals(became(results), ["ann done waitlist", "bob done waitlist"]);
    assertEquals(callsOf(results, "ann"), calls);
    assertEquals(callsOf(results, "bob"), ["guests/add 200"]);
  }));

Deno.test("a guest who is there under another id than we know is declined all the same", () =>
  withGuests(async (pushes) => {
    const luma_guest_id = pushes.existing("ann");
    pushes.lose("ann");
    const guest = guestJob("ann", { agreed: "declined", luma_guest_id });
    await pushes.push([guest]);
    assertEquals(pushes.onLuma(), ["ann approved"]);
    const results = await pushes.push([
      { ...guest, agreed: "approved", wanted: "declined" },
    ]);
    assertEquals(pushes.onLuma(), ["ann declined"]);
    assertEquals(became(results), ["ann done declined"]);
  }));

Deno.test("a change that Luma refuses for that guest fails alone", () =>
  withGuests(async (pushes) => {
    pushes.existing("ann");
    pushes.existing("bob");
    const contains = emailOf("ann");
    const message = "status: has a paid ticket";
    pushes.simulator.faults.add({ contains, status: 400, message });
    const changed = { agreed: "approved", wanted: "declined" } as const;
    const results = await pushes.push([
      guestJob("ann", changed),
      guestJob("bob", changed),
      guestJob("cyd"),
    ]);
    assertEquals(became(results), [
      "ann failed",
      "bob done declined",
      "cyd done approved",
    ]);
    const [ann] = results;
    assert(ann?.outcome === "failed" && ann.error instanceof LumaError);
    assertEquals(ann.error.lumaMessage, message);
  }));

Deno.test("changes are made at once, each with its own end, and no addition follows one that failed for another reason", () =>
  withGuests(async (pushes) => {
    const changed = { agreed: "approved", wanted: "declined" } as const;
    for (const status of [401, 403, 429, 500]) {
      pushes.simulator.faults.clear();
      pushes.simulator.clearRequests();
      pushes.existing("bob");
      pushes.simulator.faults.add({ path: UPDATE, contains: "ann@", status });
      const results = await pushes.push([
        guestJob("ann", changed),
        guestJob("bob", changed),
        guestJob("cyd"),
      ]);
      assertEquals(became(results), [
        status < 429 ? "ann failed" : "ann failed maybe applied",
        "bob done declined",
        "cyd released",
      ]);
      assertEquals(pushes.calls().toSorted(), [
        "guests/update-status 200",
        `guests/update-status ${status}`,
      ]);
      assertEquals(callsOf(results, "ann"), [`guests/update-status ${status}`]);
      assertEquals(callsOf(results, "bob"), ["guests/update-status 200"]);
    }
  }));

Deno.test("a lease or the time that is over before the first call gives everybody back", async () => {
  for (const end of [new OutOfTime(), new LeaseLost()]) {
    for (const count of [0, 1, 5]) {
      await withGuests(async (pushes) => {
        pushes.clientOptions.beforeCall = () => Promise.reject(end);
        const results = await pushes.push([
          ...Array.from(
            { length: count },
            (_, at) => guestJob(`g${at}`, { ...IN_DOUBT, wanted: "declined" }),
          ),
          guestJob("ann", { agreed: "approved", wanted: "declined" }),
          guestJob("bob"),
          guestJob("cyd", { wanted: "waitlist" }),
        ]);
        assert(results.every(({ outcome }) => outcome === "released"));
        assert(results.every(({ calls }) => calls.length === 0));
        assertEquals(pushes.calls(), []);
      });
    }
  }
});

Deno.test("time that runs out between two calls leaves what was done, and gives back the rest", () =>
  withGuests(async (pushes) => {
    pushes.existing("ann");
    let calls = 0;
    pushes.clientOptions.beforeCall = () =>
      ++calls === 2 ? Promise.reject(new OutOfTime()) : Promise.resolve();
    const changed = { agreed: "approved", wanted: "declined" } as const;
    const results = await pushes.push([
      guestJob("ann", changed),
      guestJob("bob", changed),
      guestJob("cyd"),
    ]);
    assertEquals(became(results), [
      "ann done declined",
      "bob released",
      "cyd released",
    ]);
    assertEquals(calls, 2);
  }));

Deno.test("an error that is not Luma's ends the work, and its guests are looked at next time", () =>
  withGuests(async (pushes) => {
    pushes.clientOptions.beforeCall = () =>
      Promise.reject(new StoreError("no database"));
    const waiting = guestJob("bob", { wanted: "waitlist" });
    const results = await pushes.push([guestJob("ann"), waiting]);
    assertEquals(became(results), ["ann failed maybe applied", "bob released"]);
  }));
