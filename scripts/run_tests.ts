/**
 * `deno task test`: everything that CI checks.
 * (Not named test.ts: `deno test` would take this file for a test, and run itself for ever.)
 */
import { startWatchdog } from "./stack/watchdog.ts";

const HELP =
  `deno task test [--postgres <npm|auto|bin folder>] [files and flags of deno test]

Checks formatting, lint and types first, because they are quick to mend; then runs all tests, two files at a time. The
last line is "N passed, N failed".

  --postgres  the Postgres to test on, as in deno task dev
  --help      this text

Anything else goes to deno test, for example files, or --filter "killed".
`;

interface Step {
  name: string;
  args: string[];
}

const CHECKS: Step[] = [
  { name: "formatted", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "scripts", "supabase"] },
];

async function run(args: string[], env: Record<string, string> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let output = "";
  // Shown while it comes, and kept for its counts.
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    await Deno.stdout.write(new TextEncoder().encode(text));
  }
  return { ok: (await child.status).success, output };
}

/** The counts in the last line of `deno test`: "ok | 12 passed (3 steps) | 0 failed (2s)". */
function counts(output: string): { passed: number; failed: number } | null {
  const line = output.match(/(\d+) passed.*?\| (\d+) failed/g)?.at(-1);
  const found = line && /(\d+) passed.*?\| (\d+) failed/.exec(line);
  return found ? { passed: Number(found[1]), failed: Number(found[2]) } : null;
}

/** What failed and why, in short: the last thing to be read, where an output is cut at its beginning. */
function failures(output: string): string[] {
  return output.split(/^(?=.+ => .+$)/m)
    .filter((told) => /^.+\nerror: /.test(told))
    .map((told) => {
      const [name = ""] = told.split("\n", 1);
      const why = told.match(/^(error|Caused by): .*$/gm) ?? [];
      return [name, ...why].map((line) => line.slice(0, 300)).join("\n  ");
    });
}

function options(
  args: string[],
): { env: Record<string, string>; rest: string[] } {
  const at = args.indexOf("--postgres");
  if (at < 0) return { env: {}, rest: args };
  const postgres = args[at + 1];
  if (!postgres) throw new Error("--postgres wants npm, auto or a bin folder");
  return {
    env: { LUMA_STACK_POSTGRES: postgres },
    rest: args.toSpliced(at, 2),
  };
}

if (Deno.args.includes("--help")) {
  console.log(HELP);
  Deno.exit(0);
}
const { env, rest } = options(Deno.args);
let passed = 0;
let failed = 0;
for (const { name, args } of CHECKS) {
  console.log(`\n== ${name}`);
  const { ok } = await run(args);
  ok ? passed++ : failed++;
}
console.log("\n== tests");
const templates = await startWatchdog();
// The types are checked already.
const tests = await run(["test", "-A", "--no-check", "--parallel", ...rest], {
  // Two at a time: each has a Postgres and functions of its own, and some measure time.
  DENO_JOBS: "2",
  LUMA_STACK_TEMPLATES: templates.folder,
  ...env,
});
await templates.stop();
const counted = counts(tests.output);
passed += counted?.passed ?? 0;
failed += counted?.failed ?? 0;
// A crash of the runner shows in no count.
if (!tests.ok && !counted?.failed) failed++;
for (const failure of failures(tests.output)) console.log(failure);
console.log(`\n${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
