/** Everything that must be true, in the order of CHECK_IDS. */
import type { Check } from "./check.ts";
import { clockChecks } from "./clock_checks.ts";
import { databaseChecks } from "./database_checks.ts";
import { envChecks } from "./env_checks.ts";
import { functionChecks } from "./function_checks.ts";
import { jobChecks } from "./job_checks.ts";
import { lumaChecks } from "./luma_checks.ts";
import { syncChecks } from "./sync_checks.ts";
import { vaultChecks } from "./vault_checks.ts";

export const CHECKS: readonly Check[] = [
  ...envChecks,
  ...databaseChecks,
  ...jobChecks,
  ...vaultChecks,
  ...functionChecks,
  ...lumaChecks,
  ...clockChecks,
  ...syncChecks,
];
