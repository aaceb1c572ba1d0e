/** `deno task audit`: are the packages free of known vulnerabilities, and under licences that let us use them? */
import { knownAdvisories } from "./audit/advisories.ts";
import {
  type Exceptions,
  installedPackages,
  licenceProblems,
} from "./audit/licences.ts";

const HELP = `deno task audit

Looks up the packages of deno.lock in the npm registry's list of vulnerabilities (moderate and worse), and the
licence of each package in node_modules in scripts/audit/licences.ts. Exits with 1 when something is wrong. A
registry that has no such list is told, and fails nothing.
`;

const ROOT = new URL("..", import.meta.url).pathname;

/** Packages under other licences, with the reason why they may be used. */
const EXCEPTIONS: Exceptions = {
  // MPL-2.0 asks for the source of what is changed and passed on: it is neither.
  "axe-core": "only the console's tests in a browser use it, unchanged",
};

async function main(): Promise<number> {
  if (Deno.args.includes("--help") || Deno.args.includes("-h")) {
    console.log(HELP);
    return 0;
  }
  if (Deno.args.length > 0) {
    console.error(`Unknown argument "${Deno.args[0]}".\n\n${HELP}`);
    return 2;
  }
  const packages = await installedPackages(`${ROOT}/node_modules`);
  const problems = licenceProblems(packages, EXCEPTIONS);
  problems.forEach((problem) => console.error(problem));
  console.log(
    `Licences of ${packages.length} packages: ${
      problems.length === 0 ? "all allowed" : `${problems.length} not allowed`
    }.`,
  );

  const { outcome, text } = await knownAdvisories(ROOT);
  if (outcome === "found") console.error(text);
  console.log(
    {
      none: "Vulnerabilities: none is known.",
      found: "Vulnerabilities: see above.",
      unknown:
        "Vulnerabilities: NOT CHECKED, because the npm registry in use does not answer `deno audit`. It said:\n" +
        (text.split("\n").find((line) => line.trim()) ?? "nothing").replace(
          /https?:\/\/[^\s)]+/g,
          "…",
        ),
    }[outcome],
  );
  return problems.length > 0 || outcome === "found" ? 1 : 0;
}

Deno.exit(await main());
