/** The Supabase CLI as setup uses it. */
import type { CliResult } from "../stack/supabase_cli.ts";
import { NPM_PACKAGE } from "../stack/supabase_cli.ts";
import { withVariable } from "../webhooks/env_file.ts";
import { Problem } from "../webhooks/problem.ts";
import type { Scene } from "./scene.ts";

/** Runs it; a code other than 0 is a Problem with its words. */
export async function supabase(
  { world }: Pick<Scene, "world">,
  args: string[],
): Promise<CliResult> {
  const result = await world.runCli(args);
  if (result.code === 0) return result;
  const said = `${result.stdout}\n${result.stderr}`.trim().split("\n");
  throw new Problem(
    [
      `supabase ${args.slice(0, 2).join(" ")} ended with ${result.code}:`,
      ...said.slice(-12).map((line) => `  ${line}`),
    ].join("\n"),
  );
}

/** The CLI is there, and may work on the project. */
export async function checkCli(scene: Scene): Promise<void> {
  const { stdout } = await supabase(scene, ["--version"]);
  if (!/^3\./m.test(stdout.trim())) {
    throw new Problem(
      `The Supabase CLI is version ${stdout.trim()}, but 3 is needed. Unset SUPABASE_CLI, or: npx -y ${NPM_PACKAGE}`,
    );
  }
  const { target } = scene;
  if (target.kind === "local") return;
  try {
    await supabase(scene, ["secrets", "list", `--remote=${target.ref}`]);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new Problem(
      `${error.message}\nThe CLI cannot work on the project ${target.ref}. Log in (npx -y ${NPM_PACKAGE} login, or SUPABASE_ACCESS_TOKEN) as somebody who may.`,
    );
  }
}

/** Sets function secrets of a hosted project, without showing them to who lists the machine's processes. */
export async function setSecrets(
  scene: Scene,
  ref: string,
  secrets: ReadonlyMap<string, string>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "luma-setup-" });
  try {
    const file = `${folder}/secrets.env`;
    await Deno.writeTextFile(file, envText("", secrets), { mode: 0o600 });
    await supabase(
      scene,
      ["secrets", "set", "--env-file", file, `--remote=${ref}`, "--yes"],
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** `text` of an .env file with these variables. */
export function envText(
  text: string,
  variables: ReadonlyMap<string, string>,
): string {
  return [...variables].reduce(
    (written, [name, value]) => withVariable(written, name, value),
    text,
  );
}
