import { assertEquals, assertStringIncludes } from "@std/assert";

const MAIN = new URL("main.ts", import.meta.url).pathname;

function command(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    stdout: "piped",
    stderr: "piped",
  });
}

Deno.test("the command prints its address and keys, serves, and stops on SIGTERM", async () => {
  const child = command("--port", "0", "--calendar", "cal-a,key-a,Alpha")
    .spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let printed = "";
  while (!printed.includes("Ctrl-C")) {
    const { value, done } = await reader.read();
    if (done) break;
    printed += value;
  }
  assertStringIncludes(printed, "Alpha  cal-a  x-luma-api-key: key-a");
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0];
  const headers = { "x-luma-api-key": "key-a" };
  const answer = await fetch(`${url}/v1/calendars/get`, { headers });
  assertEquals((await answer.json()).id, "cal-a");
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
  await reader.cancel();
  await child.stderr.cancel();
});

Deno.test("the command refuses wrong flags with the reason", async () => {
  const cases = [
    [["--port", "x"], '--port: "x" is not a whole number'],
    [["--calendar", "cal-a"], '--calendar: "cal-a" is not <id>,<key>'],
    [["--prot", "1"], "--prot"],
  ] as const;
  for (const [args, reason] of cases) {
    const { code, stderr } = await command(...args).output();
    assertEquals(code, 2);
    assertStringIncludes(new TextDecoder().decode(stderr), reason);
  }
});
