/** The .env file: its variables are read, one line of it is written, and every other line stays as it is. */
import { rename, rm, writeFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { Problem } from "./problem.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The file's text; empty when there is no such file. */
export async function readEnvFile(path: string): Promise<string> {
  try {
    // Not readTextFile(): it would put other characters for what is not UTF-8, and they would be written back.
    return UTF8.decode(await Deno.readFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw new Problem(`${path} cannot be read: ${reason(error)}`);
  }
}

/** Writes the whole file or nothing of it, readable by its owner only. */
export async function writeEnvFile(path: string, text: string): Promise<void> {
  // A link stays a link: what it leads to is replaced.
  const target = await Deno.realPath(path).catch(() => path);
  const temporary = `${target}.${crypto.randomUUID()}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: "wx", flush: true });
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new Problem(`${path} cannot be written: ${reason(error)}`);
  }
}

/** `text` with this variable: in its line if it has one, else in a new line at the end. */
export function withVariable(
  text: string,
  name: string,
  value: string,
): string {
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const assignment = `${name}=${quoted(value)}`;
  const line = new RegExp(
    `^([ \\t]*(?:export[ \\t]+)?)${name}[ \\t]*=.*$`,
    "gm",
  );
  // Of several lines the last one counts.
  const found = [...text.matchAll(line)].at(-1);
  const changed = found
    ? text.slice(0, found.index) + found[1] + assignment +
      text.slice(found.index + found[0].length)
    : text + (text === "" || text.endsWith("\n") ? "" : end) + assignment + end;
  checkOnly(name, value, text, changed);
  return changed;
}

/** Bare where a shell and every reader of .env files take it so. */
function quoted(value: string): string {
  return /^[\w+/=.:,-]*$/.test(value) ? value : `'${value}'`;
}

/** A value over several lines, for example, would be cut into two. */
function checkOnly(name: string, value: string, before: string, after: string) {
  const old = parseEnv(before);
  const wanted: Record<string, string | undefined> = { ...old, [name]: value };
  const got = parseEnv(after);
  const names = [...Object.keys(wanted), ...Object.keys(got)];
  const isCut = old[name]?.includes("\n") ?? false;
  if (!isCut && names.every((each) => wanted[each] === got[each])) return;
  throw new Problem(
    `${name} cannot be written into the file: a value there runs over several lines, or its quotes do not match. Write it as NAME=value in one line.`,
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
