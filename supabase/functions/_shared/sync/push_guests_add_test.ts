import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LumaError } from "../luma/errors.ts";
import { LeaseLost } from "./leases.ts";
import { OutOfTime } from "./permits.ts";
import type { GuestResult } from "./push_guests.ts";
import {
  ADD,
  became,
  callsOf,
  emailOf,
  guestJob,
  type GuestPushes,
  withGuests,
} from "./push_guests_for_tests.ts";

const BOUNCES = "guests: an address that bounces";

/** Makes Luma refuse every call that adds one of these. */
function refuse({ simulator }: GuestPushes, names: string[], status = 400) {
  for (const name of names) {
    const contains = JSON.stringify(emailOf(name));
    simulator.faults.add({ path: ADD, contains, status, message: BOUNCES });
  }
}

function named(names: string[], changes: Parameters<typeof guestJob>[1] = {}) {
  return names.map((name) => guestJob(name, changes));
}

function hundred(): string[] {
  return Array.from({ length: 100 }, (_, index) => `guest${index}`);
}

/** The names of those who failed, each of which must be for Luma's own reason and surely without an effect. */
function refused(results: GuestResult[]): string[] {
  return results.flatMap((result) => {
    if (result.outcome === "done") return [];
    assert(result.outcome === "failed", "nobody is given back");
    assert(result.error instanceof LumaError);
    assertEquals(result.error.lumaMessage, BOUNCES);
    assertEquals(result.maybeApplied, false);
    return [result.guest.email.replace("@example.com", "")];
  });
}

/** Each guest's calls must be those that named the guest, and no others. */
function checkCalls({ simulator }: GuestPushes, results: GuestResult[]) {
  for (const { guest, calls } of results) {
    const about = simulator.requests.filter(({ body }) =>
      JSON.stringify(body).includes(JSON.stringify(guest.email))
    );
    assertEquals(
      calls.map(({ route, status }) => `${route} ${status}`),
      about.map(({ method, path, status }) => `${method} ${path} ${status}`),
    );
  }
}

Deno.test("of a hundred guests one that Luma refuses fails alone, found in a few calls", async () => {
  for (const bad of ["guest0", "guest50", "guest99"]) {
    await withGuests(async (pushes) => {
      refuse(pushes, [bad]);
      const results = await pushes.push(named(hundred()));
      assertEquals(refused(results), [bad]);
      const others = hundred().filter((name) => name !== bad);
      assertEquals(
        pushes.onLuma().sort(),
        others.map((name) => `${name} approved`).sort(),
      );
      const { length } = pushes.calls();
      assert(length <= 1 + 2 * 7, `${length} calls`);
      checkCalls(pushes, results);
    });
  }
});

Deno.test("two guests that Luma refuses fail alone, wherever they stand", async () => {
  for (const bad of [["guest0", "guest99"], ["guest41", "guest42"]]) {
    await withGuests(async (pushes) => {
      refuse(pushes, bad);
      const results = await pushes.push(named(hundred()));
      assertEquals(refused(results), bad);
      assertEquals(pushes.onLuma().length, 98);
      const { length } = pushes.calls();
      assert(length <= 1 + 2 * 2 * 7, `${length} calls`);
      checkCalls(pushes, results);
    });
  }
});

Deno.test("guests that Luma refuses one and all fail, each for what it said of them alone", () =>
  withGuests(async (pushes) => {
    const names = ["ann", "bob", "cyd", "dan"];
    refuse(pushes, names);
    const results = await pushes.push(named(names));
    assertEquals(refused(results), names);
    assertEquals(pushes.onLuma(), []);
    assertEquals(pushes.calls(), Array(7).fill("guests/add 400"));
    assertEquals(callsOf(results, "ann"), Array(3).fill("guests/add 400"));
    checkCalls(pushes, results);
  }));

Deno.test("one guest alone whom Luma refuses is one call", () =>
  withGuests(async (pushes) => {
    refuse(pushes, ["ann"]);
    assertEquals(refused(await pushes.push(named(["ann"]))), ["ann"]);
    assertEquals(pushes.calls(), ["guests/add 400"]);
  }));

Deno.test("whichever guests Luma refuses, they fail and all others are added", async () => {
  const batch = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });
  await withGuests(async (pushes) => {
    await fc.assert(
      fc.asyncProperty(batch, async (bads) => {
        pushes.simulator.faults.clear();
        pushes.simulator.clearRequests();
        pushes.simulator.event(pushes.eventId)!.guests = [];
        const names = bads.map((_, index) => `guest${index}`);
        const bad = names.filter((_, index) => bads[index]);
        refuse(pushes, bad);
        const results = await pushes.push(named(names));
        assertEquals(refused(results), bad);
        const good = names.filter((name) => !bad.includes(name));
        assertEquals(
          pushes.onLuma(),
          good.map((name) => `${name} approved`),
        );
        assert(pushes.calls().length < 2 * names.length);
        checkCalls(pushes, results);
      }),
      { numRuns: 40 },
    );
  }, { rateLimitPerMinute: 100_000 });
});

