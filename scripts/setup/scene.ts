/** What the steps of `deno task setup` work on. */
import type postgres from "postgres";
import type { AdminWorld } from "../admin/flags.ts";
import type { ProjectSettings } from "../project/settings.ts";
import type { Target } from "../project/target.ts";
import type { CliResult } from "../stack/supabase_cli.ts";

/** What setup needs from outside. */
export interface SetupWorld extends AdminWorld {
  fetch: typeof fetch;
  /** Runs `supabase <args>` in the checkout. */
  runCli: (args: string[]) => Promise<CliResult>;
  confirm: (question: string) => Promise<boolean>;
  /** The checkout. */
  root: string;
}

export interface Scene {
  world: SetupWorld;
  sql: postgres.Sql;
  target: Target;
  /** As they are now: a step that writes the .env file reads them again. */
  settings: ProjectSettings;
  reload(): Promise<void>;
}

/**
 * One thing that must be so. The plan is what look() tells, and what is done is apply(): it is called only while look()
 * still tells what the plan told, and afterwards look() must have nothing to tell.
 */
export interface Step {
  name: string;
  /** What differs, a line for each thing that apply() would do. Throws a Problem for what only a person can mend. */
  look(scene: Scene): Promise<string[]>;
  apply(scene: Scene): Promise<void>;
  /** apply() needs the Supabase CLI. */
  usesCli?(scene: Scene): boolean;
}
