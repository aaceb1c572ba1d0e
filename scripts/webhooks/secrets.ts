/** The webhook secrets in the .env file. */
import { parseEnv } from "node:util";
import { webhookSecrets } from "../../supabase/functions/_shared/env.ts";
import { readEnvFile, withVariable, writeEnvFile } from "./env_file.ts";
import { Problem } from "./problem.ts";
import type { Calendar } from "./settings.ts";

/** Puts the secret in front of the one before, which signs what is on its way; false when it was there already. */
export async function keepSecret(
  envFile: string,
  { name, secretName }: Calendar,
  secret: string,
): Promise<boolean> {
  if (!/^[\x21-\x7e]+$/.test(secret) || /[,'"]/.test(secret)) {
    throw new Problem(
      `Luma's secret cannot be kept in ${secretName}: it is empty, or has a space, a comma or a quote.`,
    );
  }
  const file = await readEnvFile(envFile);
  const present = secretsIn(file, name);
  const wanted = [secret, ...present.filter((other) => other !== secret)]
    .slice(0, 2);
  if (present.join() === wanted.join()) return false;
  await writeEnvFile(envFile, withVariable(file, secretName, wanted.join()));
  return true;
}

/** Empties the variable; false when it was empty, or is not there. */
export async function dropSecret(
  envFile: string,
  { secretName }: Calendar,
): Promise<boolean> {
  const file = await readEnvFile(envFile);
  if (!parseEnv(file)[secretName]) return false;
  await writeEnvFile(envFile, withVariable(file, secretName, ""));
  return true;
}

/** A calendar's webhook secrets in the file's text, the newest first. */
export function secretsIn(file: string, calendar: string): readonly string[] {
  return webhookSecrets(parseEnv(file)).get(calendar) ?? [];
}
