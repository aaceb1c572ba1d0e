/** The deployed functions, as they answer about themselves. */
import { z } from "zod";
import {
  fingerprint,
  type Introduction,
} from "../../supabase/functions/_shared/introduce.ts";
import type { ProjectSettings } from "./settings.ts";

export const FUNCTIONS = ["luma-drain", "luma-pull", "luma-webhook"] as const;

/** A cold start loads the whole function. */
const TIMEOUT_MS = 30_000;

/** What one function said. */
export interface FunctionState {
  name: string;
  /** Null when it did not introduce itself. */
  told: Introduction | null;
  /** Null when nothing answered. */
  status: number | null;
  /** Why it did not introduce itself, in words; empty when it did. */
  problem: string;
  /** When the answer was there, on this machine's clock. */
  at: Date;
}

const Answer = z.object({
  name: z.string(),
  release: z.string().nullable(),
  time: z.iso.datetime(),
  secrets: z.record(z.string(), z.string()),
});

/** Asks every function, at the same time. */
export async function askFunctions(
  settings: Pick<ProjectSettings, "reachUrl" | "syncSecret">,
  fetcher: typeof fetch,
): Promise<FunctionState[]> {
  return await Promise.all(FUNCTIONS.map((name) => ask(name)));

  async function ask(name: string): Promise<FunctionState> {
    const { status, text } = await get(`${settings.reachUrl}/${name}?about=1`);
    const told = status === 200 ? parsed(text) : null;
    const problem = told ? "" : refusal(status, text);
    return { name, told, status, problem, at: new Date() };
  }

  async function get(url: string) {
    try {
      const response = await fetcher(url, {
        headers: { "x-luma-sync-secret": settings.syncSecret },
        // It would carry the secret to another host.
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { status: null, text };
    }
  }
}

function parsed(text: string): Introduction | null {
  try {
    return Answer.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function refusal(status: number | null, text: string): string {
  if (status === null) return `does not answer: ${text}`;
  if (status === 401) return "has another LUMA_SYNC_SECRET";
  if (status === 404) return "is not deployed";
  if (status === 405) return "is an older release";
  let said = text;
  try {
    const { error, message } = JSON.parse(text);
    said = error ?? message ?? text;
  } catch {
    // Some page of the platform's: its beginning will do.
  }
  return `answers ${status}: ${said.slice(0, 200)}`;
}

/** The names of settings that a function has not been told as they are, and of those that only it has. */
export function secretsAmiss(
  { secrets }: Introduction,
  settings: Pick<ProjectSettings, "secrets" | "syncSecret">,
): { differing: string[]; unknown: string[] } {
  const differing = [...settings.secrets]
    .filter(([name, value]) =>
      secrets[name] !== fingerprint(value, settings.syncSecret)
    )
    .map(([name]) => name);
  const unknown = Object.keys(secrets)
    .filter((name) => !settings.secrets.has(name));
  return { differing, unknown };
}
