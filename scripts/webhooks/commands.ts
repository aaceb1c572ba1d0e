/** The commands of `deno task webhooks`, calendar by calendar. Nothing that they print holds a key or a secret. */
import {
  createLumaClient,
  type LumaClient,
} from "../../supabase/functions/_shared/luma/client.ts";
import { LumaError } from "../../supabase/functions/_shared/luma/errors.ts";
import type { Webhook } from "../../supabase/functions/_shared/luma/types.ts";
import { refIn } from "../project/target.ts";
import { NPM_PACKAGE } from "../stack/supabase_cli.ts";
import { readEnvFile } from "./env_file.ts";
import { Problem } from "./problem.ts";
import { dropSecret, keepSecret, secretsIn } from "./secrets.ts";
import type { Calendar, Settings } from "./settings.ts";
import {
  isSameAddress,
  listAll,
  register,
  unregister,
} from "./subscriptions.ts";

/** The world outside. */
export interface World {
  /** The process's variables. */
  vars: Record<string, string | undefined>;
  fetch: typeof fetch;
  out: (line: string) => void;
  err: (line: string) => void;
  /** Runs `supabase <args>`. */
  runCli: (args: string[]) => Promise<{ code: number }>;
}

/** What every command is given. */
export interface Task extends World {
  settings: Settings;
  envFile: string;
  /** Let the Supabase CLI bring the change to the functions, too. */
  setSecrets: boolean;
}

/** A command; answers whether all went well. */
export type Command = (task: Task) => Promise<boolean>;

export const COMMANDS: Record<string, Command> = {
  register: registerAll,
  list: listEach,
  delete: deleteAll,
};

async function registerAll(task: Task): Promise<boolean> {
  const { settings, envFile, out } = task;
  let isChanged = false;
  const isDone = await forEachCalendar(task, async (luma, calendar) => {
    const { name, secrets, secretName } = calendar;
    const { webhook, steps } = await register(luma, settings.address, secrets);
    for (const step of steps) out(`${name}: ${step}.`);
    if (steps.length === 0) out(`${name}: ${webhook.id} is as it should be.`);
    // At once, because what follows may fail.
    if (!await keepSecret(envFile, calendar, webhook.secret)) return;
    isChanged = true;
    out(`${name}: wrote ${secretName} to ${envFile}.`);
  });
  if (isDone && !isChanged) {
    out(`The webhook secrets in ${envFile} are unchanged.`);
  }
  const args = ["secrets", "set", "--env-file", envFile];
  return await tellFunctions(task, args, isChanged) && isDone;
}

async function deleteAll(task: Task): Promise<boolean> {
  const { settings, envFile, out } = task;
  const cleared: string[] = [];
  const isDone = await forEachCalendar(task, async (luma, calendar) => {
    const { name, secretName } = calendar;
    const ids = await unregister(luma, settings.address);
    for (const id of ids) out(`${name}: deleted ${id}.`);
    if (ids.length === 0) out(`${name}: nothing is registered.`);
    if (!await dropSecret(envFile, calendar)) return;
    cleared.push(secretName);
    out(`${name}: emptied ${secretName} in ${envFile}.`);
  });
  const names = task.setSecrets
    ? settings.calendars.map(({ secretName }) => secretName)
    : cleared;
  const args = ["secrets", "unset", ...names];
  return await tellFunctions(task, args, names.length > 0) && isDone;
}

async function listEach(task: Task): Promise<boolean> {
  const { settings, envFile, out } = task;
  const file = await readEnvFile(envFile);
  return await forEachCalendar(task, async (luma, { name }) => {
    const webhooks = await listAll(luma);
    out(webhooks.length > 0 ? `${name}:` : `${name}: no subscriptions`);
    const secrets = secretsIn(file, name);
    for (const webhook of webhooks) {
      const { id, status, url, secret } = webhook;
      const ours = isSameAddress(url, settings.address) ? " (ours)" : "";
      const kept = secrets.includes(secret) ? "is" : "is not";
      out(`  ${id}  ${status}  ${typesOf(webhook)}`);
      out(`    ${shown(url)}${ours}; its secret ${kept} in ${envFile}`);
    }
  });
}

/** Does the work for every calendar, also when it fails for one; false when it did. */
async function forEachCalendar(
  { settings, fetch, err }: Task,
  work: (luma: LumaClient, calendar: Calendar) => Promise<void>,
): Promise<boolean> {
  let isDone = true;
  for (const calendar of settings.calendars) {
    const { apiKey } = calendar;
    try {
      const baseUrl = settings.lumaUrl;
      await work(createLumaClient({ apiKey, baseUrl, fetch }), calendar);
    } catch (error) {
      err(`${calendar.name}: ${explained(error, calendar, settings)}`);
      isDone = false;
    }
  }
  return isDone;
}

/** What went wrong in words, with what to do. Throws what is no Problem and no LumaError. */
export function explained(
  error: unknown,
  { apiKeyName }: Pick<Calendar, "apiKeyName">,
  { lumaUrl }: Pick<Settings, "lumaUrl">,
): string {
  if (error instanceof Problem) return error.message;
  if (!(error instanceof LumaError)) throw error;
  const { kind, status } = error;
  const said = error.message.replace(/\.$/, "");
  if (kind === "http" && (status === 401 || status === 403)) {
    return `Luma refuses ${apiKeyName}: ${said}. Set it to the calendar's API key, from the calendar's settings on Luma.`;
  }
  const again = "Run it again: what is done already is not done twice.";
  return kind === "network" || kind === "timeout"
    ? `Luma was not reached at ${lumaUrl}: ${said}. Check the network and LUMA_API_URL. ${again}`
    : `${said}. ${again}`;
}

/** Runs the CLI when that was asked for, else says how, if there is something to bring. */
async function tellFunctions(
  { settings, setSecrets, runCli, out, err }: Task,
  command: string[],
  isChanged: boolean,
): Promise<boolean> {
  const ref = refIn(URL.parse(settings.address)?.hostname);
  // Else it is that of the folder's `supabase link`.
  const args = ref === undefined ? command : [...command, "--project-ref", ref];
  const line = ["npx", "-y", NPM_PACKAGE, ...args].map(shellWord).join(" ");
  if (!setSecrets) {
    if (isChanged) out(`The functions do not know it yet. Run:\n  ${line}`);
    return true;
  }
  // Also when nothing changed now: the last run may have ended before this.
  const { code } = await runCli(args);
  if (code === 0) out(`supabase ${args.slice(0, 2).join(" ")}: done.`);
  else err(`supabase ended with ${code}. Run it again:\n  ${line}`);
  return code === 0;
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}

function typesOf({ event_types }: Webhook): string {
  return event_types.includes("*") ? "all (*)" : event_types.join(", ");
}

/** Without what may be a password or a token of somebody else's. */
function shown(address: string): string {
  const url = URL.parse(address);
  if (!url) return "(no address)";
  return `${url.origin}${url.pathname}${url.search ? "?…" : ""}`;
}
