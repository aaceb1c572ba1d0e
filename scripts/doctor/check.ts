/** What a check of `deno task doctor` is, and how all of them are made. */
import type postgres from "postgres";
import { hasStatus } from "../../supabase/functions/_shared/luma/errors.ts";
import type { AdminWorld } from "../admin/flags.ts";
import type { KeyState } from "../project/calendars.ts";
import type { FunctionState } from "../project/functions.ts";
import type { MigrationState } from "../project/migrations.ts";
import type { ProjectSettings } from "../project/settings.ts";
import type { Target } from "../project/target.ts";
import { Problem } from "../webhooks/problem.ts";
import type { CheckId } from "./ids.ts";

/** What the doctor needs from outside. */
export interface DoctorWorld extends AdminWorld {
  fetch: typeof fetch;
  /** The checkout. */
  root: string;
}

/** What the checks look at. What more than one of them needs is asked for once. */
export interface Scene {
  world: DoctorWorld;
  settings: ProjectSettings;
  /** What is wrong with the settings. */
  problems: readonly string[];
  /** Throws a Problem when SUPABASE_DB_URL is no address. */
  sql(): postgres.Sql;
  target(): Promise<Target>;
  migrations(): Promise<MigrationState>;
  functions(): Promise<FunctionState[]>;
  keys(): Promise<KeyState[]>;
}

export interface Finding {
  level: "ok" | "warning" | "failure";
  found: string;
  /** What to do about it; of what is ok empty. */
  fix: string;
}

export interface Check {
  id: CheckId;
  /** It says nothing of use unless these are ok, or warn. */
  needs: readonly CheckId[];
  look(scene: Scene): Finding | Promise<Finding>;
}

export interface Result {
  id: CheckId;
  level: Finding["level"] | "skipped";
  found: string;
  fix: string;
}

export function ok(found: string): Finding {
  return { level: "ok", found, fix: "" };
}

export function warning(found: string, fix: string): Finding {
  return { level: "warning", found, fix };
}

export function failure(found: string, fix: string): Finding {
  return { level: "failure", found, fix };
}

/** What to do when Luma has no call left for the doctor. */
export const BUSY = "Luma's rate limit is used up: look again in a minute.";

/** Makes the checks, one after the other, and tells each result as it comes. */
export async function makeChecks(
  checks: readonly Check[],
  scene: Scene,
  tell: (result: Result) => void,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const { id, needs, look } of checks) {
    const missing = needs.find((need) =>
      results.some((one) =>
        one.id === need && ["failure", "skipped"].includes(one.level)
      )
    );
    const finding = missing
      ? { level: "skipped" as const, found: `needs ${missing}`, fix: "" }
      : await looked(scene, look);
    const result = { id, ...finding };
    results.push(result);
    tell(result);
  }
  return results;
}

/** What a check could not even ask is a failure, too. */
async function looked(scene: Scene, look: Check["look"]): Promise<Finding> {
  try {
    return await look(scene);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (hasStatus(error.cause, 429)) return warning(error.message, BUSY);
    const { hint, code } = error as { hint?: string; code?: string };
    // An error without a code is a mistake of this program.
    if (!(error instanceof Problem) && code === undefined) throw error;
    return failure(error.message, hint ?? "Mend that, then look again.");
  }
}
