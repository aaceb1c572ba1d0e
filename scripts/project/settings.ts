/** What the environment and the .env file say about the project, checked. */
import { parseEnv } from "node:util";
import type { Vars } from "../../supabase/functions/_shared/env.ts";
import { settingsIn } from "../../supabase/functions/_shared/introduce.ts";
import { readEnvFile } from "../webhooks/env_file.ts";
import {
  address,
  findSettings,
  merged,
  type Settings,
  settingsProblem,
} from "../webhooks/settings.ts";

/** Everything that setup and doctor need to know before they look at anything. */
export interface ProjectSettings extends Settings {
  envFile: string;
  /** The file's variables and the environment's. */
  vars: Vars;
  /** Where the database finds the functions, up to and including /functions/v1. */
  functionsUrl: string;
  /** Where this machine finds them. */
  reachUrl: string;
  /** Empty when there is none yet. */
  syncSecret: string;
  /** What the functions are to be told, by name. */
  secrets: ReadonlyMap<string, string>;
}

/** `supabase start` as its own database's container sees it, and as this machine does. */
const CONTAINER = "http://api.supabase.internal:8000";
const HERE = "http://127.0.0.1:54321";

/** Reads the settings; throws a Problem that names every one that is missing or wrong. */
export async function readProject(
  process: Vars,
  envFile: string,
): Promise<ProjectSettings> {
  const { settings, problems } = await findProject(process, envFile);
  if (problems.length > 0) throw settingsProblem(envFile, problems);
  return settings;
}

/** The settings, and what is wrong with them. */
export async function findProject(
  process: Vars,
  envFile: string,
): Promise<{ settings: ProjectSettings; problems: string[] }> {
  const file = parseEnv(await readEnvFile(envFile));
  const vars = { ...merged({ file, process }), ...written(file) };
  const functionsUrl = (vars.LUMA_FUNCTIONS_URL ?? "").trim()
    .replace(/\/+$/, "");
  const reachUrl = functionsUrl.replace(CONTAINER, HERE);
  const { settings, problems } = findSettings({
    file,
    process: { ...process, LUMA_FUNCTIONS_URL: reachUrl },
    envFile,
  });
  if (reachUrl !== "" && !reachUrl.endsWith("/functions/v1")) {
    problems.push(
      `LUMA_FUNCTIONS_URL is ${functionsUrl}, but must end with /functions/v1.`,
    );
  }
  if (vars.APP_BASE_URL?.trim()) address(vars, "APP_BASE_URL", problems);
  const syncSecret = vars.LUMA_SYNC_SECRET?.trim() ?? "";
  if (!/^[\x21-\x7e]*$/.test(syncSecret)) {
    problems.push(
      "LUMA_SYNC_SECRET must be one word of printable ASCII, because it is sent as a header.",
    );
  }
  problems.push(...databaseProblems(vars.SUPABASE_DB_URL?.trim() ?? ""));
  return {
    settings: {
      ...settings,
      envFile,
      vars,
      functionsUrl,
      reachUrl,
      syncSecret,
      secrets: settingsIn(vars),
    },
    problems,
  };
}

function databaseProblems(url: string): string[] {
  if (url === "") {
    return [
      'SUPABASE_DB_URL is not set: the connection string of the project\'s database (in the dashboard under Connect, "Session pooler").',
    ];
  }
  // Each statement may meet another connection there, so that nothing can be held.
  return URL.parse(url)?.port === "6543"
    ? [
      "SUPABASE_DB_URL is the transaction pooler's (port 6543): take the session pooler's, port 5432.",
    ]
    : [];
}

/** Webhook secrets are written into the file: a shell that has read it before holds older ones. */
function written(file: Vars): Vars {
  return Object.fromEntries(
    Object.entries(file).filter(([name, value]) =>
      name.endsWith("_WEBHOOK_SECRET") && value?.trim()
    ),
  );
}

/** True for an address on this machine, which nothing outside can call. */
export function isHere(url: string): boolean {
  return ["127.0.0.1", "localhost"].includes(URL.parse(url)?.hostname ?? "");
}

/** Luma cannot deliver to this machine; a simulator that runs on it can. */
export function takesWebhooks(
  { address, lumaUrl }: Pick<Settings, "address" | "lumaUrl">,
): boolean {
  return !isHere(address) || isHere(lumaUrl);
}
