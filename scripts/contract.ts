/**
 * `deno task contract --spec FILE_OR_URL`: holds the Luma client and the Luma simulator to an OpenAPI document.
 * Exits 0 when nothing differs, 1 when something does, 2 when it was called wrongly.
 */
import { parseArgs } from "node:util";
import { judge, record } from "./contract/check.ts";
import { DocumentError, readDocument } from "./contract/document.ts";
import { KNOWN_DIFFERENCES } from "./contract/known.ts";
import { formatReport } from "./contract/report.ts";
import { stageOn } from "./contract/stage.ts";
import { startSimulator } from "./luma-simulator/mod.ts";

const USAGE = `Usage: deno task contract --spec FILE_OR_URL

Checks the Luma client and the Luma simulator against an OpenAPI document, for example
  deno task contract --spec https://public-api.luma.com/openapi.json`;

async function main(args: string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(USAGE);
    return 0;
  }
  const spec = specIn(args);
  const document = await readDocument(spec);
  const simulator = await startSimulator();
  try {
    const recording = await record(stageOn(simulator));
    const findings = judge(document, recording);
    console.log(formatReport(findings, KNOWN_DIFFERENCES));
    return findings.some((finding) => finding.differences.length) ? 1 : 0;
  } finally {
    await simulator.stop();
  }
}

/** The value of --spec. Throws UsageError when it is missing or something else was given. */
function specIn(args: string[]): string {
  let spec: string | undefined;
  try {
    spec = parseArgs({ args, options: { spec: { type: "string" } } }).values
      .spec;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`);
  }
  if (!spec) throw new UsageError("--spec is missing");
  return spec;
}

class UsageError extends Error {}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${USAGE}`);
    } else if (error instanceof DocumentError) {
      console.error(error.message);
    } else throw error;
    Deno.exitCode = 2;
  }
}
