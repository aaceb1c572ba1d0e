/** `deno task webhooks`: registers the address of the function luma-webhook with Luma, for each calendar that has a key. */
import { parseArgs, parseEnv } from "node:util";
import { runSupabaseCli } from "./stack/supabase_cli.ts";
import { COMMANDS, type World } from "./webhooks/commands.ts";
import { readEnvFile } from "./webhooks/env_file.ts";
import { Problem } from "./webhooks/problem.ts";
import { readSettings } from "./webhooks/settings.ts";

const HELP =
  `deno task webhooks <register|list|delete> [--calendar <key>] [--env-file <file>] [--set-secrets]

  register   subscribes the function luma-webhook to each calendar that has a key, or mends the subscription: active,
             all event types, one for the address. Writes its secret to the .env file. Repeating changes nothing.
  list       shows every subscription of these calendars
  delete     removes those for luma-webhook, and empties their secrets in the .env file

  --calendar <key>       only this calendar, for example blr
  -e, --env-file <file>  where settings are read and secrets are written. Default .env; the environment wins
  --set-secrets          give the change to the functions, too, with the Supabase CLI
  --help                 this text

Settings: LUMA_FUNCTIONS_URL, LUMA_<CALENDAR KEY>_API_KEY, and LUMA_API_URL if it is not Luma's own. Ends with 0, or
with 1 and the reason, or with 2 when it was called wrongly.
`;

/** Runs one command; the exit status. */
export async function webhooks(args: string[], world: World): Promise<number> {
  const flags = readFlags(args);
  if (flags.help) {
    world.out(HELP);
    return 0;
  }
  if ("problem" in flags) {
    world.err(`${flags.problem}\n\n${HELP}`);
    return 2;
  }
  const { command, calendar, envFile, setSecrets } = flags;
  try {
    const settings = readSettings({
      process: world.vars,
      file: parseEnv(await readEnvFile(envFile)),
      envFile,
      only: calendar,
    });
    const isDone = await command({ ...world, settings, envFile, setSecrets });
    return isDone ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    world.err(error.message);
    return 1;
  }
}

function readFlags(args: string[]) {
  try {
    const { values, positionals: [name, ...more] } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        calendar: { type: "string" },
        // Short, too: npx hands a long one to Node, which wants the file to exist (nodejs/node#54232).
        "env-file": { type: "string", short: "e", default: ".env" },
        "set-secrets": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const command = Object.hasOwn(COMMANDS, name ?? "")
      ? COMMANDS[name ?? ""]
      : undefined;
    if (values.help) return { help: true } as const;
    if (name === undefined) return wrong("A command is missing.");
    if (!command || more.length > 0) {
      return wrong(`"${[name, ...more].join(" ")}" is no command.`);
    }
    return {
      command,
      calendar: values.calendar,
      envFile: values["env-file"],
      setSecrets: values["set-secrets"],
      help: false,
    } as const;
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

function wrong(problem: string) {
  return { help: false, problem } as const;
}

if (import.meta.main) {
  Deno.exitCode = await webhooks(Deno.args, {
    vars: Deno.env.toObject(),
    fetch,
    out: console.log,
    err: console.error,
    runCli: (args) => runSupabaseCli(args, { inherit: true }),
  });
}
