import { assert, assertEquals } from "@std/assert";
import type { GuestJob } from "./job.ts";
import type { GuestResult } from "./push_guests.ts";
import {
  ADD,
  became,
  callsOf,
  emailOf,
  guestJob,
  ids,
  IN_DOUBT,
  withGuests,
} from "./push_guests_for_tests.ts";

Deno.test("a guest in doubt who is there as wanted needs no more than a look", () =>
  withGuests(async (pushes) => {
    const known = [
      pushes.existing("ann"),
      pushes.existing("bob", "session"),
      pushes.existing("cyd", "declined"),
    ];
    const results = await pushes.push([
      guestJob("ann", IN_DOUBT),
      // On Luma's other way of coming.
      guestJob("bob", IN_DOUBT),
      guestJob("cyd", { ...IN_DOUBT, wanted: "declined" }),
    ]);
    assertEquals(pushes.calls(), Array(3).fill("guests/get 200"));
    assertEquals(became(results), [
      "ann done approved",
      "bob done approved",
      "cyd done declined",
    ]);
    assertEquals(ids(results), known);
  }));

Deno.test("a guest in doubt who is there with another status is changed in one call, by the id that was seen", () =>
  withGuests(async (pushes) => {
    const ann = pushes.existing("ann", "waitlist");
    const { id: bob } = pushes.simulator.host.invite(
      pushes.eventId,
      emailOf("bob"),
    );
    const results = await pushes.push([
      guestJob("ann", IN_DOUBT),
      guestJob("bob", { ...IN_DOUBT, luma_guest_id: "gst-old" }),
    ]);
    assertEquals(callsOf(results, "bob"), [
      "guests/get 200",
      "guests/update-status 200",
    ]);
    const sent = pushes.simulator.requests.slice(2).map(({ body }) => body);
    assertEquals<unknown>(
      sent.map((body) => Reflect.get(Object(body), "guest_id")),
      [ann, bob],
    );
    assertEquals(pushes.onLuma(), ["ann approved", "bob approved"]);
    assertEquals(ids(results), [ann, bob]);
  }));

Deno.test("a guest in doubt whom Luma has not is added if wanted, and otherwise left", () =>
  withGuests(async (pushes) => {
    const results = await pushes.push([
      guestJob("ann", IN_DOUBT),
      guestJob("bob", { ...IN_DOUBT, wanted: "declined" }),
    ]);
    assertEquals(pushes.calls(), [
      "guests/get 404",
      "guests/get 404",
      "guests/add 200",
    ]);
    assertEquals(became(results), ["ann done approved", "bob done null"]);
    assertEquals(callsOf(results, "bob"), ["guests/get 404"]);
    assertEquals(pushes.onLuma(), ["ann approved"]);
  }));

/** A clock that never shows the same time twice, so that the order of guests is certain. */
function ticking() {
  let time = Date.parse("2026-12-01T00:00:00Z");
  return () => time += 1_000;
}

Deno.test("four in doubt are looked at one by one, five in the list", () =>
  withGuests(async (pushes) => {
    const names = ["ann", "bob", "cyd", "dan", "eve"];
    const known = names.map((name) => pushes.existing(name));
    const guests = names.map((name) => guestJob(name, IN_DOUBT));
    await pushes.push(guests.slice(0, 4));
    assertEquals(pushes.calls(), Array(4).fill("guests/get 200"));
    pushes.simulator.clearRequests();
    // Luma may write an address as its owner does.
    pushes.simulator.event(pushes.eventId)!.guests[4]!.user_email =
      "Eve@Example.com";
    const results = await pushes.push(guests);
    assertEquals(pushes.calls(), ["guests/list 200"]);
    assertEquals(ids(results), known);
    assertEquals(callsOf(results, "eve"), ["guests/list 200"]);
  }));

Deno.test("the newest guests are read first, and no more pages than are needed", () =>
  withGuests(async (pushes) => {
    const names = ["old", "ann", "bob", "cyd", "dan", "eve"];
    names.forEach((name) => pushes.existing(name));
    pushes.simulator.host.invite(pushes.eventId, emailOf("invited"));
    await pushes.push(names.slice(1).map((name) => guestJob(name, IN_DOUBT)));
    assertEquals(pushes.calls(), Array(3).fill("guests/list 200"));
    const [first] = pushes.simulator.requests;
    assertEquals(first?.query["sort_column"], "registered_at");
    assertEquals(first?.query["sort_direction"], "desc nulls last");
  }, { pageSize: 2, now: ticking() }));

