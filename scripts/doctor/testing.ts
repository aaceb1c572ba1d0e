/** What the tests of `deno task doctor` share. */
import { assertEquals } from "@std/assert";
import { until } from "../../supabase/tests/testing.ts";
import { doctor } from "../doctor.ts";
import { assertDiscreet, type Hosted, REF } from "../setup/testing.ts";
import type { DoctorWorld, Result } from "./check.ts";
import type { CheckId } from "./ids.ts";

/** One run as from a shell. */
export async function examine(
  { world, envFile, env }: Hosted,
  args: string[] = [],
  changes: Partial<DoctorWorld> = {},
) {
  const said: string[] = [];
  const print = (text: string) => said.push(text);
  const code = await doctor(
    ["--env-file", envFile, "--project-ref", REF, ...args],
    { ...world(), out: print, err: print, ...changes },
  );
  const text = said.join("\n");
  assertDiscreet(text, await env());
  return { code, text };
}

/** The results of a run, by the name of the check. */
export async function results(
  hosted: Hosted,
  changes: Partial<DoctorWorld> = {},
): Promise<Map<CheckId, Result>> {
  const { text } = await examine(hosted, ["--json"], changes);
  const { checks } = JSON.parse(text) as { checks: Result[] };
  return new Map(checks.map((check) => [check.id, check]));
}

/** What is made to be wrong, and how the doctor shall tell it. */
export interface Ill {
  id: CheckId;
  level: "warning" | "failure" | "skipped";
  /** In what was found, or in the fix. */
  says: string;
  make(hosted: Hosted): Promise<unknown>;
  mend(hosted: Hosted): Promise<unknown>;
}

/** Broken by a statement of the superuser's, and mended by another. */
export function sqlIll(
  id: CheckId,
  level: Ill["level"],
  says: string,
  make: string,
  mend: string,
): Ill {
  const run = (statement: string) => ({ stack }: Hosted) =>
    stack.admin.unsafe(statement);
  return { id, level, says, make: run(make), mend: run(mend) };
}

/** Broken by a line of the .env file, or by one that only the functions have. */
export function envIll(
  id: CheckId,
  level: Ill["level"],
  says: string,
  name: string,
  value: string,
  where: "file" | "functions" = "file",
): Ill {
  let before: string | undefined;
  return {
    id,
    level,
    says,
    async make({ env, setEnv, stack }) {
      before = (await env())[name];
      if (where === "file") await setEnv(name, value);
      else await stack.functions.setEnv({ [name]: value });
    },
    async mend({ setEnv, stack }) {
      if (where === "file") await setEnv(name, before ?? "");
      else await stack.functions.setEnv({ [name]: before });
    },
  };
}

/** A project on which all is well, and live. */
export async function healthy({ stack, setup }: Hosted): Promise<void> {
  const { code, said } = await setup();
  assertEquals(code, 0, said);
  const { sql } = stack;
  await sql`select luma.set_mode('live')`;
  await sql`insert into public.event_cultures (slug, name) values ('default', 'Other')`;
  // A minute has to go by before pg_cron would have run it.
  await sql`
    insert into cron.job_run_details (jobid, runid, status, start_time, username)
    select jobid, -1, 'succeeded', now(), 'postgres' from cron.job where jobname = 'luma-drain'`;
  await until("its pulls are over", async () => {
    const open = await sql`select from luma.pull_runs where ended_at is null`;
    return open.length === 0;
  });
}
