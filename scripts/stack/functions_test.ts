import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { startStack } from "./mod.ts";
import { alive, eventually, makeTestProject } from "./test_project.ts";

interface Echo {
  pid: number;
  pathname: string;
  env: Record<string, string>;
  body: string;
}

Deno.test("the functions' host", async (t) => {
  await using project = await makeTestProject();
  await using stack = await startStack({
    root: project.root,
    postgres: "npm",
    dataApi: false,
    env: { EXTRA: "1" },
  });
  const { functions, functionsUrl } = stack;
  const echo = async (): Promise<Echo> => {
    return await (await fetch(`${functionsUrl}/echo`, {
      method: "POST",
      body: "hello",
    })).json();
  };

  await t.step(
    "starts a function at its first request, with the project's environment alone",
    async () => {
      assertEquals(functions.pid("echo"), undefined);
      Deno.env.set("STACK_TEST_OF_THE_PARENT", "seen");
      const { pid, pathname, env, body } = await echo();
      Deno.env.delete("STACK_TEST_OF_THE_PARENT");
      assertEquals([pathname, body], ["/echo", "hello"]);
      assertEquals(pid, functions.pid("echo"));
      assertEquals(env.SUPABASE_URL, stack.url);
      assertEquals(JSON.parse(env.SUPABASE_SECRET_KEYS ?? ""), {
        default: stack.secretKey,
      });
      assertEquals(env.LUMA_SYNC_SECRET, stack.syncSecret);
      assertEquals(env.LUMA_API_URL, stack.simulator.url);
      assertEquals([env.LUMA_BLR_API_KEY, env.LUMA_ZO_EVENTS_API_KEY], [
        "luma-key-blr",
        "luma-key-zo-events",
      ]);
      assertEquals([env.EXTRA, env.STACK_TEST_OF_THE_PARENT], ["1", undefined]);
      assertStringIncludes(functions.logs("echo"), "called /echo");
    },
  );

  await t.step(
    "keeps it running, and starts another after a kill",
    async () => {
      const { pid } = await echo();
      assertEquals((await echo()).pid, pid);
      await functions.kill("echo");
      assertEquals(await alive([pid]), []);
      assertNotEquals((await echo()).pid, pid);
    },
  );

  await t.step(
    "answers 500 for a request whose process is killed, and the next one normally",
    async () => {
      const hanging = fetch(`${functionsUrl}/echo/hang`);
      const { pid } = await echo();
      Deno.kill(pid, "SIGKILL");
      const response = await hanging;
      assertEquals(response.status, 500);
      assertEquals(response.headers.get("sb-error-code"), "WORKER_ERROR");
      await response.body?.cancel();
      await eventually(
        "the next answer",
        async () => (await echo()).pid !== pid,
      );
    },
  );

  await t.step(
    "starts one process for requests that come together",
    async () => {
      await functions.kill("echo");
      const pids = (await Promise.all([echo(), echo(), echo()])).map((
        { pid },
      ) => pid);
      assertEquals(new Set(pids).size, 1);
    },
  );

  await t.step("gives changed variables to the next process", async () => {
    await functions.setEnv({ EXTRA: undefined, LUMA_BLR_API_KEY: "other" });
    const { env } = await echo();
    assertEquals([env.EXTRA, env.LUMA_BLR_API_KEY], [undefined, "other"]);
    assert(env.LUMA_SYNC_SECRET);
  });

  await t.step(
    "answers 404 for no function and 503 for one that does not start, with its output",
    async () => {
      const missing = await fetch(`${functionsUrl}/missing`);
      assertEquals([missing.status, (await missing.json()).code], [
        404,
        "NOT_FOUND",
      ]);
      const broken = await fetch(`${functionsUrl}/broken`);
      const { code, message } = await broken.json();
      assertEquals([broken.status, code], [503, "BOOT_ERROR"]);
      assertStringIncludes(message, "no settings");
    },
  );

  await t.step("is down between stop() and start()", async () => {
    const { pid } = await echo();
    await functions.stop();
    assertEquals(await alive([pid]), []);
    const down = await fetch(`${functionsUrl}/echo`);
    assertEquals(down.status, 503);
    await down.body?.cancel();
    functions.start();
    assertEquals((await echo()).body, "hello");
  });
});
