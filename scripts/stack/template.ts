/**
 * Clusters that are made once and copied for each stack: initdb and the migrations are most of what the start
 * of a stack takes. `deno task test` names a folder for them, and removes it in the end.
 */
import { exists, type PostgresBinaries } from "./postgres_binaries.ts";
import type { Cluster } from "./postgres_server.ts";

export interface TemplateOptions {
  /** Where all templates are; any user must be able to enter it. */
  templates: string;
  binaries: PostgresBinaries;
  /** The files with whose text the content of the database changes. */
  sources: (string | URL)[];
  /** Makes the cluster inside `folder`, and has shut it down when it returns. */
  make: (folder: string) => Promise<Cluster>;
}

/** The template for these sources, made if there is none yet. */
export async function findTemplate(
  { templates, binaries, sources, make }: TemplateOptions,
): Promise<Cluster> {
  const folder = `${templates}/${await contentHash(binaries, sources)}`;
  // Of test files that run at the same time one makes it, and the others wait.
  using lock = await Deno.open(`${folder}.lock`, { create: true, write: true });
  await lock.lock(true);
  const finished = `${folder}/cluster.json`;
  if (await exists(finished)) {
    return JSON.parse(await Deno.readTextFile(finished));
  }
  // What somebody began who failed or was killed.
  if (await exists(folder)) await Deno.remove(folder, { recursive: true });
  await Deno.mkdir(folder);
  const cluster = await make(folder);
  await Deno.writeTextFile(finished, JSON.stringify(cluster));
  return cluster;
}

async function contentHash(
  { bin, version }: PostgresBinaries,
  sources: (string | URL)[],
): Promise<string> {
  const texts = await Promise.all(
    sources.map((file) => Deno.readTextFile(file)),
  );
  // Names without folders, because the order and versions of migrations are in them.
  const names = sources.map((file) => String(file).replace(/.*\//, ""));
  const all = new TextEncoder().encode(
    JSON.stringify([bin, version, names, texts]),
  );
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return hash.toHex().slice(0, 16);
}
