/** What the tests of `deno task webhooks` share: a simulated Luma, an .env file of their own, and all that was printed. */
import { assert } from "@std/assert";
import { parseEnv } from "node:util";
import {
  createLumaClient,
  type LumaClient,
} from "../../supabase/functions/_shared/luma/client.ts";
import type { LumaSimulator, SimulatorOptions } from "../luma-simulator/mod.ts";
import { startSimulator } from "../luma-simulator/mod.ts";
import { webhooks } from "../webhooks.ts";
import type { World } from "./commands.ts";

export const KEYS = { blr: "luma-key-blr", zo_events: "luma-key-zo-events" };
export const ADDRESS = "https://ref.supabase.co/functions/v1/luma-webhook";

/** How one run ended. */
export interface Run {
  status: number;
  /** All that was printed, errors after the rest. */
  said: string;
  /** What the Supabase CLI was called with. */
  cli: string[][];
}

export interface Scene {
  simulator: LumaSimulator;
  /** A client for the calendar BLR. */
  luma: LumaClient;
  envFile: string;
  run(args: string[], changes?: Partial<World>): Promise<Run>;
  /** Calls that change something on Luma, since the last question. */
  writes(): string[];
  /** The file's variables. */
  variables(): Promise<Record<string, string | undefined>>;
  /** The webhook secrets of BLR in the file. */
  secrets(): Promise<string[]>;
  text(): Promise<string>;
}

/** The .env file that a scene starts with. */
export function envText(lumaUrl: string): string {
  return `# Comment
LUMA_FUNCTIONS_URL=https://ref.supabase.co/functions/v1/
LUMA_SYNC_SECRET='sync # secret'

LUMA_BLR_API_KEY=${KEYS.blr}
LUMA_ZO_EVENTS_API_KEY=${KEYS.zo_events}
LUMA_BLR_WEBHOOK_SECRET=
LUMA_API_URL=${lumaUrl}
`;
}

/** Runs `test` on a fresh simulator; no run in it may print a key or a secret. */
export async function withScene(
  test: (scene: Scene) => Promise<void>,
  options: SimulatorOptions = {},
): Promise<void> {
  const simulator = await startSimulator(options);
  const folder = await Deno.makeTempDir();
  try {
    const envFile = `${folder}/.env`;
    await Deno.writeTextFile(envFile, envText(simulator.url));
    await test(sceneOn(simulator, envFile));
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assert(!left.some((name) => name.endsWith(".tmp")), left.join());
  } finally {
    await simulator.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

function sceneOn(simulator: LumaSimulator, envFile: string): Scene {
  const baseUrl = simulator.url;
  const text = () => Deno.readTextFile(envFile);
  const variables = async () => parseEnv(await text());
  return {
    simulator,
    luma: createLumaClient({ apiKey: KEYS.blr, baseUrl }),
    envFile,
    text,
    variables,
    secrets: async () =>
      (await variables())["LUMA_BLR_WEBHOOK_SECRET"]?.split(",") ?? [],
    run: (args, changes) => run(["--env-file", envFile, ...args], changes),
    writes() {
      const made = simulator.requests
        .filter(({ method }) => method === "POST")
        .map(({ path }) => path.replace(/^\/v\d\/webhooks\//, ""));
      simulator.clearRequests();
      return made;
    },
  };
}

/** One run, with nothing of this process's own variables. */
export async function run(
  args: string[],
  changes: Partial<World> = {},
): Promise<Run> {
  const out: string[] = [];
  const err: string[] = [];
  const cli: string[][] = [];
  const status = await webhooks(args, {
    vars: {},
    fetch,
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    runCli: (args) => {
      cli.push(args);
      return Promise.resolve({ code: 0 });
    },
    ...changes,
  });
  const said = [...out, ...err].join("\n");
  for (const secret of ["whsec_", "luma-key-", "sync # secret"]) {
    assert(!said.includes(secret), `a secret was printed: ${said}`);
  }
  return { status, said, cli };
}

/**
 * A `fetch` for each of the runs, which lets one call at a time through: the first run's where `turns` has 0, the
 * second's where it has 1, and whose there is when there is no choice.
 */
export function inTurns(turns: number[]) {
  const waiting: ((() => void) | undefined)[] = [undefined, undefined];
  const isOver = [false, false];
  let isBusy = false;
  const next = () => {
    const missing = waiting.some((go, index) => !go && !isOver[index]);
    if (isBusy || missing || !waiting.some(Boolean)) return;
    const turn = waiting.every(Boolean)
      ? turns.shift() ?? 0
      : waiting.findIndex(Boolean);
    isBusy = true;
    const go = waiting[turn];
    waiting[turn] = undefined;
    go?.();
  };
  const fetchOf = (index: number): typeof fetch => async (...call) => {
    await new Promise<void>((go) => {
      waiting[index] = go;
      next();
    });
    try {
      return await fetch(...call);
    } finally {
      isBusy = false;
    }
  };
  const over = (index: number) => {
    isOver[index] = true;
    next();
  };
  return { fetchOf, over };
}
