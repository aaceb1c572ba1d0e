/** Addresses, keys and calendars of the project in process. */
import type { Env } from "../../../supabase/functions/_shared/env.ts";
import { createLumaClient } from "../../../supabase/functions/_shared/luma/client.ts";
import {
  type createSimulator,
  DEFAULT_CALENDARS,
} from "../../luma-simulator/mod.ts";
import { refusal } from "../data_api_proxy.ts";
import type { System } from "../world.ts";

/** Nobody listens there: the network of the world looks at the address only. */
export const API = "http://127.0.0.1:1";
export const LUMA = "http://127.0.0.1:2";

/** The simulator's first calendars, by their names in the functions' environment. */
const CALENDARS = ["blr", "zo_events"];

/** And one that the app has no key for. */
export const WITH_STRANGERS = [...DEFAULT_CALENDARS, {
  id: "cal-strangers",
  name: "Strangers",
  slug: "strangers",
  key: "luma-key-strangers",
}];

type Simulator = ReturnType<typeof createSimulator>;

/** What the functions are told. */
export function environment(
  { simulator, secretKey, syncSecret }: System,
  webhookSecrets: Env["webhookSecrets"],
): Env {
  const keys = CALENDARS.map((name, at): [string, string] => [
    name,
    simulator.calendars[at]!.key,
  ]);
  return {
    supabaseUrl: API,
    supabaseKey: secretKey,
    syncSecret,
    lumaUrl: LUMA,
    apiKeys: new Map(keys),
    webhookSecrets,
    appUrl: API,
    coverHosts: [new URL(API).host],
  };
}

/** Subscribes luma-webhook to everything; answers the secrets by calendar. */
export async function subscribe(
  simulator: Simulator,
): Promise<Map<string, readonly string[]>> {
  const secrets = new Map<string, readonly string[]>();
  for (const [at, name] of CALENDARS.entries()) {
    const luma = createLumaClient({
      apiKey: simulator.calendars[at]!.key,
      baseUrl: LUMA,
      fetch: async (input, init) =>
        await simulator.handle(new Request(input, init)) ?? refusal(503),
    });
    const { secret } = await luma.createWebhook({
      url: `${API}/functions/v1/luma-webhook`,
      event_types: ["*"],
    });
    secrets.set(name, [secret]);
  }
  return secrets;
}
