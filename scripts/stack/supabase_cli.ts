/** Runs the Supabase CLI, which the project needs at version 3, wherever it comes from. */

export const NPM_PACKAGE = "supabase@3.1.0";

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  /** The project's folder; the CLI looks for supabase/ in it. Default: the present folder. */
  cwd?: string;
  /** More environment, for example SUPABASE_ACCESS_TOKEN. */
  env?: Record<string, string>;
  /** Let the CLI write to our terminal and ask there; stdout and stderr are then empty. */
  inherit?: boolean;
}

/**
 * Runs `supabase <args>` with the CLI named by the environment variable SUPABASE_CLI, else `supabase`
 * on the PATH when it is version 3, else npm's. Not by Deno's own npm resolution: the CLI's program is
 * an optional package for each platform, which some registries lack. A code other than 0 is no
 * exception; an Error is thrown when no CLI can be run at all.
 */
export async function runSupabaseCli(
  args: string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const [program = "", ...first] = await findSupabaseCli();
  return await run(program, [...first, ...args], options);
}

let found: Promise<string[]> | undefined;

/** The command line of the CLI, without arguments; looked up once. */
export function findSupabaseCli(): Promise<string[]> {
  const given = Deno.env.get("SUPABASE_CLI");
  if (given) return checkGiven(given);
  return found ??= onPathOrNpm();
}

async function checkGiven(given: string): Promise<string[]> {
  const version = await versionOf(given);
  if (version?.startsWith("3.")) return [given];
  throw new Error(
    `SUPABASE_CLI is "${given}", which ${
      version ? `is version ${version}` : "cannot be run"
    }. ` +
      "Set it to the program of a Supabase CLI 3, or unset it to use npm's.",
  );
}

async function onPathOrNpm(): Promise<string[]> {
  const version = await versionOf("supabase");
  return version?.startsWith("3.") ? ["supabase"] : ["npx", "-y", NPM_PACKAGE];
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, ["--version"], {});
    return stdout.match(/\d+\.\d+\.\d+\S*/)?.[0];
  } catch {
    return undefined;
  }
}

async function run(
  program: string,
  args: string[],
  options: CliOptions,
): Promise<CliResult> {
  const stream = options.inherit ? "inherit" : "piped";
  try {
    const child = new Deno.Command(program, {
      args,
      cwd: options.cwd,
      // No colours and no update notice in what callers compare.
      env: { NO_COLOR: "1", SUPABASE_TELEMETRY_DISABLED: "1", ...options.env },
      stdin: options.inherit ? "inherit" : "null",
      stdout: stream,
      stderr: stream,
    }).spawn();
    const [status, stdout, stderr] = await Promise.all([
      child.status,
      options.inherit ? "" : new Response(child.stdout).text(),
      options.inherit ? "" : new Response(child.stderr).text(),
    ]);
    return { code: status.code, stdout, stderr };
  } catch (error) {
    if (
      !(error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied)
    ) {
      throw error;
    }
    throw new Error(
      `Cannot run the Supabase CLI as "${program}". Install Node.js, which brings npx, or put a ` +
        "Supabase CLI 3 on the PATH or its place into SUPABASE_CLI.",
      { cause: error },
    );
  }
}
