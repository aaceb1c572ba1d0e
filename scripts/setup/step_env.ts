/** Step "env": the secret that database and functions share. */
import { vaultEntry } from "../project/vault.ts";
import {
  readEnvFile,
  withVariable,
  writeEnvFile,
} from "../webhooks/env_file.ts";
import type { Step } from "./scene.ts";

export const envStep: Step = {
  name: "env",

  async look({ settings, sql }) {
    if (settings.syncSecret !== "") return [];
    return [
      await vaultEntry(sql, "luma_sync_secret")
        ? `take LUMA_SYNC_SECRET from the Vault into ${settings.envFile}`
        : `write a new LUMA_SYNC_SECRET into ${settings.envFile}`,
    ];
  },

  async apply(scene) {
    const { envFile } = scene.settings;
    const secret = await vaultEntry(scene.sql, "luma_sync_secret") ??
      crypto.getRandomValues(new Uint8Array(32)).toHex();
    const text = await readEnvFile(envFile);
    await writeEnvFile(
      envFile,
      withVariable(text, "LUMA_SYNC_SECRET", secret),
    );
    await scene.reload();
  },
};