Deno.test("at most four pages are read, and who is not on them is added, which adds nobody twice", () =>
  withGuests(async (pushes) => {
    // Of these the two oldest are on the fifth page.
    const names = Array.from({ length: 10 }, (_, index) => `guest${index}`);
    const known = names.map((name) => pushes.existing(name));
    const results = await pushes.push(
      ["guest0", "guest2", "guest5", "guest9", "new"].map((name) =>
        guestJob(name, IN_DOUBT)
      ),
    );
    const looks = Array(4).fill("guests/list 200");
    assertEquals(pushes.calls(), [...looks, "guests/add 200"]);
    assertEquals(ids(results), [null, known[2], known[5], known[9], null]);
    assertEquals(pushes.onLuma(), [
      ...names.map((name) => `${name} approved`),
      "new approved",
    ]);
    assertEquals(callsOf(results, "guest9"), looks);
    assertEquals(callsOf(results, "new"), [...looks, "guests/add 200"]);
  }, { pageSize: 2, now: ticking() }));

Deno.test("a look that fails fails those who were looked for, as nothing that was done, and ends the work", () =>
  withGuests(async (pushes) => {
    const doubtful = (count: number) =>
      Array.from({ length: count }, (_, at) => guestJob(`g${at}`, IN_DOUBT));
    pushes.simulator.faults.add({ path: "/v1/events/guests/*", status: 500 });
    assertEquals(became(await pushes.push([...doubtful(2), guestJob("new")])), [
      "g0 failed",
      "g1 released",
      "new released",
    ]);
    assertEquals(became(await pushes.push([...doubtful(5), guestJob("new")])), [
      ...doubtful(5).map((_, at) => `g${at} failed`),
      "new released",
    ]);
    assertEquals(pushes.calls(), ["guests/get 500", "guests/list 500"]);
  }));

Deno.test("who cannot be looked for is sent nothing about, and keeps nobody else waiting", () =>
  withGuests(async (pushes) => {
    const path = "/v1/events/guests/get";
    pushes.simulator.faults.add({ path, count: 2, status: 400 });
    const results = await pushes.push([
      guestJob("ann", IN_DOUBT),
      guestJob("bob", { ...IN_DOUBT, wanted: "declined" }),
      guestJob("cyd", IN_DOUBT),
    ]);
    assertEquals(became(results), [
      "ann failed",
      "bob failed",
      "cyd done approved",
    ]);
    assertEquals(pushes.onLuma(), ["cyd approved"]);
  }));

/** What the database would ask for after these results. */
function nextGuests(results: GuestResult[]): GuestJob[] {
  return results.filter(({ outcome }) => outcome !== "done").map((result) =>
    result.outcome === "failed" && result.maybeApplied
      ? { ...result.guest, ...IN_DOUBT }
      : result.guest
  );
}

for (const when of ["before", "after"] as const) {
  Deno.test(`a batch that fails at any call, ${when} its effect, is made good by the next`, async () => {
    for (let nth = 1; nth <= 5; nth++) {
      await withGuests(async (pushes) => {
        pushes.existing("cyd");
        const guests = [
          guestJob("ann"),
          guestJob("bob", { wanted: "waitlist" }),
          guestJob("cyd", { agreed: "approved", wanted: "declined" }),
          guestJob("dan", IN_DOUBT),
          guestJob("eve", { ...IN_DOUBT, wanted: "declined" }),
        ];
        pushes.simulator.faults.add({ nth, count: 1, status: 503, when });
        const next = nextGuests(await pushes.push(guests));
        assert(next.length > 0, `call ${nth} failed nobody`);
        assertEquals(nextGuests(await pushes.push(next)), []);
        assertEquals(pushes.onLuma().sort(), [
          "ann approved",
          "bob waitlist",
          "cyd declined",
          "dan approved",
        ]);
        assertEquals(pushes.mailed(), []);
      });
    }
  });
}

Deno.test("guests whom Luma cannot add for a moment are added once it can, each once", () =>
  withGuests(async (pushes) => {
    const close = { path: ADD, close: true, when: "after" as const };
    const fault = pushes.simulator.faults.add(close);
    const results = await pushes.push([guestJob("ann"), guestJob("bob")]);
    fault.remove();
    pushes.simulator.clearRequests();
    assertEquals(nextGuests(await pushes.push(nextGuests(results))), []);
    assertEquals(pushes.calls(), Array(2).fill("guests/get 200"));
    assertEquals(pushes.onLuma(), ["ann approved", "bob approved"]);
  }));
