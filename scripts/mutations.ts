/** `deno task mutations`: is there a test that notices when a guard is gone? See docs/reliability.md. */
import { parseArgs } from "node:util";
import { campaign, type Verdict } from "./mutations/campaign.ts";
import { GUARDS } from "./mutations/guards.ts";

const HELP = `deno task mutations [name…]

Takes one guard of the product away at a time, in a copy of this checkout, and runs the test that has to notice.

  name           only these guards, or those whose names begin so. Default: all
  --list         only shows the guards, what each is for, and its test
  --out FILE     writes the verdicts there as JSON
  --postgres P   npm, auto or a bin folder, as in deno task dev
  --help         this text

Ends with 1 when the removal of a guard goes unnoticed, or says nothing.
`;

/** Ends as a task does that was called wrongly. */
function asked() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        list: { type: "boolean", default: false },
        out: { type: "string" },
        postgres: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    console.error(
      `${error instanceof Error ? error.message : error}\n\n${HELP}`,
    );
    Deno.exit(2);
  }
}

const { values, positionals } = asked();
if (values.help) {
  console.log(HELP);
  Deno.exit(0);
}
for (const name of positionals) {
  if (!GUARDS.some((guard) => guard.name.startsWith(name))) {
    console.error(`No guard's name begins with "${name}"; --list shows them.`);
    Deno.exit(2);
  }
}
const chosen = GUARDS.filter(({ name }) =>
  positionals.length === 0 || positionals.some((word) => name.startsWith(word))
);
const widest = Math.max(...chosen.map(({ name }) => name.length));
if (values.list) {
  for (const { name, guard, test } of chosen) {
    console.log(
      `${name.padEnd(widest)}  ${guard}\n${
        " ".repeat(widest)
      }  ${test.file}: ${test.name}`,
    );
  }
  Deno.exit(0);
}

const SIGN = { noticed: "✓", unnoticed: "✗", broken: "?" };
console.log(
  `${chosen.length} guards; first their tests with the guards in place`,
);
const verdicts = await campaign(chosen, {
  postgres: values.postgres ?? Deno.env.get("LUMA_STACK_POSTGRES"),
  told: ({ mutation: { name, guard, test }, verdict, why }: Verdict) => {
    console.log(`${SIGN[verdict]} ${name.padEnd(widest)}  ${guard}`);
    if (verdict !== "noticed") {
      console.log(`  ${verdict}: ${test.file}: ${test.name}: ${why}`);
    }
  },
});
const count = (what: Verdict["verdict"]) =>
  verdicts.filter(({ verdict }) => verdict === what).length;
console.log(
  `${count("noticed")} of ${verdicts.length} removals were noticed, ${
    count("unnoticed")
  } were not, ${count("broken")} said nothing`,
);
if (values.out !== undefined) {
  const report = verdicts.map((
    { mutation: { name, guard, test }, ...rest },
  ) => ({ name, guard, test, ...rest }));
  await Deno.writeTextFile(values.out, JSON.stringify(report, null, 2) + "\n");
}
Deno.exit(count("noticed") === verdicts.length ? 0 : 1);
