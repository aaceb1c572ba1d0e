/** Puts a Postgres where it can be run with the stand-in extensions, changing nothing on the system. */
import { exists, type PostgresBinaries } from "./postgres_binaries.ts";

/** What initdb and postgres need, apart from the data folder. */
export interface PostgresFiles {
  readonly bin: string;
  /** Settings for postgresql.conf, without quotes. */
  readonly settings: Record<string, string>;
}

const EXTENSIONS = new URL("./extensions/", import.meta.url);

/**
 * Prepares `binaries` inside `folder`, to be run by `user` (the present user when undefined).
 *
 * The npm Postgres is 18, which looks for extensions where extension_control_path says. An installed
 * one is 15 or later and may not know that setting, but it computes its share folder from where its
 * program lies: a copy of the program beside links to the rest makes room for our extension files.
 */
export async function preparePostgres(
  binaries: PostgresBinaries,
  folder: string,
  user: number | undefined,
): Promise<PostgresFiles> {
  if (binaries.installed) {
    return {
      bin: await relocate(binaries, binaries.installed, `${folder}/postgres`),
      settings: binaries.pgCron === "real" ? PG_CRON_SETTINGS : {},
    };
  }
  await copyExtensions(`${folder}/extensions/extension`, () => true);
  return {
    bin: await isReachable(binaries.bin, folder, user)
      ? binaries.bin
      : `${await copyTree(
        binaries.bin.replace(/\/bin$/, ""),
        `${folder}/postgres`,
      )}/bin`,
    settings: { extension_control_path: `${folder}/extensions:$system` },
  };
}

const PG_CRON_SETTINGS = {
  shared_preload_libraries: "pg_cron",
  "cron.database_name": "postgres",
  // Without it pg_cron opens a libpq connection for each job, which needs a password or a socket.
  "cron.use_background_workers": "on",
};

async function relocate(
  { bin, pgCron }: PostgresBinaries,
  { share, lib }: { share: string; lib: string },
  target: string,
): Promise<string> {
  await Promise.all(
    [`${target}${bin}`, `${target}${share}/extension`].map((folder) =>
      Deno.mkdir(folder, { recursive: true })
    ),
  );
  await linkTo(lib, `${target}${lib}`);
  // Copies, not links: a program's place is looked up with links resolved.
  await Promise.all(
    ["postgres", "initdb"].map((program) =>
      Deno.copyFile(`${bin}/${program}`, `${target}${bin}/${program}`)
    ),
  );
  await linkAll(share, `${target}${share}`, (name) => name !== "extension");
  const isPgCron = (name: string) => name === "pg_cron.control";
  await linkAll(
    `${share}/extension`,
    `${target}${share}/extension`,
    (name) => !isPgCron(name),
  );
  if (pgCron === "real") {
    // Hosted Supabase lets the role postgres create the extension; a trusted extension does the same.
    const control = await Deno.readTextFile(
      `${share}/extension/pg_cron.control`,
    );
    await Deno.writeTextFile(
      `${target}${share}/extension/pg_cron.control`,
      control.replace(/^trusted.*$/m, "") + "\ntrusted = true\n",
    );
  }
  const isWanted = (name: string) =>
    pgCron === "stand-in" || !name.startsWith("pg_cron");
  await copyExtensions(`${target}${share}/extension`, isWanted);
  return `${target}${bin}`;
}

/** The stand-in extensions. */
export async function extensionFiles(): Promise<URL[]> {
  const names = await Array.fromAsync(
    Deno.readDir(EXTENSIONS),
    ({ name }) => name,
  );
  return names.sort().map((name) => new URL(name, EXTENSIONS));
}

async function copyExtensions(
  target: string,
  isWanted: (name: string) => boolean,
): Promise<void> {
  await Deno.mkdir(target, { recursive: true });
  for await (const { name } of Deno.readDir(EXTENSIONS)) {
    if (isWanted(name)) {
      await Deno.copyFile(new URL(name, EXTENSIONS), `${target}/${name}`);
    }
  }
}

async function linkAll(
  from: string,
  to: string,
  isWanted: (name: string) => boolean,
) {
  for await (const { name } of Deno.readDir(from)) {
    if (isWanted(name)) await Deno.symlink(`${from}/${name}`, `${to}/${name}`);
  }
}

async function linkTo(source: string, link: string): Promise<void> {
  await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
  // On some systems the library folder is inside the share or bin folder, linked already.
  if (!await exists(link)) await Deno.symlink(source, link);
}

/** A checkout in root's home cannot be read by the user that Postgres runs as. */
async function isReachable(
  bin: string,
  cwd: string,
  user: number | undefined,
): Promise<boolean> {
  if (user === undefined) return true;
  try {
    const command = new Deno.Command(`${bin}/postgres`, {
      args: ["--version"],
      cwd,
      uid: user,
    });
    return (await command.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

async function copyTree(from: string, to: string): Promise<string> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(from)) {
    if (isDirectory) await copyTree(`${from}/${name}`, `${to}/${name}`);
    else if (isSymlink) {
      await Deno.symlink(
        await Deno.readLink(`${from}/${name}`),
        `${to}/${name}`,
      );
    } else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
  return to;
}
