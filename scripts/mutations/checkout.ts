/** A private copy of this checkout, in which guards can be taken away. */
import { startWatchdog } from "../stack/watchdog.ts";
import { type Edit, editOf, type Mutation, type Read } from "./mutation.ts";

const ROOT = new URL("../../", import.meta.url);
const MIGRATIONS = "supabase/migrations/";

/** The paths of the migrations in the order in which they are applied. */
export async function migrationFiles(root: URL = ROOT): Promise<string[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(new URL(MIGRATIONS, root))) {
    if (name.endsWith(".sql")) files.push(MIGRATIONS + name);
  }
  return files.sort();
}

/** Reads from the checkout that this file is in. */
export const readHere: Read = (file) => Deno.readTextFile(new URL(file, ROOT));

/** The copy; it goes away when it is disposed of, or this process dies. */
export interface Checkout extends AsyncDisposable {
  readonly folder: string;
  /** Clusters that its tests make, and use again. */
  readonly templates: string;
  /** Does without the guard while `work` runs. */
  without<T>(mutation: Mutation, work: () => Promise<T>): Promise<T>;
}

/** Copies the files as they are now. */
export async function copyCheckout(): Promise<Checkout> {
  // Also removes the copy when we are killed.
  const watchdog = await startWatchdog();
  const folder = `${watchdog.folder}/checkout`;
  const templates = `${watchdog.folder}/templates`;
  await Deno.mkdir(templates);
  for (const file of await filesBelow()) {
    const path = `${folder}/${file}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(new URL(file, ROOT), path);
  }
  // Read only: nothing is installed while tests run.
  await Deno.symlink(
    new URL("node_modules", ROOT).pathname,
    `${folder}/node_modules`,
  );
  const migrations = await migrationFiles();
  const read: Read = (file) => Deno.readTextFile(`${folder}/${file}`);
  const write = (edit: Edit, text: string) =>
    Deno.writeTextFile(`${folder}/${edit.file}`, text);
  return {
    folder,
    templates,
    async without(mutation, work) {
      const edit = await editOf(mutation, migrations, read);
      await write(edit, edit.after);
      try {
        return await work();
      } finally {
        await write(edit, edit.before);
      }
    },
    [Symbol.asyncDispose]: () => watchdog.stop(),
  };
}

/** The paths of all files below a folder, without packages and what is hidden: `.git`, and the user's `.env`. */
async function filesBelow(folder = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const { name, isDirectory, isFile } = entry;
    const isLeftOut = name === "node_modules" || name.startsWith(".");
    if (isLeftOut && name !== ".env.example") continue;
    if (isDirectory) found.push(...await filesBelow(`${folder}${name}/`));
    if (isFile) found.push(folder + name);
  }
  return found;
}
