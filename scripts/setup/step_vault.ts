/** Step "vault": where the database finds the functions, and what it proves itself to them with. */
import { vaultEntry, wantedEntries } from "../project/vault.ts";
import { setVaultSecret } from "../stack/database.ts";
import type { Scene, Step } from "./scene.ts";

export const vaultStep: Step = {
  name: "vault",

  async look(scene) {
    return (await differing(scene)).map(([name]) => `set the entry ${name}`);
  },

  async apply(scene) {
    for (const [name, value] of await differing(scene)) {
      await setVaultSecret(scene.sql, name, value);
    }
  },
};

async function differing(
  { sql, settings }: Scene,
): Promise<[string, string][]> {
  const found: [string, string][] = [];
  for (const [name, value] of Object.entries(wantedEntries(settings))) {
    if (value === "" || await vaultEntry(sql, name) !== value) {
      found.push([name, value]);
    }
  }
  return found;
}
