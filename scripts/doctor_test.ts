import { assertEquals } from "@std/assert";
import { doctor } from "./doctor.ts";
import { hostedTest, REF } from "./setup/testing.ts";
hostedTest("x", async ({ stack, setup, world, envFile }) => {
  assertEquals((await setup()).code, 0);
  await stack.sql`select luma.set_mode('live')`;
  await doctor(["-e", envFile, "--project-ref", REF], {
    ...world(),
    out: console.log,
    err: console.log,
  });
}, { migrate: true });
