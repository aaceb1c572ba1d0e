import { assertEquals, assertRejects } from "@std/assert";
import { StoreError } from "../store.ts";
import { OutOfTime, Permits } from "./permits.ts";

/** How long a permit may be used, see permits.ts. */
const USABLE_MS = 1_500;

/** A pool on a clock that moves only by sleeping, and a database that grants what it is told to. */
function setUp(
  grant: (wanted: number) => { granted: number; wait_ms: number } = (
    wanted,
  ) => ({ granted: wanted, wait_ms: 0 }),
) {
  const world = {
    now: 0,
    asked: [] as string[],
    slept: [] as number[],
    answering: undefined as Promise<void> | undefined,
  };
  const permits = new Permits({
    store: {
      async takePermits(calendar, wanted) {
        world.asked.push(`${calendar} ${wanted}`);
        await world.answering;
        return grant(wanted);
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
