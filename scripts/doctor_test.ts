/** `deno task doctor` on a healthy project, and what it makes of times and versions that no test can bring about. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type postgres from "postgres";
import type { Finding, Result, Scene } from "./doctor/check.ts";
import { CHECKS } from "./doctor/checks.ts";
import { CHECK_IDS, type CheckId } from "./doctor/ids.ts";
import { examine, healthy, results } from "./doctor/testing.ts";
import { hostedTest } from "./setup/testing.ts";

hostedTest(
  "on a healthy project every check is ok, and nothing is changed by looking",
  async (hosted) => {
    await healthy(hosted);
    const { stack } = hosted;
    stack.simulator.clearRequests();
    const { code, text } = await examine(hosted, ["--strict"]);
    assertEquals(code, 0, text);
    assertEquals(
      text.match(/(?<=^✓ )\S+/gm),
      [...CHECK_IDS],
      text,
    );
    assertStringIncludes(text, "32 ok, 0 warnings, 0 failures, 0 skipped");
    assert(stack.simulator.requests.every(({ method }) => method === "GET"));
    const [heard] = await stack.sql`
      select count(*)::int as deliveries, luma.heard_from('blr') as heard from luma.webhook_inbox`;
    assertEquals({ ...heard }, { deliveries: 0, heard: null });
    const json = JSON.parse((await examine(hosted, ["--json"])).text);
    assertEquals(json.ok, true);
    assertEquals(json.checks.map(({ id }: Result) => id), [...CHECK_IDS]);

    await stack.sql`select luma.set_mode('off')`;
    const off = await examine(hosted);
    assertEquals(off.code, 0);
    assertStringIncludes(off.text, "! mode                   off");
    assertStringIncludes(off.text, "→ select luma.set_mode('live');");
    assertEquals((await examine(hosted, ["--strict"])).code, 1);
    assertEquals((await examine(hosted, ["--loud"])).code, 2);
  },
  { migrate: true },
);

Deno.test("the checks are made in the order of their ids, each after what it needs", () => {
  assertEquals(CHECKS.map(({ id }) => id), [...CHECK_IDS]);
  for (const [index, { id, needs }] of CHECKS.entries()) {
    for (const need of needs) {
      assert(CHECK_IDS.indexOf(need) < index, `${id} needs ${need}`);
    }
  }
});

/** What a check finds when every query answers this row. */
async function foundIn(id: CheckId, row: postgres.Row): Promise<Finding> {
  const sql = (() => Promise.resolve([row])) as unknown as postgres.Sql;
  const scene = { sql: () => sql } as Partial<Scene> as Scene;
  return await CHECKS.find((check) => check.id === id)!.look(scene);
}

Deno.test("an old Postgres, and jobs that do not run any more, are told", async () => {
  const old = await foundIn("postgres-version", {
    number: 140_011,
    version: "14.11",
  });
  assertEquals(old.level, "failure");
  assertStringIncludes(old.fix, "Postgres is version 14.11, but 15");

  const drain = { jobname: "luma-drain", status: "succeeded", message: "" };
  const never = await foundIn("jobs-run", {
    ...drain,
    status: null,
    minutes: null,
  });
  assertEquals([never.level, never.found], [
    "warning",
    "luma-drain has not run yet",
  ]);
  const late = await foundIn("jobs-run", { ...drain, minutes: 7.2 });
  assertEquals([late.level, late.found], [
    "failure",
    "luma-drain last ran 7 minutes ago",
  ]);
  assertEquals(
    (await foundIn("jobs-run", { ...drain, minutes: 0.5 })).level,
    "ok",
  );
});

Deno.test("a clock of the database that is off warns from half a minute, and fails from five", async () => {
  const found = async (seconds: number) => {
    const { level, found } = await foundIn("clock-database", {
      ms: Date.now() + seconds * 1000,
    });
    return [level, found];
  };
  assertEquals(await found(0), ["ok", "no difference"]);
  assertEquals(await found(-29), ["ok", "the database is behind by 29 s"]);
  assertEquals(await found(45), ["warning", "the database is ahead by 45 s"]);
  assertEquals(await found(-301), [
    "failure",
    "the database is behind by 301 s",
  ]);
});

hostedTest(
  "clocks of the functions and of Luma that are off are told",
  async (hosted) => {
    await healthy(hosted);
    const { stack } = hosted;
    /** A fetch whose answers come from `seconds` in the future. */
    const shifted = (origin: string, seconds: number): typeof fetch =>
    async (
      input,
      init,
    ) => {
      const response = await fetch(input, init);
      if (!String(input).startsWith(origin)) return response;
      const time = new Date(Date.now() + seconds * 1000);
      const headers = new Headers(response.headers);
      headers.set("date", time.toUTCString());
      const text = (await response.text())
        .replace(/"time":"[^"]+"/, `"time":"${time.toISOString()}"`);
      return new Response(text, { status: response.status, headers });
    };
    const levels = async (origin: string, seconds: number) => {
      const found = await results(hosted, { fetch: shifted(origin, seconds) });
      return (["clock-functions", "clock-luma"] as const)
        .map((id) => found.get(id)!.level);
    };
    const { url, simulator } = stack;
    assertEquals(await levels(simulator.url, 60), ["ok", "warning"]);
    assertEquals(await levels(simulator.url, -400), ["ok", "failure"]);
    assertEquals(await levels(url, 60), ["warning", "warning"]);
    assertEquals(await levels(url, -400), ["failure", "failure"]);
    // This machine's own clock alone is no reason that deliveries are refused.
    assertEquals(await levels("http", 400), ["failure", "ok"]);
  },
  { migrate: true },
);

hostedTest(
  "on a project that nothing was set up on, the doctor says where to begin",
  async (hosted) => {
    const { code, text } = await examine(hosted);
    assertEquals(code, 1);
    assertStringIncludes(
      text,
      "✗ env                    LUMA_SYNC_SECRET is not set.",
    );
    assertStringIncludes(
      text,
      "✗ migrations             the schema luma is not there",
    );
    assertStringIncludes(text, "→ deno task setup");
    assertStringIncludes(text, "– functions-answer       needs env");
    assertStringIncludes(text, "– mode                   needs migrations");
  },
);
