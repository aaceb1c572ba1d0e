/** `deno task chaos --fast`: some histories in one process, whether a seed repeats, and whether it can fail at all. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Act, Config, History } from "../../scripts/chaos/acts.ts";
import { history } from "../../scripts/chaos/generate.ts";
import {
  type HistoryDatabase,
  startHistoryDatabase,
} from "../../scripts/chaos/in_process/database.ts";
import { SCENARIOS } from "../../scripts/chaos/in_process/scenarios.ts";
import { sweep } from "../../scripts/chaos/in_process/sweep.ts";
import { VirtualWorld } from "../../scripts/chaos/in_process/world.ts";
import { type Outcome, play } from "../../scripts/chaos/run.ts";

const CONFIG: Config = {
  lossy: false,
  contended: false,
  cancelOnLuma: false,
  callsPerMinute: 2_000,
};

/** Also what happened, in order. */
async function played(
  database: HistoryDatabase,
  history: History,
): Promise<Outcome & { schedule: string[] }> {
  let schedule: string[] = [];
  const outcome = await play(history, async () => {
    const world = await VirtualWorld.start(history, database);
    schedule = world.network.schedule;
    return world;
  });
  return { ...outcome, schedule };
}

async function problemsOf(
  database: HistoryDatabase,
  acts: Act[],
): Promise<[string | undefined, string]> {
  const { failure } = await played(database, { seed: 1, config: CONFIG, acts });
  return [failure?.invariant, failure?.details.join("\n") ?? ""];
}

const undisturbed = {
  seed: 1,
  say: () => {},
  part: { every: Infinity, from: 1 },
};

function named(name: string) {
  const found = SCENARIOS.filter((scenario) => scenario.name === name);
  assertEquals(found.length, 1, name);
  return found;
}

Deno.test("histories in one process", async (t) => {
  await using database = await startHistoryDatabase(
    Deno.env.get("LUMA_STACK_POSTGRES"),
  );

  await t.step("end with both sides equal", async () => {
    let crashes = 0;
    let faults = 0;
    for (const seed of [1, 2]) {
      const { failure, counts } = await played(
        database,
        history(seed, 100, { inProcess: true }),
      );
      assertEquals(failure, null);
      assertEquals(counts.duplicates, 0);
      crashes += counts.crashes;
      faults += Object.values(counts.faults).reduce((sum, n) => sum + n, 0);
    }
    // Otherwise they have shown nothing.
    assert(crashes >= 5, `${crashes} crashes`);
    assert(faults >= 40, `${faults} faults`);
  });

  await t.step("are a function of their seed", async () => {
    const acts = history(3, 40, { inProcess: true });
    const first = await played(database, acts);
    const second = await played(database, acts);
    assert(first.schedule.length > 100, `${first.schedule.length} calls`);
    assertEquals(second.schedule, first.schedule);
  });

  const create: Act = {
    do: "create",
    event: 1,
    culture: null,
    priced: false,
    going: null,
    pause: 5_000,
  };
  await t.step("fail over a second Luma event", async () => {
    const [invariant, details] = await problemsOf(database, [
      create,
      { do: "tamper", what: "second-luma-event", event: 1 },
    ]);
    assertEquals(invariant, "one-luma-event-per-row");
    assertStringIncludes(details, "has 2 Luma events");
  });

  await t.step("fail when a guard is gone", async () => {
    const [slugTaken] = await database.admin`
      select pg_get_functiondef('public.luma_slug_taken(uuid)'::regprocedure) as text`;
    const mended: string = slugTaken!.text;
    const before = mended.replace(
      "create_lease = o.lease, create_state = o.lease_state",
      "create_lease = null, create_state = null",
    );
    assert(before !== mended);
    await database.admin.unsafe(before);
    const { failed } = await sweep(database, {
      ...undisturbed,
      scenarios: named("somebody else has our address"),
    });
    await database.admin.unsafe(mended);
    assertEquals(failed.map(({ outcome }) => outcome.failure?.invariant), [
      "one-row-per-luma-event",
    ]);
  });

  // What the sweep has found: each failed without any fault before it was mended.
  for (
    const name of [
      "somebody else has our address",
      "deleted, where the cancelled are cancelled on Luma",
    ]
  ) {
    await t.step(`${name}: some of its calls are disturbed`, async () => {
      const { failed, runs } = await sweep(database, {
        seed: 1,
        say: () => {},
        part: { every: 12, from: 5 },
        scenarios: named(name),
      });
      assertEquals(
        failed.map(({ call, outcome }) => [call, outcome.failure?.details]),
        [],
      );
      assert(runs > 1, `${runs} runs`);
    });
  }
});
