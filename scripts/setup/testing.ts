/** What the tests of `deno task setup` and `doctor` share: a hosted project, played by the local stack. */
import { assert } from "@std/assert";
import { parseEnv } from "node:util";
import { setup } from "../setup.ts";
import { applyMigrations } from "../stack/database.ts";
import { type Stack, type StackOptions, startStack } from "../stack/mod.ts";
import type { CliResult } from "../stack/supabase_cli.ts";
import { withVariable } from "../webhooks/env_file.ts";
import type { SetupWorld } from "./scene.ts";

export const REF = "abcdefghijklmnopqrst";
export const ROOT = new URL("../..", import.meta.url).pathname
  .replace(/\/$/, "");

/** How one run ended. */
export interface Run {
  code: number;
  /** All that was printed, errors after the rest. */
  said: string;
  /** What the Supabase CLI was called with. */
  cli: string[];
}

export interface Hosted {
  stack: Stack;
  envFile: string;
  /** Runs setup as from a shell. */
  setup(args?: string[], changes?: Partial<SetupWorld>): Promise<Run>;
  /** The world that setup is given. */
  world(changes?: Partial<SetupWorld>): SetupWorld;
  /** The CLI's stand-in: what the real one would do, done to the stack. */
  cli(args: string[]): Promise<CliResult>;
  /** Changes one line of the .env file. */
  setEnv(name: string, value: string): Promise<void>;
  /** The variables of the .env file. */
  env(): Promise<Record<string, string | undefined>>;
}

/** Nothing of it is known to the functions of a new project. */
const UNSET = {
  LUMA_SYNC_SECRET: undefined,
  LUMA_API_URL: undefined,
  LUMA_BLR_API_KEY: undefined,
  LUMA_ZO_EVENTS_API_KEY: undefined,
  APP_BASE_URL: undefined,
};

/** A test on a project that nothing was set up on. `migrate` spares the migrations where they are not the point. */
export function hostedTest(
  name: string,
  test: (hosted: Hosted) => Promise<void>,
  options: StackOptions = {},
): void {
  Deno.test(name, async () => {
    await using stack = await startStack({
      migrate: false,
      seed: false,
      env: UNSET,
      ...options,
    });
    const folder = await Deno.makeTempDir();
    try {
      await stack.sql`delete from vault.secrets`;
      await stack.functions.stop();
      const envFile = `${folder}/.env`;
      await Deno.writeTextFile(envFile, envText(stack), { mode: 0o600 });
      await test(hostedOn(stack, envFile));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

function envText(stack: Stack): string {
  return `# Comment
LUMA_FUNCTIONS_URL=${stack.functionsUrl}
LUMA_SYNC_SECRET=
LUMA_BLR_API_KEY=luma-key-blr
LUMA_ZO_EVENTS_API_KEY=luma-key-zo-events
LUMA_BLR_WEBHOOK_SECRET=
LUMA_ZO_EVENTS_WEBHOOK_SECRET=
LUMA_API_URL=${stack.simulator.url}
APP_BASE_URL=${stack.url}
COVER_ALLOWED_HOSTS=
SUPABASE_DB_URL=${stack.postgres.url}
`;
}

function hostedOn(stack: Stack, envFile: string): Hosted {
  const cli = (args: string[]) => standIn(stack, args);
  const world = (changes: Partial<SetupWorld> = {}): SetupWorld => ({
    vars: {},
    out: () => {},
    err: () => {},
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 10)),
    isTerminal: false,
    fetch,
    runCli: cli,
    confirm: () => Promise.resolve(true),
    root: ROOT,
    ...changes,
  });
  const env = async () => parseEnv(await Deno.readTextFile(envFile));
  return {
    stack,
    envFile,
    cli,
    world,
    env,
    async setEnv(name, value) {
      const text = await Deno.readTextFile(envFile);
      await Deno.writeTextFile(envFile, withVariable(text, name, value));
    },
    async setup(args = [], changes = {}) {
      const calls: string[] = [];
      const out: string[] = [];
      const err: string[] = [];
      const given = world(changes);
      const code = await setup(
        ["--env-file", envFile, "--project-ref", REF, ...args],
        {
          ...given,
          out: (text) => out.push(text),
          err: (text) => err.push(text),
          runCli: (args) => {
            calls.push(args.slice(0, 2).join(" "));
            return given.runCli(args);
          },
        },
      );
      const said = [...out, ...err].join("\n");
      assertDiscreet(said, await env());
      return { code, said, cli: calls };
    },
  };
}

/** Nothing that was printed may hold a secret of the .env file, or an e-mail address. */
export function assertDiscreet(
  said: string,
  env: Record<string, string | undefined>,
): void {
  const secrets = Object.entries(env)
    .filter(([name]) => /(_KEY|_SECRET|_DB_URL)$/.test(name))
    .flatMap(([, value]) => value?.split(",") ?? []).filter(Boolean);
  for (const secret of secrets) {
    assert(!said.includes(secret), `"${secret}" was printed: ${said}`);
  }
  assert(!/whsec_\w|luma-key-/.test(said), `a secret was printed: ${said}`);
  assert(!/[\w.]+@[\w.]+\.[a-z]{2,}/.test(said), `an address: ${said}`);
}

/** What the CLI does to a hosted project, done to the stack. */
async function standIn(stack: Stack, args: string[]): Promise<CliResult> {
  const done = (stdout = "") => ({ code: 0, stdout, stderr: "" });
  switch (args.slice(0, 2).join(" ")) {
    case "--version":
      return done("3.1.0\n");
    case "secrets list":
      return done();
    case "db push":
      await applyMigrations(stack.sql, ROOT);
      return done();
    case "secrets set": {
      const file = args[args.indexOf("--env-file") + 1] ?? "";
      await stack.functions.setEnv(parseEnv(await Deno.readTextFile(file)));
      return done();
    }
    case "functions deploy":
      stack.functions.start();
      return done();
    default:
      return { code: 1, stdout: "", stderr: `unknown: ${args.join(" ")}` };
  }
}
