/** The keys on Luma, and its webhooks. */
import type { Webhook } from "../../supabase/functions/_shared/luma/types.ts";
import { sign } from "../../supabase/functions/_shared/luma/signature.ts";
import { PING } from "../../supabase/functions/_shared/sync/receive.ts";
import {
  calendarRows,
  keyProblems,
  keysLacking,
  onLuma,
} from "../project/calendars.ts";
import { takesWebhooks } from "../project/settings.ts";
import type { Calendar } from "../webhooks/settings.ts";
import { inspect } from "../webhooks/subscriptions.ts";
import { BUSY, type Check, failure, ok, type Scene, warning } from "./check.ts";

const REGISTER = "deno task setup";
const TIMEOUT_MS = 30_000;

export const lumaChecks: readonly Check[] = [
  {
    id: "luma-keys",
    needs: ["env"],
    async look(scene) {
      const keys = await scene.keys();
      const refused = keys.filter(({ problem }) => problem);
      if (refused.length === 0) {
        return ok(keys.map(({ calendar }) => calendar.apiKeyName).join(", "));
      }
      const found = refused.map(({ problem }) => problem).join(" ");
      return refused.every(({ isBusy }) => isBusy)
        ? warning(found, BUSY)
        : failure(
          found,
          `Mend it in ${scene.settings.envFile}, then deno task setup.`,
        );
    },
  },
  {
    id: "luma-calendars",
    needs: ["luma-keys", "migrations"],
    async look(scene) {
      const keys = await scene.keys();
      const rows = await calendarRows(scene.sql()) ?? [];
      const problems = keyProblems(keys, rows);
      if (problems.length > 0) {
        return failure(problems.join(" "), "Mend the key or the row.");
      }
      const lacking = keysLacking(keys, rows);
      return lacking.length === 0
        ? ok("each key opens the calendar of its row")
        : warning(
          `${lacking.join(", ")} is not set: that calendar's events wait`,
          `Put the calendar's key into ${scene.settings.envFile}, then deno task setup.`,
        );
    },
  },
  {
    id: "webhooks",
    needs: ["luma-keys"],
    async look(scene) {
      if (!takesWebhooks(scene.settings)) {
        return warning(
          "Luma cannot deliver to this machine",
          "Nothing, for a local project: pulls find what webhooks would tell, every 15 minutes.",
        );
      }
      const lacks = (await subscriptions(scene)).flatMap((one) =>
        one.lacks.map((what) => `${one.calendar.name}: ${what}`)
      );
      return lacks.length === 0
        ? ok("active, all types, one for each calendar")
        : failure(`to do: ${lacks.join("; ")}`, REGISTER);
    },
  },
  {
    id: "webhook-secrets",
    needs: ["webhooks"],
    async look(scene) {
      if (!takesWebhooks(scene.settings)) return ok("there are none");
      const others = (await subscriptions(scene)).filter((
        { calendar, kept },
      ) => kept?.secret !== calendar.secrets[0]);
      return others.length === 0 ? ok("are those on Luma") : failure(
        `not the one on Luma: ${
          others.map(({ calendar }) => calendar.secretName).join(", ")
        }`,
        REGISTER,
      );
    },
  },
  {
    id: "webhook-delivery",
    needs: ["functions-answer", "webhook-secrets"],
    async look(scene) {
      if (!takesWebhooks(scene.settings)) {
        return ok("nothing is delivered here");
      }
      const refused = (await Promise.all(
        scene.settings.calendars.map((calendar) => ping(scene, calendar)),
      )).filter(Boolean);
      return refused.length === 0
        ? ok("a signed test delivery is accepted for each calendar")
        : failure(refused.join("; "), "deno task setup, and see clock-luma.");
    },
  },
];

/** What is registered for the function, by calendar. */
async function subscriptions(
  { keys, settings }: Scene,
): Promise<
  { calendar: Calendar; kept: Webhook | undefined; lacks: string[] }[]
> {
  return await Promise.all((await keys()).map(async ({ calendar, luma }) => ({
    calendar,
    ...await onLuma(
      settings,
      calendar,
      () => inspect(luma, settings.address, calendar.secrets),
    ),
  })));
}

/** Delivers as Luma would; why it was not accepted, or empty. */
async function ping(
  { settings, world }: Scene,
  { name, secrets: [secret = ""] }: Calendar,
): Promise<string> {
  const body = new TextEncoder().encode(
    JSON.stringify({ type: PING, data: {} }),
  );
  const signature = await sign({ body, secret, at: new Date() });
  try {
    const response = await world.fetch(settings.address, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "webhook-signature": signature,
      },
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) {
      return `${name}: ${response.status} ${text.slice(0, 200)}`;
    }
    return text.includes(`"calendar":"${name}"`)
      ? ""
      : `${name}: it was taken for another calendar's: ${text.slice(0, 100)}`;
  } catch (error) {
    return `${name}: ${error instanceof Error ? error.message : error}`;
  }
}
