import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readEnvFile, withVariable, writeEnvFile } from "./env_file.ts";
import { Problem } from "./problem.ts";

async function inFolder(test: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a variable is written into its line, and all others stay", () => {
  const texts: [before: string, after: string][] = [
    ["", "A=new\n"],
    ["A=\n", "A=new\n"],
    ["A=old", "A=new"],
    ["B=1", "B=1\nA=new\n"],
    ["# A=old\nAA=1\nB='A=2'\n", "# A=old\nAA=1\nB='A=2'\nA=new\n"],
    ["B=1\n\n  A = 'old' # why\n\nC=2\n", "B=1\n\n  A=new\n\nC=2\n"],
    ["export A=old\nB=1\n", "export A=new\nB=1\n"],
    ["B=1\r\nA=old\r\nC=2\r\n", "B=1\r\nA=new\r\nC=2\r\n"],
    ["B=1\r\nC=2", "B=1\r\nC=2\r\nA=new\r\n"],
    ["A=first\nB=1\nA=last\n", "A=first\nB=1\nA=new\n"],
    ["=?\nno variable\nA=old\n", "=?\nno variable\nA=new\n"],
    ["B='l1\nl2'\nA=old\n", "B='l1\nl2'\nA=new\n"],
  ];
  for (const [before, after] of texts) {
    assertEquals(withVariable(before, "A", "new"), after);
    assertEquals(withVariable(after, "A", "new"), after);
  }
});

Deno.test("a value is quoted where it would be read as something else", () => {
  const values: [string, string][] = [
    ["", "A="],
    ["whsec_a+/=,b", "A=whsec_a+/=,b"],
    ["a#b", "A='a#b'"],
    ["a$b", "A='a$b'"],
    ["$&", "A='$&'"],
    [" a ", "A=' a '"],
  ];
  for (const [value, line] of values) {
    assertEquals(withVariable("A=old", "A", value), line);
  }
});

Deno.test("a file that would be read otherwise afterwards is refused, and no value is shown", () => {
  for (const text of ["A='hidden\nhidden'\n", "B='hidden\nA=hidden'\n"]) {
    const { message } = assertThrows(
      () => withVariable(text, "A", "new"),
      Problem,
      "A cannot be written into the file",
    );
    assertEquals(message.includes("hidden"), false);
  }
});

Deno.test("the file is replaced whole, for its owner only, and through a link", async () => {
  await inFolder(async (folder) => {
    const [file, link] = [`${folder}/file`, `${folder}/link`];
    await Deno.writeTextFile(file, "A=1\n", { mode: 0o644 });
    await Deno.symlink(file, link);
    await writeEnvFile(link, "A=2\n");
    assertEquals(await Deno.readTextFile(file), "A=2\n");
    assertEquals(Deno.lstatSync(link).isSymlink, true);
    assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
    assertEquals([...Deno.readDirSync(folder)].length, 2);
  });
});

Deno.test("what cannot be read or written is named, and nothing is left behind", async () => {
  await inFolder(async (folder) => {
    await assertRejects(
      () => readEnvFile(folder),
      Problem,
      `${folder} cannot be read`,
    );
    await Deno.mkdir(`${folder}/a`);
    await assertRejects(
      () => writeEnvFile(`${folder}/a`, "A=1"),
      Problem,
      `${folder}/a cannot be written`,
    );
    assertEquals([...Deno.readDirSync(folder)].length, 1);
    assertEquals(await readEnvFile(`${folder}/b`), "");
    await Deno.writeFile(`${folder}/b`, new Uint8Array([0x41, 0x3d, 0xff]));
    await assertRejects(
      () => readEnvFile(`${folder}/b`),
      Problem,
      `${folder}/b cannot be read`,
    );
  });
});
