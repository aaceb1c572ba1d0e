/** Each thing that `deno task doctor` looks at, broken in turn on the real stack. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createLumaClient } from "../supabase/functions/_shared/luma/client.ts";
import { insertEvent, until } from "../supabase/tests/testing.ts";
import type { CheckId } from "./doctor/ids.ts";
import {
  envIll,
  examine,
  healthy,
  type Ill,
  results,
  sqlIll,
} from "./doctor/testing.ts";
import { releaseOf } from "./project/release.ts";
import { type Hosted, hostedTest, ROOT } from "./setup/testing.ts";
import { setVaultSecret } from "./stack/database.ts";

const WRONG_DB = "postgresql://postgres:postgres@127.0.0.1:9/postgres";

const ILLS: Ill[] = [
  envIll("env", "failure", "APP_BASE_URL must be", "APP_BASE_URL", "game"),
  envIll(
    "env",
    "failure",
    "LUMA_SYNC_SECRET is not set",
    "LUMA_SYNC_SECRET",
    "",
  ),
  envIll("luma-keys", "skipped", "needs env", "APP_BASE_URL", "game"),
  {
    id: "env-private",
    level: "warning",
    says: "chmod 600",
    make: ({ envFile }) => Deno.chmod(envFile, 0o644),
    mend: ({ envFile }) => Deno.chmod(envFile, 0o600),
  },
  envIll("database", "failure", "ECONNREFUSED", "SUPABASE_DB_URL", WRONG_DB),
  envIll(
    "database",
    "failure",
    "SUPABASE_DB_URL must be like",
    "SUPABASE_DB_URL",
    "mysql://x",
  ),
  envIll(
    "migrations",
    "skipped",
    "needs database",
    "SUPABASE_DB_URL",
    WRONG_DB,
  ),
  ...(["pg_net", "pg_cron", "supabase_vault"] as const).map((name) =>
    sqlIll(
      `extension-${
        name === "supabase_vault" ? "vault" : name.replace("_", "-")
      }` as CheckId,
      "failure",
      `create extension ${name}`,
      `update pg_extension set extname = 'other' where extname = '${name}'`,
      `update pg_extension set extname = '${name}' where extname = 'other'`,
    )
  ),
  sqlIll(
    "migrations",
    "failure",
    "first 20261126001100_unheard.sql",
    "delete from supabase_migrations.schema_migrations where version = '20261126001100'",
    "insert into supabase_migrations.schema_migrations (version) values ('20261126001100')",
  ),
  sqlIll(
    "migrations",
    "warning",
    "nothing records",
    "alter schema supabase_migrations rename to gone",
    "alter schema gone rename to supabase_migrations",
  ),
  sqlIll(
    "migrations",
    "failure",
    "the schema luma is not there",
    "alter schema luma rename to gone",
    "alter schema gone rename to luma",
  ),
  sqlIll(
    "jobs-scheduled",
    "failure",
    "luma-sweep is inactive",
    "update cron.job set active = false where jobname = 'luma-sweep'",
    "update cron.job set active = true where jobname = 'luma-sweep'",
  ),
  sqlIll(
    "jobs-scheduled",
    "failure",
    "luma-pull is missing",
    "update cron.job set jobname = 'x' where jobname = 'luma-pull'",
    "update cron.job set jobname = 'luma-pull' where jobname = 'x'",
  ),
  sqlIll(
    "jobs-run",
    "failure",
    "luma-clean-up failed: no table",
    `insert into cron.job_run_details (jobid, runid, status, return_message, start_time, username)
     select jobid, -2, 'failed', 'no table', now() + interval '1 hour', 'postgres' from cron.job where jobname = 'luma-clean-up'`,
    "delete from cron.job_run_details where runid = -2",
  ),
  sqlIll(
    "pg-net-worker",
    "failure",
    "select net.worker_restart();",
    "alter function net._worker_is_up() rename to gone",
    "alter function net.gone() rename to _worker_is_up",
  ),
  {
    id: "vault-functions-url",
    level: "failure",
    says: "luma_functions_url is not LUMA_FUNCTIONS_URL",
    make: ({ stack }) =>
      setVaultSecret(stack.sql, "luma_functions_url", "http://elsewhere"),
    mend: ({ stack }) =>
      setVaultSecret(stack.sql, "luma_functions_url", stack.functionsUrl),
  },
  sqlIll(
    "vault-sync-secret",
    "failure",
    "luma_sync_secret is missing",
    "update vault.secrets set name = 'x' where name = 'luma_sync_secret'",
    "update vault.secrets set name = 'luma_sync_secret' where name = 'x'",
  ),
  {
    id: "functions-answer",
    level: "failure",
    says: "luma-pull answers 503: The functions are stopped.",
    make: ({ stack }) => stack.functions.stop(),
    mend: ({ stack }) => Promise.resolve(stack.functions.start()),
  },
  envIll(
    "functions-sync-secret",
    "failure",
    "luma-webhook: LUMA_SYNC_SECRET is another",
    "LUMA_SYNC_SECRET",
    "another",
    "functions",
  ),
  envIll(
    "functions-secrets",
    "failure",
    "LUMA_BLR_API_KEY",
    "LUMA_BLR_API_KEY",
    "another",
    "functions",
  ),
  envIll(
    "functions-secrets",
    "warning",
    "only the functions have LUMA_GOA_API_KEY",
    "LUMA_GOA_API_KEY",
    "another",
    "functions",
  ),
  envIll(
    "luma-keys",
    "failure",
    "Luma refuses LUMA_BLR_API_KEY",
    "LUMA_BLR_API_KEY",
    "luma-key-nobody",
  ),
  envIll(
    "webhooks",
    "skipped",
    "needs luma-keys",
    "LUMA_BLR_API_KEY",
    "luma-key-nobody",
  ),
  sqlIll(
    "luma-calendars",
    "failure",
    "the row 'blr' of public.calendars is cal-other",
    "update public.calendars set luma_calendar_id = 'cal-other' where luma_key = 'blr'",
    "update public.calendars set luma_calendar_id = 'cal-ZVonmjVxLk7F2oM' where luma_key = 'blr'",
  ),
  sqlIll(
    "luma-calendars",
    "warning",
    "LUMA_GOA_API_KEY is not set",
    "insert into public.calendars (name, url, luma_key) values ('Goa', 'https://luma.com/goa', 'goa')",
    "delete from public.calendars where luma_key = 'goa'",
  ),
  {
    id: "webhooks",
    level: "failure",
    says: "blr: activate wh",
    make: (hosted) => changeWebhook(hosted, { status: "paused" }),
    mend: (hosted) => changeWebhook(hosted, { status: "active" }),
  },
  {
    id: "webhooks",
    level: "failure",
    says: "blr: set the event types of wh",
    make: (hosted) => changeWebhook(hosted, { event_types: ["event.created"] }),
    mend: (hosted) => changeWebhook(hosted, { event_types: ["*"] }),
  },
  envIll(
    "webhook-secrets",
    "failure",
    "LUMA_BLR_WEBHOOK_SECRET",
    "LUMA_BLR_WEBHOOK_SECRET",
    "another-one",
  ),
  envIll(
    "webhook-delivery",
    "failure",
    "blr: 401",
    "LUMA_BLR_WEBHOOK_SECRET",
    "another-one",
    "functions",
  ),
  envIll(
    "webhook-delivery",
    "skipped",
    "needs webhook-secrets",
    "LUMA_BLR_WEBHOOK_SECRET",
    "another-one",
  ),
  sqlIll(
    "mode",
    "warning",
    "select luma.set_mode('live');",
    "update luma.settings set mode = 'off'",
    "update luma.settings set mode = 'live'",
  ),
  sqlIll(
    "calendars",
    "failure",
    "blr: Luma refused the key",
    "select luma.note_problem('blr', 'Luma refused the key.', true)",
    "select luma.resume('blr')",
  ),
  sqlIll(
    "calendars",
    "warning",
    "select luma.resume('blr');",
    "select luma.pause('blr')",
    "select luma.resume('blr')",
  ),
  sqlIll(
    "calendars",
    "warning",
    "webhooks were missed of zo_events",
    "insert into luma.calendar_state (luma_key, missed_at) values ('zo_events', now()) on conflict (luma_key) do update set missed_at = now()",
    "update luma.calendar_state set missed_at = null",
  ),
  sqlIll(
    "drain",
    "failure",
    "The Vault has no entry",
    "update luma.bell set problem = 'The Vault has no entry x.'",
    "update luma.bell set problem = null",
  ),
  sqlIll(
    "dead-letters",
    "warning",
    "1 given up",
    "insert into luma.webhook_inbox (webhook_id, calendar, type, payload, sent_at, state, error) values ('x', 'blr', 'event.created', '{}', now(), 'failed', 'why')",
    "delete from luma.webhook_inbox where webhook_id = 'x'",
  ),
  sqlIll(
    "missed-changes",
    "warning",
    "1 changes were not enqueued: why",
    "insert into luma.missed_changes (entity, entity_id, error) values ('event', gen_random_uuid(), 'why')",
    "delete from luma.missed_changes",
  ),
  sqlIll(
    "missed-changes",
    "failure",
    "select luma.sweep();",
    "insert into luma.missed_changes (entity, entity_id, error, missed_at) values ('event', gen_random_uuid(), 'why', now() - interval '1 hour')",
    "delete from luma.missed_changes",
  ),
  sqlIll(
    "rate-budget",
    "warning",
    "blr 0",
    "select luma.take_permits('blr', 100000)",
    "delete from luma.rate_permits",
  ),
  ...(["luma-keys", "webhooks"] as const).map((id): Ill => ({
    id,
    level: "warning",
    says: "429",
    make: ({ stack }) =>
      Promise.resolve(stack.simulator.faults.add({
        path: id === "webhooks" ? "/v1/webhooks/list" : "/v1/users/get-self",
        status: 429,
      })),
    mend: ({ stack }) => Promise.resolve(stack.simulator.faults.clear()),
  })),
  {
    id: "functions-release",
    level: "failure",
    says: "luma-webhook is 0123456789ab; this checkout is",
    make: ({ stack }) =>
      stack.functions.setEnv({ LUMA_RELEASE: "0123456789ab" }),
    mend: async ({ stack }) =>
      await stack.functions.setEnv({ LUMA_RELEASE: await releaseOf(ROOT) }),
  },
  ...([["warning", 5], ["failure", 20]] as const).map((
    [level, minutes],
  ): Ill => ({
    id: "queue",
    level,
    says: "1 due, the oldest since",
    async make(hosted) {
      const { stack } = hosted;
      await stack.functions.stop();
      await insertEvent(stack, { starts_at: new Date(Date.now() + 864e5) });
      await stack.sql`
        update luma.sync_outbox set due_at = now() - make_interval(mins => ${minutes})
        where version > done_version`;
    },
    async mend({ stack }) {
      stack.functions.start();
      await until("it is sent", async () => {
        await stack.sql`select luma.tick()`;
        const due = await stack.sql`select from luma.due_jobs`;
        return due.length === 0;
      });
    },
  })),
];

async function changeWebhook(
  { stack }: Hosted,
  changes: {
    status?: "active" | "paused";
    event_types?: ["*"] | ["event.created"];
  },
): Promise<void> {
  const baseUrl = stack.simulator.url;
  const luma = createLumaClient({ apiKey: "luma-key-blr", baseUrl });
  const { entries: [webhook] } = await luma.listWebhooks({});
  await luma.updateWebhook({ id: webhook!.id, ...changes });
}

hostedTest(
  "each thing that is broken is told with its fix, and is well again when it is mended",
  async (hosted) => {
    await healthy(hosted);
    for (const ill of ILLS) {
      const { id, level, says } = ill;
      await ill.make(hosted);
      const found = (await results(hosted)).get(id)!;
      assertEquals([id, found.level], [id, level], `${says}: ${found.found}`);
      assertStringIncludes(`${found.found} ${found.fix}`, says);
      if (level !== "skipped") assert(found.fix !== "", id);
      const { code } = await examine(hosted);
      if (level === "failure") assertEquals(code, 1, id);
      await ill.mend(hosted);
      const mended = (await results(hosted)).get(id)!;
      assertEquals([id, mended.level], [id, "ok"], mended.found);
    }
    const well = await examine(hosted, ["--strict"]);
    assertEquals(well.code, 0, well.text);
  },
  { migrate: true, simulator: { rateLimitPerMinute: 100_000 } },
);
