/** The Vault entries that the database rings for the functions with. */
import type postgres from "postgres";
import type { ProjectSettings } from "./settings.ts";

/** What the Vault is to hold, by name. */
export function wantedEntries(
  { functionsUrl, syncSecret }: Pick<
    ProjectSettings,
    "functionsUrl" | "syncSecret"
  >,
): Record<string, string> {
  return { luma_functions_url: functionsUrl, luma_sync_secret: syncSecret };
}

/** What the Vault holds of an entry; null when it is missing or empty, or there is no Vault yet. */
export async function vaultEntry(
  sql: postgres.Sql,
  name: string,
): Promise<string | null> {
  const [found] = await sql`
    select to_regclass('vault.decrypted_secrets') is not null as is_there`;
  if (!found?.is_there) return null;
  const [entry] = await sql`
    select nullif(trim(decrypted_secret), '') as value
    from vault.decrypted_secrets where name = ${name}`;
  // luma.ring() passes over slashes at the end, too.
  return entry?.value?.replace(/^(https?:.*?)\/+$/, "$1") ?? null;
}
