/** The Edge Functions: there, of this release, and told what the .env file says. */
import { FUNCTIONS, secretsAmiss } from "../project/functions.ts";
import { releaseOf } from "../project/release.ts";
import { NPM_PACKAGE } from "../stack/supabase_cli.ts";
import { type Check, failure, ok, warning } from "./check.ts";

const SETUP = "deno task setup";

export const functionChecks: readonly Check[] = [
  {
    id: "functions-answer",
    needs: ["env"],
    async look(scene) {
      const amiss = (await scene.functions()).filter(({ told, status }) =>
        !told && status !== 401
      );
      return amiss.length === 0 ? ok(FUNCTIONS.join(", ")) : failure(
        amiss.map(({ name, problem }) => `${name} ${problem}`).join("; "),
        `${SETUP} deploys them. If they are: see their logs in the dashboard.`,
      );
    },
  },
  {
    id: "functions-sync-secret",
    needs: ["functions-answer"],
    async look(scene) {
      const amiss = (await scene.functions()).filter(({ status }) =>
        status === 401
      );
      return amiss.length === 0 ? ok("is the one in .env") : failure(
        `${
          amiss.map(({ name }) => name).join(", ")
        }: LUMA_SYNC_SECRET is another one`,
        SETUP,
      );
    },
  },
  {
    id: "functions-secrets",
    needs: ["functions-sync-secret"],
    async look({ functions, settings }) {
      const differing = new Set<string>();
      const unknown = new Set<string>();
      for (const { told } of await functions()) {
        if (!told) continue;
        const amiss = secretsAmiss(told, settings);
        amiss.differing.forEach((name) => differing.add(name));
        amiss.unknown.forEach((name) => unknown.add(name));
      }
      if (differing.size > 0) {
        return failure(
          `not as in ${settings.envFile}: ${[...differing].join(", ")}`,
          SETUP,
        );
      }
      if (unknown.size > 0) {
        const names = [...unknown];
        return warning(
          `only the functions have ${names.join(", ")}`,
          // A webhook's secret is read from Luma.
          names.every((name) => name.endsWith("_WEBHOOK_SECRET"))
            ? SETUP
            : `Add it to ${settings.envFile}, or, if nobody needs it any more: npx -y ${NPM_PACKAGE} secrets unset ${
              names.join(" ")
            }`,
        );
      }
      return ok(`${settings.secrets.size} settings are the same on both sides`);
    },
  },
  {
    id: "functions-release",
    needs: ["functions-sync-secret"],
    async look(scene) {
      const target = await scene.target();
      if (target.kind === "local") return ok("served from this folder");
      const release = await releaseOf(scene.world.root);
      const others = (await scene.functions())
        .filter(({ told }) => told?.release !== release)
        .map(({ name, told }) => `${name} is ${told?.release ?? "unknown"}`);
      return others.length === 0
        ? ok(release)
        : failure(`${others.join(", ")}; this checkout is ${release}`, SETUP);
    },
  },
];
