/**
 * What a function answers about itself: `GET ?about=1` with the sync secret tells which release it is, and fingerprints of its
 * settings, so that setup and doctor see whether it was told what the .env file says. No setting is ever told itself.
 */
import { createHmac } from "node:crypto";
import type { Vars } from "./env.ts";

/** Whether a variable is a setting of the functions. LUMA_SYNC_SECRET is not among them: it is proved, not compared. */
export function isSetting(name: string): boolean {
  return /^LUMA_[A-Z0-9_]+_(API_KEY|WEBHOOK_SECRET)$/.test(name) ||
    ["LUMA_API_URL", "APP_BASE_URL", "COVER_ALLOWED_HOSTS"].includes(name);
}

/** The settings in `vars` that are not empty, without spaces around them. */
export function settingsIn(vars: Vars): Map<string, string> {
  return new Map(
    Object.entries(vars)
      .map(([name, value]): [string, string] => [name, value?.trim() ?? ""])
      .filter(([name, value]) => isSetting(name) && value !== "")
      .sort(([a], [b]) => a < b ? -1 : 1),
  );
}

/** Enough of a keyed hash to see whether two values are the same: whoever lacks the sync secret cannot even guess with it. */
export function fingerprint(value: string, syncSecret: string): string {
  return createHmac("sha256", syncSecret).update(value).digest("hex")
    .slice(0, 12);
}

/** A function's answer about itself. */
export interface Introduction {
  name: string;
  /** See scripts/project/release.ts; null when it was deployed by hand. */
  release: string | null;
  /** The function's clock. */
  time: string;
  /** Fingerprints of the settings, by name. */
  secrets: Record<string, string>;
}

/** Introduces a function that has these variables. */
export function introduction(
  name: string,
  vars: Vars,
  syncSecret: string,
  now: Date,
): Introduction {
  const secrets = [...settingsIn(vars)].map((
    [name, value],
  ) => [name, fingerprint(value, syncSecret)]);
  return {
    name,
    release: vars.LUMA_RELEASE?.trim() || null,
    time: now.toISOString(),
    secrets: Object.fromEntries(secrets),
  };
}
