/** The steps of `deno task setup`, in order. */
import type { Step } from "./scene.ts";
import { calendarsStep } from "./step_calendars.ts";
import { envStep } from "./step_env.ts";
import { functionsStep } from "./step_functions.ts";
import { jobsStep } from "./step_jobs.ts";
import { migrationsStep } from "./step_migrations.ts";
import { modeStep } from "./step_mode.ts";
import { vaultStep } from "./step_vault.ts";
import { webhooksStep } from "./step_webhooks.ts";

/** Each relies on those before it. The mode comes last: until then nothing moves. */
export const STEPS: readonly Step[] = [
  envStep,
  migrationsStep,
  calendarsStep,
  vaultStep,
  functionsStep,
  webhooksStep,
  jobsStep,
  modeStep,
];
