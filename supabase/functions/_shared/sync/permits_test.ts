import { assertEquals, assertRejects } from "@std/assert";
import { StoreError } from "../store.ts";
import { OutOfTime, Permits } from "./permits.ts";

/** How long a permit may be used, see permits.ts. */
const USABLE_MS = 1_200;

/** A pool on a clock that moves only by sleeping, and a database that grants what it is told to. */
function setUp(
  grant: (
    wanted: number,
  ) => { granted: number; wait_ms: number; after_ms?: number } = (
    wanted,
  ) => ({ granted: wanted, wait_ms: 0 }),
) {
  const world = {
    now: 0,
    asked: [] as string[],
    returned: [] as string[],
    slept: [] as number[],
    answering: undefined as Promise<void> | undefined,
  };
  const permits = new Permits({
    store: {
      async takePermits(calendar, wanted) {
        world.asked.push(`${calendar} ${wanted}`);
        await world.answering;
        return { after_ms: 0, ...grant(wanted) };
      },
      returnPermits(calendar, unused) {
        world.returned.push(`${calendar} ${unused}`);
        return Promise.resolve();
      },
    },
    now: () => world.now,
    sleep: (ms) => {
      world.slept.push(ms);
      world.now += ms;
      return Promise.resolve();
    },
    deadline: 50_000,
  });
  return { world, permits };
}

Deno.test("permits in hand are used without asking, each once", async () => {
  const { world, permits } = setUp();
  permits.add("blr", 2, 0);
  assertEquals(await permits.take("blr"), USABLE_MS);
  assertEquals(await permits.take("blr"), USABLE_MS);
  assertEquals(world.asked, []);
  await permits.take("blr");
  assertEquals(world.asked, ["blr 1"]);
});

Deno.test("a permit whose time is over is never used", async () => {
  const { world, permits } = setUp();
  permits.add("blr", 5, 0);
  world.now = USABLE_MS - 1;
  await permits.take("blr");
  assertEquals(world.asked, []);
  world.now = USABLE_MS;
  assertEquals(await permits.take("blr"), 2 * USABLE_MS);
  assertEquals(world.asked, ["blr 1"]);
  // Nor is it lost: four of five were left.
  assertEquals(world.returned, ["blr 4"]);
});

Deno.test("a permit's time runs from before the database was asked", async () => {
  const { world, permits } = setUp();
  const slow = Promise.withResolvers<void>();
  world.answering = slow.promise;
  const taken = permits.take("blr");
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(world.asked, ["blr 1"]);
  world.now = USABLE_MS;
  world.answering = undefined;
  slow.resolve();
  // The answer came too late to be used: another one was asked for.
  assertEquals(await taken, 2 * USABLE_MS);
  assertEquals(world.asked, ["blr 1", "blr 1"]);
});

Deno.test("a permit that the database gave late in its answer is good for longer", async () => {
  const { permits } = setUp((wanted) => ({
    granted: wanted,
    after_ms: 900,
    wait_ms: 0,
  }));
  assertEquals(await permits.take("blr"), 900 + USABLE_MS);
});

Deno.test("one calendar's permits are not another's", async () => {
  const { world, permits } = setUp();
  permits.add("blr", 1, 0);
  await permits.take("zo_events");
  assertEquals(world.asked, ["zo_events 1"]);
});

Deno.test("all who wait for a calendar ask in one request", async () => {
  const { world, permits } = setUp();
  await Promise.all([
    permits.take("blr"),
    permits.take("zo_events"),
    permits.take("blr"),
    permits.take("blr"),
  ]);
  assertEquals(world.asked.sort(), ["blr 3", "zo_events 1"]);
});

Deno.test("those who come during a request are asked for in the next one, each once", async () => {
  const { world, permits } = setUp();
  const slow = Promise.withResolvers<void>();
  world.answering = slow.promise;
  const first = permits.take("blr");
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(world.asked, ["blr 1"]);
  const others = [permits.take("blr"), permits.take("blr")];
  slow.resolve();
  await Promise.all([first, ...others]);
  assertEquals(world.asked, ["blr 1", "blr 2"]);
});

Deno.test("when fewer are granted than wanted, those who went without ask again", async () => {
  const { world, permits } = setUp((wanted) => ({
    granted: Math.min(2, wanted),
    wait_ms: 0,
  }));
  await Promise.all([1, 2, 3, 4, 5].map(() => permits.take("blr")));
  assertEquals(world.asked, ["blr 5", "blr 3", "blr 1"]);
});

Deno.test("with none granted the pool waits as long as the database says", async () => {
  const answers = [
    { granted: 0, wait_ms: 700 },
    { granted: 0, wait_ms: 50 },
    { granted: 1, wait_ms: 0 },
  ];
  const { world, permits } = setUp(() => answers.shift()!);
  assertEquals(await permits.take("blr"), 750 + USABLE_MS);
  assertEquals(world.slept, [700, 50]);
});

Deno.test("who has little patience gives up at once, and leaves the wait to the others", async () => {
  const asked: number[] = [];
  const waited = Promise.withResolvers<void>();
  let left = 0;
  const permits = new Permits({
    store: {
      takePermits(_calendar, wanted) {
        asked.push(wanted);
        const granted = Math.min(left, wanted);
        return Promise.resolve({
          granted,
          after_ms: 0,
          wait_ms: granted ? 0 : 20_000,
        });
      },
      returnPermits: () => Promise.resolve(),
    },
    now: () => 0,
    sleep: () => waited.promise,
    deadline: 50_000,
  });
  const patient = permits.take("blr");
  const impatient = permits.take("blr", 1_000);
  // Only who waits however long it takes counts: five calls of one batch are not five jobs that rest.
  assertEquals(permits.waiting, 1);
  await assertRejects(() => impatient, OutOfTime);
  // Also while the others are waiting already.
  await assertRejects(() => permits.take("blr", 19_999), OutOfTime);
  assertEquals({ asked, waiting: permits.waiting }, { asked: [2], waiting: 1 });
  left = 5;
  waited.resolve();
  await patient;
  // Nothing is asked for those who have gone.
  assertEquals(asked, [2, 1]);
});

Deno.test("nobody waits beyond the deadline", async () => {
  const { world, permits } = setUp(() => ({ granted: 0, wait_ms: 30_000 }));
  const results = await Promise.allSettled([
    permits.take("blr"),
    permits.take("blr"),
  ]);
  for (const result of results) {
    assertEquals(result.status, "rejected");
    assertEquals(
      result.status === "rejected" && result.reason instanceof OutOfTime,
      true,
    );
  }
  assertEquals(world.slept, [30_000, 20_000]);
  assertEquals(world.asked, ["blr 2", "blr 2"]);
});

Deno.test("at the deadline a permit in hand is still used, and none is asked for", async () => {
  const { world, permits } = setUp();
  world.now = 50_000;
  permits.add("blr", 1, 50_000);
  await permits.take("blr");
  await assertRejects(() => permits.take("blr"), OutOfTime);
  assertEquals(world.asked, []);
});

Deno.test("a database that cannot be reached fails all who wait, and not those who come later", async () => {
  const { world, permits } = setUp();
  world.answering = Promise.reject(new StoreError("no database"));
  const results = await Promise.allSettled([
    permits.take("blr"),
    permits.take("blr"),
  ]);
  assertEquals(results.map(({ status }) => status), ["rejected", "rejected"]);
  world.answering = undefined;
  await permits.take("blr");
  assertEquals(world.asked, ["blr 2", "blr 1"]);
});
