/** Runs tests by their names, and tells of each how it ended. */
import type { NamedTest } from "./mutation.ts";

/** How a test ended; `why`: the first line of what it threw. */
export type Ending =
  | { how: "passed" }
  | { how: "failed"; why: string }
  /** It was not run: its file does not load, or it is not there. */
  | { how: "absent"; why: string };

/** For each test: far longer than any of these takes, so that a mutant that hangs does not hang us. */
const LIMIT_MS = 120_000;

/** Runs these tests of one file, in a checkout. */
export async function runTests(
  file: string,
  names: readonly string[],
  where: { folder: string; templates: string; postgres?: string },
): Promise<Map<string, Ending>> {
  const limitMs = LIMIT_MS * names.length;
  const report = `${where.templates}/${crypto.randomUUID()}.xml`;
  const abort = AbortSignal.timeout(limitMs);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--no-check",
      `--junit-path=${report}`,
      `--filter=/^(${names.map(RegExp.escape).join("|")})$/`,
      file,
    ],
    cwd: where.folder,
    env: {
      NO_COLOR: "1",
      LUMA_STACK_TEMPLATES: where.templates,
      ...(where.postgres ? { LUMA_STACK_POSTGRES: where.postgres } : {}),
    },
    stdin: "null",
    signal: abort,
  }).output();
  const output = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  ).join("\n");
  const why = abort.aborted
    ? `nothing ended within ${limitMs / 1000} seconds`
    : /^.*error.*$/im.exec(output)?.[0].trim() ?? "no test of this name";
  const endings = endingsIn(await Deno.readTextFile(report).catch(() => ""));
  const hasFailed = [...endings.values()].some(({ how }) => how === "failed");
  // A promise that nobody awaits ends the run, and no test is told to have failed.
  if (!success && !hasFailed) endings.clear();
  return new Map(
    names.map((name) => [name, endings.get(name) ?? { how: "absent", why }]),
  );
}

/** By file, because tests of one file start faster together. */
export async function runAll(
  tests: readonly NamedTest[],
  where: Parameters<typeof runTests>[2],
  told: (test: NamedTest, ending: Ending) => void,
): Promise<void> {
  for (const [file, ofFile] of Map.groupBy(tests, ({ file }) => file)) {
    const names = [...new Set(ofFile.map(({ name }) => name))];
    for (const [name, ending] of await runTests(file, names, where)) {
      told({ file, name }, ending);
    }
  }
}

/** What a report in JUnit's format says; of a test with steps the steps' failures are its own. */
export function endingsIn(report: string): Map<string, Ending> {
  const endings = new Map<string, Ending>();
  const cases = /<testcase name="([^"]*)"[^>]*>([^]*?)<\/testcase>/g;
  for (const [, escaped = "", body = ""] of report.matchAll(cases)) {
    if (body.includes("<skipped")) continue;
    const failure = /<failure message="([^"]*)"/.exec(body)?.[1];
    const name = unescape(escaped).split(" > ")[0]!;
    const before = endings.get(name);
    if (failure === undefined) {
      if (!before) endings.set(name, { how: "passed" });
      continue;
    }
    const why = unescape(failure).replace(/^Uncaught /, "").split("\n")[0]!;
    // "1 test step failed" tells less than the step.
    if (before?.how !== "failed" || /test steps? failed/.test(before.why)) {
      endings.set(name, { how: "failed", why });
    }
  }
  return endings;
}

function unescape(text: string): string {
  const entities: Record<string, string> = {
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&apos;": "'",
    "&amp;": "&",
  };
  return text.replaceAll(
    /&(?:lt|gt|quot|apos|amp);/g,
    (entity) => entities[entity]!,
  ).replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
}
