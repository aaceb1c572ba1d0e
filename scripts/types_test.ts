import { assertEquals, assertStringIncludes } from "@std/assert";

Deno.test("the committed types are those that the migrations make", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      new URL("./types.ts", import.meta.url).pathname,
      "--check",
    ],
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  assertStringIncludes(decoder.decode(stdout), "up to date");
});