Deno.test("every refusal that may be one guest's fault leads to that guest", async () => {
  for (const status of [400, 402, 409, 413, 422]) {
    await withGuests(async (pushes) => {
      refuse(pushes, ["bob"], status);
      const results = await pushes.push(named(["ann", "bob", "cyd"]));
      assertEquals(refused(results), ["bob"]);
      assertEquals(pushes.onLuma(), ["ann approved", "cyd approved"]);
    });
  }
});

Deno.test("a guest that Luma refuses keeps nobody of another status from being added", () =>
  withGuests(async (pushes) => {
    refuse(pushes, ["ann"]);
    const results = await pushes.push([
      ...named(["bob"], { wanted: "waitlist" }),
      ...named(["ann"]),
      ...named(["cyd"], { wanted: "declined" }),
    ]);
    assertEquals(became(results), [
      "bob done waitlist",
      "ann failed",
      "cyd done null",
    ]);
  }));

Deno.test("an event that Luma no longer has fails all guests in one call", () =>
  withGuests(async (pushes) => {
    pushes.simulator.host.cancelEvent(pushes.eventId);
    const results = await pushes.push(named(["ann", "bob", "cyd"]));
    assertEquals(became(results), ["ann failed", "bob failed", "cyd failed"]);
    assertEquals(pushes.calls(), ["guests/add 404"]);
    const errors = results.map((result) =>
      result.outcome === "failed" ? result.error : null
    );
    // One error, so that it is explained and logged only once.
    assertEquals(new Set(errors).size, 1);
  }));

Deno.test("a refusal that is about no guest fails all of its call, and nothing follows it", async () => {
  const maybe = [408, 429, 500, 503];
  for (const status of [401, 403, 404, 408, 425, 429, 500, 503]) {
    await withGuests(async (pushes) => {
      refuse(pushes, ["bob"], status);
      const results = await pushes.push([
        ...named(["ann", "bob"]),
        ...named(["cyd"], { wanted: "waitlist" }),
      ]);
      const failed = maybe.includes(status) ? "failed maybe applied" : "failed";
      assertEquals(became(results), [
        `ann ${failed}`,
        `bob ${failed}`,
        "cyd released",
      ]);
      assertEquals(pushes.calls(), [`guests/add ${status}`]);
      assertEquals(callsOf(results, "cyd"), []);
    });
  }
});

for (const when of ["before", "after"] as const) {
  Deno.test(`guests whose call breaks off ${when} its effect may have been added, and nothing follows it`, async () => {
    for (const how of [{ close: true }, { status: 500 }]) {
      await withGuests(async (pushes) => {
        pushes.simulator.faults.add({ path: ADD, when, ...how });
        const results = await pushes.push([
          ...named(["ann", "bob"]),
          ...named(["cyd"], { wanted: "waitlist" }),
        ]);
        assertEquals(became(results), [
          "ann failed maybe applied",
          "bob failed maybe applied",
          "cyd released",
        ]);
        const status = "status" in how ? how.status : null;
        assertEquals(callsOf(results, "ann"), [`guests/add ${status}`]);
        const added = ["ann approved", "bob approved"];
        assertEquals(pushes.onLuma(), when === "after" ? added : []);
      });
    }
  });
}

const FOUR = ["ann", "bob", "cyd", "dan"];

Deno.test("a lease or the time that ends in the middle of a search leaves who was added, and gives back the rest", async () => {
  for (const end of [new OutOfTime(), new LeaseLost()]) {
    await withGuests(async (pushes) => {
      refuse(pushes, ["dan"]);
      let calls = 0;
      pushes.clientOptions.beforeCall = () =>
        ++calls === 3 ? Promise.reject(end) : Promise.resolve();
      const results = await pushes.push([
        ...named(FOUR),
        ...named(["eve"], { wanted: "waitlist" }),
      ]);
      assertEquals(became(results), [
        "ann done approved",
        "bob done approved",
        "cyd released",
        "dan released",
        "eve released",
      ]);
      assertEquals(calls, 3);
      checkCalls(pushes, results);
    });
  }
});

Deno.test("a call that breaks off in the middle of a search fails only its own guests", () =>
  withGuests(async (pushes) => {
    refuse(pushes, ["ann"]);
    pushes.simulator.faults.add({
      path: ADD,
      contains: emailOf("bob"),
      status: 502,
    });
    const results = await pushes.push(named(FOUR));
    assertEquals(became(results), [
      "ann failed",
      "bob failed maybe applied",
      "cyd released",
      "dan released",
    ]);
    checkCalls(pushes, results);
    assertEquals(callsOf(results, "bob"), [
      "guests/add 400",
      "guests/add 400",
      "guests/add 502",
    ]);
  }));
