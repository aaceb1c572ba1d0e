/** Step "webhooks": Luma tells luma-webhook about every calendar that has a key. */
import {
  createLumaClient,
  type LumaClient,
} from "../../supabase/functions/_shared/luma/client.ts";
import { onLuma } from "../project/calendars.ts";
import { takesWebhooks } from "../project/settings.ts";
import { keepSecret } from "../webhooks/secrets.ts";
import type { Calendar } from "../webhooks/settings.ts";
import { inspect, register } from "../webhooks/subscriptions.ts";
import type { Scene, Step } from "./scene.ts";
import { awaitFunctions, tellFunctions } from "./step_functions.ts";

export const webhooksStep: Step = {
  name: "webhooks",

  async look(scene) {
    const { settings } = scene;
    if (!takesWebhooks(settings)) return [];
    return await forEach(scene, async (luma, calendar) => {
      const { name, secrets, secretName } = calendar;
      const { kept, lacks } = await inspect(luma, settings.address, secrets);
      const isKept = kept ? secrets[0] === kept.secret : false;
      return [
        ...lacks.map((what) => `${name}: ${what}`),
        ...isKept ? [] : [`${name}: keep its secret in ${secretName}`],
      ];
    });
  },

  async apply(scene) {
    const { settings } = scene;
    const { envFile, address } = settings;
    await forEach(scene, async (luma, calendar) => {
      const { webhook } = await register(luma, address, calendar.secrets);
      // At once, because what follows may fail.
      await keepSecret(envFile, calendar, webhook.secret);
      return [];
    });
    await scene.reload();
    const names = new Set(settings.calendars.map((one) => one.secretName));
    await tellFunctions(
      scene,
      new Map([...scene.settings.secrets].filter(([name]) => names.has(name))),
    );
    await awaitFunctions(scene);
  },

  usesCli: ({ target }) => target.kind === "hosted",
};

async function forEach(
  { settings, world }: Scene,
  work: (luma: LumaClient, calendar: Calendar) => Promise<string[]>,
): Promise<string[]> {
  const lines: string[] = [];
  const { lumaUrl: baseUrl } = settings;
  for (const calendar of settings.calendars) {
    const { apiKey } = calendar;
    const luma = createLumaClient({ apiKey, baseUrl, fetch: world.fetch });
    const told = await onLuma(settings, calendar, () => work(luma, calendar));
    lines.push(...told);
  }
  return lines;
}
