/** Names the functions' sources: the same name here and there means that the same code is deployed. */
import { createHash } from "node:crypto";

/** The first 12 hex digits of SHA-256 over what `functions deploy` takes from `<root>/supabase/functions`. */
export async function releaseOf(root: string): Promise<string> {
  const folder = `${root}/supabase/functions`;
  const hash = createHash("sha256");
  for (const file of (await filesBelow(folder)).filter(isSource).sort()) {
    const bytes = await Deno.readFile(`${folder}/${file}`);
    hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex").slice(0, 12);
}

/** Tests and what only they use change nothing that runs. */
function isSource(file: string): boolean {
  if (/(^|\/)deno\.(json|lock)$/.test(file)) return true;
  return file.endsWith(".ts") &&
    !/(_test|_for_tests|(^|\/)testing|(^|\/)measure_\w+)\.ts$/.test(file);
}

async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (name === "node_modules") continue;
    if (isDirectory) {
      const below = await filesBelow(`${folder}/${name}`);
      files.push(...below.map((file) => `${name}/${file}`));
    } else if (isFile) files.push(name);
  }
  return files;
}
