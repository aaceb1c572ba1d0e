/** Luma's webhooks on the local stack: what `deno task webhooks register` does for a hosted project. */
import { createLumaClient } from "../../supabase/functions/_shared/luma/client.ts";
import type { LumaSimulator } from "../luma-simulator/mod.ts";

/**
 * Subscribes luma-webhook to everything of the simulated calendars. `names` are theirs in the functions'
 * environment, by calendar id; answers what the environment needs to know.
 */
export async function subscribeWebhooks(
  simulator: LumaSimulator,
  functionsUrl: string,
  names: Record<string, string>,
): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {};
  for (const { id, key } of simulator.calendars) {
    const luma = createLumaClient({ apiKey: key, baseUrl: simulator.url });
    const { secret } = await luma.createWebhook({
      url: `${functionsUrl}/luma-webhook`,
      event_types: ["*"],
    });
    if (names[id]) secrets[`LUMA_${names[id]}_WEBHOOK_SECRET`] = secret;
  }
  simulator.clearRequests();
  return secrets;
}
