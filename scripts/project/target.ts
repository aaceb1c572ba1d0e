/** Which project is meant: a hosted one, by its reference, or the one that `supabase start` runs here. */
import { Problem } from "../webhooks/problem.ts";
import { NPM_PACKAGE } from "../stack/supabase_cli.ts";
import { isHere, type ProjectSettings } from "./settings.ts";

export type Target = { kind: "hosted"; ref: string } | { kind: "local" };

/** Reads it from the flag, else the functions' address, else the CLI's link. Throws a Problem when they contradict each other. */
export async function findTarget(
  { given, settings, root }: {
    /** `--project-ref`. */
    given: string | undefined;
    settings: Pick<ProjectSettings, "reachUrl" | "vars">;
    root: string;
  },
): Promise<Target> {
  if (given !== undefined && !/^[a-z]{20}$/.test(given)) {
    throw new Problem(
      `--project-ref is "${given}", but a project's reference is 20 small letters: see the address of its dashboard.`,
    );
  }
  const ofFunctions = refIn(URL.parse(settings.reachUrl)?.hostname);
  const databaseUrl = settings.vars.SUPABASE_DB_URL ?? "";
  if (
    !given && databaseUrl && isHere(databaseUrl) !== isHere(settings.reachUrl)
  ) {
    throw new Problem(
      `Of LUMA_FUNCTIONS_URL and SUPABASE_DB_URL one is on this machine and the other is not. Mend it, or, if that is a tunnel, add --project-ref.`,
    );
  }
  if (!given && !ofFunctions && isHere(settings.reachUrl)) {
    return { kind: "local" };
  }
  const ref = given ?? ofFunctions ?? await linkedRef(root);
  if (ref === undefined) {
    throw new Problem(
      `LUMA_FUNCTIONS_URL does not tell which project it is. Add --project-ref <reference>, or run: npx -y ${NPM_PACKAGE} link`,
    );
  }
  const database = URL.parse(databaseUrl);
  const others = {
    LUMA_FUNCTIONS_URL: ofFunctions,
    SUPABASE_DB_URL: refIn(database?.hostname) ??
      database?.username.match(/\.([a-z]{20})$/)?.[1],
  };
  for (const [name, other] of Object.entries(others)) {
    if (other === undefined || other === ref) continue;
    throw new Problem(
      `${name} belongs to the project ${other}, but ${ref} is to be set up. Mend ${name}, or --project-ref.`,
    );
  }
  return { kind: "hosted", ref };
}

/** The reference of the hosted project whose host this is. */
export function refIn(hostname: string | undefined): string | undefined {
  return hostname?.match(
    /^(?:db\.)?([a-z]{20})\.(?:functions\.)?supabase\.(?:co|in)$/,
  )?.[1];
}

/** What `supabase link` wrote. */
async function linkedRef(root: string): Promise<string | undefined> {
  const text = await Deno.readTextFile(`${root}/supabase/.temp/project-ref`)
    .catch(() => "");
  return text.trim() || undefined;
}
