import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { hostedTest } from "./setup/testing.ts";

hostedTest(
  "setup takes an empty project to dry_run, and a second run changes nothing",
  async ({ stack, setup, env }) => {
    const { sql, simulator } = stack;
    const first = await setup();
    console.log(first.said);
    assertEquals(first.code, 0);
    const second = await setup();
    console.log(second.said);
    assertEquals(second.code, 0);
    await env();
    sql;
    simulator;
  },
);
