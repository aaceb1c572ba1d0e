import { assertEquals, assertRejects } from "@std/assert";
import { StoreError } from "../store.ts";
import { Leases } from "./leases.ts";
import { LeaseLost } from "./leases.ts";

const LEASE_MS = 30_000;
const CALL_MS = 10_000;

/** Leases on a clock that stands still, and a database that answers what it is told to. */
function setUp(held: string[] = ["a", "b"]) {
  const world = {
    now: 0,
    held,
    renewals: 0,
    /** What the next renewal waits for, or fails with. */
    answering: undefined as Promise<void> | undefined,
  };
  const leases = new Leases({
    store: {
      async renew(runId) {
        assertEquals(runId, "run-1");
        world.renewals++;
        await world.answering;
        return world.held;
      },
    },
    runId: "run-1",
    leaseMs: LEASE_MS,
    now: () => world.now,
  });
  return { world, leases };
}

Deno.test("a lease with enough time left is not renewed", async () => {
  const { world, leases } = setUp();
  leases.add(["a"], 0);
  world.now = LEASE_MS - CALL_MS;
  await leases.ensure(["a"], CALL_MS);
  assertEquals(world.renewals, 0);
});

Deno.test("a lease runs from when it was asked for, not from the answer", async () => {
  const { world, leases } = setUp();
  world.now = 25_000;
  leases.add(["a"], 0);
  await leases.ensure(["a"], CALL_MS);
  assertEquals(world.renewals, 1);
});

Deno.test("a lease that would end during the call is renewed first, with all the others", async () => {
  const { world, leases } = setUp();
  leases.add(["a", "b"], 0);
  world.now = LEASE_MS - CALL_MS + 1;
  await leases.ensure(["a"], CALL_MS);
  await leases.ensure(["b"], CALL_MS);
  assertEquals(world.renewals, 1);
  // Renewed from the moment of asking: it is good until then plus a whole lease.
  world.now += LEASE_MS - CALL_MS;
  await leases.ensure(["a"], CALL_MS);
  assertEquals(world.renewals, 1);
});

Deno.test("a lease that the database gave to somebody else is lost, and stays lost", async () => {
  const { world, leases } = setUp(["b"]);
  leases.add(["a", "b"], 0);
  world.now = LEASE_MS;
  await assertRejects(() => leases.ensure(["a"], CALL_MS), LeaseLost);
  await leases.ensure(["b"], CALL_MS);
  world.held = ["a", "b"];
  await assertRejects(() => leases.ensure(["a"], CALL_MS), LeaseLost);
});

Deno.test("a lease that was never ours is lost", async () => {
  const { leases } = setUp();
  await assertRejects(() => leases.ensure(["other"], CALL_MS), LeaseLost);
});

Deno.test("a renewal that took longer than the lease leaves nothing to rely on", async () => {
  const { world, leases } = setUp();
  const answer = Promise.withResolvers<void>();
  world.answering = answer.promise;
  leases.add(["a"], 0);
  world.now = LEASE_MS;
  const ensured = leases.ensure(["a"], CALL_MS);
  world.now += LEASE_MS;
  answer.resolve();
  await assertRejects(() => ensured, LeaseLost);
});

Deno.test("a lease that was settled during a renewal does not come back", async () => {
  const { world, leases } = setUp();
  const answer = Promise.withResolvers<void>();
  world.answering = answer.promise;
  leases.add(["a"], 0);
  const renewed = leases.renew();
  leases.drop("a");
  answer.resolve();
  await renewed;
  world.held = [];
  await assertRejects(() => leases.ensure(["a"], CALL_MS), LeaseLost);
});

Deno.test("a lease that was taken during a renewal is not lost by it", async () => {
  const { world, leases } = setUp(["a"]);
  const answer = Promise.withResolvers<void>();
  world.answering = answer.promise;
  leases.add(["a"], 0);
  const renewed = leases.renew();
  leases.add(["c"], 0);
  answer.resolve();
  await renewed;
  await leases.ensure(["c"], CALL_MS);
  assertEquals(world.renewals, 1);
});

Deno.test("whoever needs a renewal at the same time shares one, and the next is a new one", async () => {
  const { world, leases } = setUp();
  leases.add(["a", "b"], 0);
  world.now = LEASE_MS;
  await Promise.all([
    leases.ensure(["a"], CALL_MS),
    leases.ensure(["b"], CALL_MS),
    leases.renew(),
  ]);
  assertEquals(world.renewals, 1);
  await leases.renew();
  assertEquals(world.renewals, 2);
});

Deno.test("a renewal that fails is told, and the next one works", async () => {
  const { world, leases } = setUp();
  leases.add(["a"], 0);
  world.now = LEASE_MS;
  world.answering = Promise.reject(new StoreError("no database"));
  await assertRejects(() => leases.ensure(["a"], CALL_MS), StoreError);
  world.answering = undefined;
  await leases.ensure(["a"], CALL_MS);
});
