/** Flags of the tasks that an admin runs, and how such a task ends. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { Problem } from "../webhooks/problem.ts";

/** What a task needs from outside. */
export interface AdminWorld {
  vars: Record<string, string | undefined>;
  out: (text: string) => void;
  err: (text: string) => void;
  sleep: (ms: number) => Promise<void>;
  /** True on a terminal: a line may be written over. */
  isTerminal: boolean;
}

/** The world of a task that was started from a shell. */
export function shellWorld(): AdminWorld {
  return {
    vars: Deno.env.toObject(),
    out: console.log,
    err: console.error,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    isTerminal: Deno.stdout.isTerminal(),
  };
}

/** Reads the flags and runs the task: 0, or 1 with the Problem it threw, or 2 when it was called wrongly. */
export async function runTask<
  T extends NonNullable<ParseArgsConfig["options"]>,
>(
  { args, help, options, world }: {
    args: string[];
    help: string;
    options: T;
    world: AdminWorld;
  },
  task: (
    values: Record<string, string | boolean | undefined>,
  ) => Promise<number>,
): Promise<number> {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args,
      options: {
        ...options,
        // Short, too: npx hands a long one to Node, which wants the file to exist (nodejs/node#54232).
        "env-file": { type: "string", short: "e", default: ".env" },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values as typeof values;
  } catch (error) {
    world.err(`${error instanceof Error ? error.message : error}\n\n${help}`);
    return 2;
  }
  if (values.help) {
    world.out(help);
    return 0;
  }
  try {
    return await task(values);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    world.err(error.message);
    return 1;
  }
}
