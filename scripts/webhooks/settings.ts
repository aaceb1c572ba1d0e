/** What the environment and the .env file tell `deno task webhooks`, checked. */
import {
  byCalendar,
  type Vars,
  webhookSecrets,
} from "../../supabase/functions/_shared/env.ts";
import { Problem } from "./problem.ts";

/** One calendar that has a key. */
export interface Calendar {
  /** As in `calendars.luma_key`: `zo_events`. */
  name: string;
  apiKey: string;
  apiKeyName: string;
  secretName: string;
  /** Webhook secrets that the file or the environment holds for it. */
  secrets: readonly string[];
}

export interface Settings {
  lumaUrl: string;
  /** Where Luma shall deliver: the function luma-webhook. */
  address: string;
  calendars: Calendar[];
}

/** Where the settings come from. */
export interface Sources {
  /** The process's variables; they win, unless they are empty. */
  process: Vars;
  file: Vars;
  /** The file's name, for messages. */
  envFile: string;
  /** Only this calendar. */
  only?: string | undefined;
}

/** Throws a Problem that names every setting that is missing or wrong. */
export function readSettings(sources: Sources): Settings {
  const { settings, problems } = findSettings(sources);
  if (problems.length > 0) throw settingsProblem(sources.envFile, problems);
  return settings;
}

/** The settings, and what is wrong with them. */
export function findSettings(
  sources: Sources,
): { settings: Settings; problems: string[] } {
  const vars = merged(sources);
  const problems: string[] = [];
  const functionsUrl = address(vars, "LUMA_FUNCTIONS_URL", problems);
  const settings: Settings = {
    lumaUrl: address(
      { LUMA_API_URL: "https://public-api.luma.com", ...filled(vars) },
      "LUMA_API_URL",
      problems,
    ),
    address: `${functionsUrl}/luma-webhook`,
    calendars: calendars(vars, sources, problems),
  };
  return { settings, problems };
}

/** The file's variables and the process's, which win unless they are empty. */
export function merged({ file, process }: Pick<Sources, "file" | "process">) {
  return { ...file, ...filled(process) };
}

/** Tells of all settings that are missing or wrong. */
export function settingsProblem(envFile: string, problems: string[]): Problem {
  return new Problem(
    `Set these in ${envFile} or in the environment:\n${
      problems.map((problem) => `  ${problem}`).join("\n")
    }`,
  );
}

function filled(vars: Vars): Vars {
  return Object.fromEntries(
    Object.entries(vars).filter(([, value]) => value?.trim()),
  );
}

/** The address without slashes at its end. A key or a signed delivery goes there, so it must be encrypted. */
export function address(
  vars: Vars,
  name: string,
  problems: string[],
): string {
  const value = vars[name]?.trim();
  const url = URL.parse(value ?? "");
  const isHere = ["127.0.0.1", "localhost"].includes(url?.hostname ?? "");
  if (!value) {
    problems.push(`${name} is not set.`);
  } else if (value.includes("PROJECT_REF")) {
    problems.push(
      `${name} still holds PROJECT_REF: write your project's reference there.`,
    );
  } else if (
    url?.protocol !== "https:" && !(url?.protocol === "http:" && isHere)
  ) {
    problems.push(
      `${name} must be an address with https (or http on 127.0.0.1 or localhost).`,
    );
  } else if (url.username || url.password || url.search || url.hash) {
    problems.push(
      `${name} must be a plain address, without a user, a password, "?" and "#".`,
    );
  }
  return (url?.href ?? "").replace(/\/+$/, "");
}

function calendars(
  vars: Vars,
  { process, file, only }: Sources,
  problems: string[],
): Calendar[] {
  const wanted = only?.toLowerCase();
  const secrets = webhookSecrets({ ...filled(process), ...filled(file) });
  const found = [...byCalendar(vars, "API_KEY")]
    .filter(([name]) => wanted === undefined || name === wanted)
    .map(([name, apiKey]) => ({
      name,
      apiKey,
      apiKeyName: `LUMA_${name.toUpperCase()}_API_KEY`,
      secretName: secretName(name),
      secrets: secrets.get(name) ?? [],
    }));
  if (found.length === 0) problems.push(noCalendar(vars, wanted));
  problems.push(...wrongKeys(found));
  return found;
}

function secretName(calendar: string): string {
  return `LUMA_${calendar.toUpperCase()}_WEBHOOK_SECRET`;
}

function noCalendar(vars: Vars, wanted: string | undefined): string {
  if (wanted !== undefined) {
    return `LUMA_${wanted.toUpperCase()}_API_KEY is not set: it is the API key of the calendar ${wanted}.`;
  }
  const empty = Object.keys(vars)
    .filter((name) => /^LUMA_[A-Z0-9_]+_API_KEY$/.test(name));
  return empty.length > 0
    ? `No calendar has a key: fill in ${empty.join(" or ")}.`
    : "LUMA_<CALENDAR KEY>_API_KEY is not set for any calendar, for example LUMA_BLR_API_KEY.";
}

function wrongKeys(calendars: Calendar[]): string[] {
  const nameOf = new Map<string, string>();
  return calendars.flatMap(({ apiKey, apiKeyName }) => {
    const same = nameOf.get(apiKey);
    nameOf.set(apiKey, apiKeyName);
    // One key is one calendar: its deliveries would be taken for the other's.
    if (same) return [`${apiKeyName} and ${same} are the same key.`];
    return /^[\x21-\x7e]+$/.test(apiKey)
      ? []
      : [`${apiKeyName} must be one word of printable ASCII.`];
  });
}
