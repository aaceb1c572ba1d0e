/**
 * Step "functions": deployed from these sources, and told what the .env file says.
 *
 * First the secrets, then the code, at last the secret LUMA_RELEASE, which says what is deployed: a setup that ends
 * before that deploys again.
 */
import {
  askFunctions,
  FUNCTIONS,
  type FunctionState,
  secretsAmiss,
} from "../project/functions.ts";
import { releaseOf } from "../project/release.ts";
import { readEnvFile, writeEnvFile } from "../webhooks/env_file.ts";
import { Problem } from "../webhooks/problem.ts";
import { envText, setSecrets, supabase } from "./cli.ts";
import type { Scene, Step } from "./scene.ts";

/** The platform needs a moment to start functions anew. */
const PATIENCE_MS = 90_000;
const LOOK_EVERY_MS = 1000;

export const functionsStep: Step = {
  name: "functions",

  async look(scene) {
    const { secrets, deploy } = await difference(scene);
    return [
      ...[...secrets.keys()].map((name) => `set the secret ${name}`),
      ...deploy ? [`deploy ${FUNCTIONS.join(", ")}, release ${deploy}`] : [],
    ];
  },

  async apply(scene) {
    const { secrets, deploy } = await difference(scene);
    await tellFunctions(scene, secrets);
    const { target, world } = scene;
    if (deploy && target.kind === "hosted") {
      const flags = ["--use-api", `--remote=${target.ref}`, "--yes"];
      world.out(`  deploying ${FUNCTIONS.join(", ")} …`);
      await supabase(scene, ["functions", "deploy", ...FUNCTIONS, ...flags]);
      const release = new Map([["LUMA_RELEASE", deploy]]);
      await setSecrets(scene, target.ref, release);
    }
    await awaitFunctions(scene);
  },

  usesCli: ({ target }) => target.kind === "hosted",
};

/** Hands secrets to the functions: by the CLI, or in the file that `supabase start` reads. */
export async function tellFunctions(
  scene: Scene,
  secrets: ReadonlyMap<string, string>,
): Promise<void> {
  if (secrets.size === 0) return;
  const { target, world } = scene;
  if (target.kind === "hosted") {
    return await setSecrets(scene, target.ref, secrets);
  }
  const file = `${world.root}/supabase/functions/.env`;
  await writeEnvFile(file, envText(await readEnvFile(file), secrets));
}

/** Waits until every function answers with what it was told. */
export async function awaitFunctions(scene: Scene): Promise<void> {
  const { world, target } = scene;
  for (let waited = 0;; waited += LOOK_EVERY_MS) {
    const { secrets, deploy, states } = await difference(scene);
    if (secrets.size === 0 && !deploy) return;
    if (waited >= PATIENCE_MS || target.kind === "local") {
      const problems = states.filter(({ problem }) => problem)
        .map(({ name, problem }) => `${name} ${problem}.`);
      const what = problems.length > 0
        ? problems.join("\n")
        : `They still have other values of ${[...secrets.keys()].join(", ")}${
          deploy ? " or another release" : ""
        }.`;
      throw new Problem(`${what}\n${advice(target.kind)}`);
    }
    await world.sleep(LOOK_EVERY_MS);
  }
}

function advice(kind: "hosted" | "local"): string {
  return kind === "local"
    ? "Functions on this machine read supabase/functions/.env when they start: run supabase stop and supabase start (or end and start supabase functions serve)."
    : "The platform may need a minute: see the functions' logs in the dashboard.";
}

interface Difference {
  secrets: ReadonlyMap<string, string>;
  /** The release to deploy, or null. */
  deploy: string | null;
  states: FunctionState[];
}

async function difference(scene: Scene): Promise<Difference> {
  const { settings, world, target } = scene;
  const { syncSecret } = settings;
  const all = new Map([...settings.secrets, ["LUMA_SYNC_SECRET", syncSecret]]);
  const states = syncSecret === ""
    ? []
    : await askFunctions(settings, world.fetch);
  const told = states.map((state) => state.told);
  // What does not introduce itself may have anything.
  const isKnown = told.length > 0 && told.every((one) => one !== null);
  const names = isKnown
    ? new Set(told.flatMap((one) => secretsAmiss(one, settings).differing))
    : new Set(all.keys());
  const secrets = new Map([...all].filter(([name]) => names.has(name)));
  if (target.kind === "local") return { secrets, deploy: null, states };
  const release = await releaseOf(world.root);
  const isDeployed = isKnown && told.every((one) => one.release === release);
  return { secrets, deploy: isDeployed ? null : release, states };
}
