/** `deno task bench`: how fast the sync is, next to what else there is, on this machine. */
import { parseArgs } from "node:util";
import { describeMachine, machineLines } from "./bench/machine.ts";
import { markdownTables, writtenMeasures } from "./bench/markdown.ts";
import { PEERS } from "./bench/peers.ts";
import { measureTable } from "./bench/report.ts";
import { benchStack, type Measure } from "./bench/section.ts";
import { SECTIONS } from "./bench/sections.ts";

const HELP =
  `deno task bench [sections] [--rounds <n>] [--quick] [--out <file>] [--postgres <npm|auto|bin folder>]

Measures on a database of its own, each thing in several rounds that take turns with what it is compared with, and
prints the medians. docs/benchmarks.md says what is compared and how. Without names all sections run:

${SECTIONS.map(({ name, title }) => `  ${name.padEnd(15)}${title}`).join("\n")}

  --rounds    how often each thing is measured. Default 5, with --quick 2
  --quick     small amounts and short times: a few minutes instead of an hour
  --out       writes what was measured, every round of it, to this file as JSON
  --markdown  measures nothing: prints what --out has written to this file as tables for docs/benchmarks.md
  --postgres  see: deno task dev --help. Default auto
  --help      this text
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
    out: { type: "string" },
    markdown: { type: "string" },
    postgres: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

function fail(message: string): never {
  console.error(`${message}\n\n${HELP}`);
  Deno.exit(2);
}

if (values.help) {
  console.log(HELP);
  Deno.exit(0);
}
if (values.markdown) {
  console.log(
    markdownTables(writtenMeasures(await Deno.readTextFile(values.markdown))),
  );
  Deno.exit(0);
}
const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
if (!Number.isInteger(rounds) || rounds < 1) {
  fail(`--rounds wants a whole number of at least 1, not "${values.rounds}".`);
}
const unknown = positionals.filter((name) =>
  !SECTIONS.some((section) => section.name === name)
);
if (unknown.length > 0) fail(`There is no section "${unknown.join('", "')}".`);

const options = {
  rounds,
  quick: values.quick,
  postgres: values.postgres,
  say: (line: string) => console.error(line),
};
const measures: Measure[] = [];
const machine = await (async () => {
  await using stack = await benchStack(options);
  return await describeMachine(stack.sql);
})();
console.log(machineLines(machine));
for (const section of SECTIONS) {
  if (positionals.length > 0 && !positionals.includes(section.name)) continue;
  options.say(`\n== ${section.name}`);
  measures.push(...await section.run(options));
}
console.log(`\n${measureTable(measures)}`);
if (values.out) {
  const what = {
    at: new Date(),
    machine,
    peers: PEERS,
    rounds,
    quick: values.quick,
  };
  await Deno.writeTextFile(
    values.out,
    JSON.stringify({ ...what, measures }, null, 2) + "\n",
  );
}
