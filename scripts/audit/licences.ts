/** The licences of the packages that are installed. */

/** A package in node_modules. */
export interface Package {
  name: string;
  version: string;
  /** As its package.json says: an SPDX expression, or null without one. */
  licence: string | null;
}

/** Licences under which a package may be used here without a second look: permissive, with nothing to publish. */
const ALLOWED = new Set([
  ...["0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause"],
  ...[
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "PostgreSQL",
    "Python-2.0",
    "Unlicense",
  ],
]);

/** Packages under another licence, by name, with the reason why they may be used all the same. */
export type Exceptions = Record<string, string>;

/** What may not be used: one line each. */
export function licenceProblems(
  packages: Package[],
  exceptions: Exceptions,
): string[] {
  const problems = packages
    .filter(({ name, licence }) => !(name in exceptions) && !isAllowed(licence))
    .map(({ name, version, licence }) =>
      `${name}@${version} is under ${
        licence ?? "no licence that its package.json names"
      }: ` +
      `use another package, or name it in scripts/audit.ts with the reason why it may stay.`
    );
  const unused = Object.keys(exceptions)
    .filter((name) => !packages.some((found) => found.name === name))
    .map((name) =>
      `${name} is an exception in scripts/audit.ts, and is not installed: take it out.`
    );
  return [...problems, ...unused];
}

/** Of "A OR B" one is enough, of "A AND B" both are needed. What is longer has to be looked at. */
function isAllowed(licence: string | null): boolean {
  if (licence === null) return false;
  const expression = licence.replace(/^\((.*)\)$/, "$1");
  if (/ OR /.test(expression)) {
    return expression.split(" OR ").some((part) => ALLOWED.has(part));
  }
  return expression.split(" AND ").every((part) => ALLOWED.has(part));
}

/** Every package below `<folder>/.deno`, where Deno installs them; each version once. */
export async function installedPackages(folder: string): Promise<Package[]> {
  const found = new Map<string, Package>();
  for await (
    const { name: entry, isDirectory } of Deno.readDir(`${folder}/.deno`)
  ) {
    if (!isDirectory) continue;
    for await (
      const path of packageFolders(`${folder}/.deno/${entry}/node_modules`)
    ) {
      const { name, version, license, licenses } = JSON.parse(
        await Deno.readTextFile(`${path}/package.json`),
      );
      found.set(`${name}@${version}`, {
        name,
        version,
        licence: licenceOf(license ?? licenses),
      });
    }
  }
  return [...found.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Those that are installed here; links lead to packages that are installed elsewhere. */
async function* packageFolders(folder: string): AsyncGenerator<string> {
  for (const entry of await entriesOf(folder)) {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory) continue;
    if (entry.name.startsWith("@")) yield* packageFolders(path);
    else yield path;
  }
}

async function entriesOf(folder: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Old packages say {type}, or a list of them. */
function licenceOf(told: unknown): string | null {
  if (typeof told === "string") return told;
  if (Array.isArray(told)) return told.map(licenceOf).join(" OR ") || null;
  if (typeof told === "object" && told !== null && "type" in told) {
    return licenceOf(told.type);
  }
  return null;
}
