/** The mutations fit the code as it is, and taking a guard away is noticed, and nothing else is taken for that. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { campaign } from "./mutations/campaign.ts";
import { migrationFiles, readHere } from "./mutations/checkout.ts";
import { GUARDS } from "./mutations/guards.ts";
import { editOf, type Mutation, ofFunctions } from "./mutations/mutation.ts";
import { endingsIn } from "./mutations/named_tests.ts";

Deno.test("every mutation changes a text that stands once in today's code", async () => {
  const migrations = await migrationFiles();
  for (const guard of GUARDS) {
    const { before, after } = await editOf(guard, migrations, readHere);
    assert(before !== after, `${guard.name} changes nothing`);
  }
  const names = GUARDS.map(({ name }) => name);
  assertEquals(names.length, new Set(names).size);
  assert(names.length > 100, `${names.length} guards`);
});

Deno.test("every test that has to notice is there", async () => {
  for (const { name, test } of GUARDS) {
    const source = await readHere(test.file);
    assert(
      source.includes(`"${test.name}"`) ||
        templatesIn(source).some((known) => known.test(test.name)),
      `${name}: no test "${test.name}" in ${test.file}`,
    );
  }
});

/** The templates of a file, as patterns in which their values may be anything. */
function templatesIn(source: string): RegExp[] {
  return [...source.matchAll(/`[^`]*\$\{[^`]*`/g)].map(([text]) => {
    const parts = text.slice(1, -1).split(/\$\{[^}]*\}/);
    return new RegExp(`^${parts.map(RegExp.escape).join(".*")}$`);
  }).filter((pattern) => pattern.source.length > 20);
}

Deno.test("a mutation whose text is not there, or there twice, is named", async () => {
  const read = () =>
    Promise.resolve(
      "create or replace function luma.f()\nreturns int;\n\ncreate function luma.g()\nreturns int;\nreturns text;\n",
    );
  const at = (name: `luma.${string}`) =>
    editOf({ ...FUTURE, in: name, from: "returns", to: "" }, ["a.sql"], read);
  assertEquals((await at("luma.f")).after.split("\n")[1], " int;");
  await assertRejects(() => at("luma.g"), Error, "stands 2 times");
  await assertRejects(() => at("luma.h"), Error, "no migration defines");
});

Deno.test("a report's failures are its tests', steps' too", () => {
  const failed = (name: string, message: string) =>
    `<testcase name="${name}"><failure message="${message}">at x</failure></testcase>`;
  const report = '<testcase name="good">\n</testcase>' +
    '<testcase name="left out"><skipped/></testcase>' +
    failed("it&apos;s &lt;bad&gt;", "Uncaught AssertionError: no\nmore") +
    failed("with steps", "1 test step failed.") +
    failed("with steps &gt; a", "AssertionError: in a step");
  assertEquals([...endingsIn(report)], [
    ["good", { how: "passed" }],
    ["it's <bad>", { how: "failed", why: "AssertionError: no" }],
    ["with steps", { how: "failed", why: "AssertionError: in a step" }],
  ]);
});

const FUTURE = GUARDS.find(({ name }) => name === "signature-future")!;

/** Such as no guard is. */
const PLANTED: Mutation[] = [
  {
    ...FUTURE,
    name: "changes nothing",
    from: "toleranceSeconds = 300",
    to: "toleranceSeconds = 3 * 100",
  },
  { ...FUTURE, name: "does not load", to: "Math.abs(ageSeconds >" },
  { ...FUTURE, name: "fails otherwise", to: "nobody.knows > 0" },
  {
    ...FUTURE,
    name: "has no test",
    test: ofFunctions("luma/signature", "nobody wrote this"),
  },
];

Deno.test("removals are noticed, and what changes nothing, does not load or fails otherwise is not taken for one", async () => {
  const real = ["signature-past", "redacted-log", "cover-redirect"]
    .flatMap((wanted) => GUARDS.filter(({ name }) => name === wanted));
  const verdicts = await campaign([...real, ...PLANTED], { told: () => {} });
  assertEquals(
    verdicts.map(({ mutation, verdict }) => [mutation.name, verdict]),
    [
      ...real.map(({ name }) => [name, "noticed"]),
      ["changes nothing", "unnoticed"],
      ["does not load", "broken"],
      ["fails otherwise", "broken"],
      ["has no test", "broken"],
    ],
  );
  assert(real.length === 3);
});
