/** The Vault entries. */
import { vaultEntry, wantedEntries } from "../project/vault.ts";
import { type Check, failure, ok } from "./check.ts";
import type { CheckId } from "./ids.ts";

export const vaultChecks: readonly Check[] = [
  entry("vault-functions-url", "luma_functions_url", "LUMA_FUNCTIONS_URL"),
  entry("vault-sync-secret", "luma_sync_secret", "LUMA_SYNC_SECRET"),
];

function entry(id: CheckId, name: string, variable: string): Check {
  return {
    id,
    needs: ["env", "extension-vault"],
    async look({ sql, settings }) {
      const present = await vaultEntry(sql(), name);
      if (present === wantedEntries(settings)[name]) return ok("is right");
      const what = present === null ? "is missing" : `is not ${variable}`;
      return failure(`${name} ${what}`, "deno task setup");
    },
  };
}
