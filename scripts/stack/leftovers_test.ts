import { assertEquals, assertGreater } from "@std/assert";
import { exists } from "./postgres_binaries.ts";
import {
  alive,
  descendants,
  eventually,
  makeTestProject,
} from "./test_project.ts";

/** Another process that starts a stack with a running function; it stops it when told to. */
async function startInOtherProcess(root: string) {
  const program = `
    import { startStack } from "./scripts/stack/mod.ts";
    const stack = await startStack({ root: ${
    JSON.stringify(root)
  }, postgres: "npm" });
    await (await fetch(stack.functionsUrl + "/echo")).body.cancel();
    console.log(stack.folder);
    await Deno.stdin.read(new Uint8Array(1));
    await stack.stop();
    await stack.stop();`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const folder = (await reader.read()).value?.trim() ?? "";
  await reader.cancel();
  return { child, folder, pids: await descendants(child.pid) };
}

Deno.test("stop() leaves no process and no folder behind, and may be called twice", async () => {
  await using project = await makeTestProject();
  const { child, folder, pids } = await startInOtherProcess(project.root);
  // Watchdog, Data API, function, postmaster and Postgres's own processes.
  assertGreater(pids.length, 8);
  assertEquals((await Deno.stat(folder)).isDirectory, true);
  await child.stdin.close();
  assertEquals((await child.status).code, 0);
  assertEquals(await alive(pids), []);
  assertEquals(await exists(folder), false);
});

for (const signal of ["SIGKILL", "SIGINT"] as const) {
  Deno.test(`${signal} to the process that started the stack leaves nothing behind`, async () => {
    await using project = await makeTestProject();
    const { child, folder, pids } = await startInOtherProcess(project.root);
    assertEquals((await alive(pids)).length, pids.length);
    child.kill(signal);
    await child.status;
    await child.stdin.abort().catch(() => {});
    await eventually(
      "all processes gone",
      async () => (await alive(pids)).length === 0,
    );
    await eventually("the folder gone", async () => !await exists(folder));
  });
}

Deno.test("deno task dev prints every address and ends with 0 on Ctrl-C", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/dev.ts", "--postgres", "npm"],
    cwd: new URL("../..", import.meta.url),
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let printed = "";
  let pids: number[] = [];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    printed += text;
    if (pids.length > 0 || !printed.includes("Ctrl-C stops everything")) {
      continue;
    }
    pids = await descendants(child.pid);
    child.kill("SIGINT");
  }
  assertEquals((await child.status).code, 0);
  assertGreater(pids.length, 5);
  assertEquals(await alive(pids), []);
  for (
    const shown of [
      /postgresql:\/\/\S+/,
      /\/rest\/v1/,
      /sb_secret_/,
      /\/functions\/v1/,
      /insert into/,
    ]
  ) {
    assertEquals(shown.test(printed), true, `${shown} in what was printed`);
  }
});
