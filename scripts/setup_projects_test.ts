/** `deno task setup` on projects that differ: the real CLI, an app with migrations of its own, a local one, changes. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseEnv } from "node:util";
import { until } from "../supabase/tests/testing.ts";
import { setup as run } from "./setup.ts";
import { type Hosted, hostedTest, ROOT } from "./setup/testing.ts";
import { runSupabaseCli } from "./stack/supabase_cli.ts";

hostedTest(
  "with the real CLI, db push applies the migrations of an empty database",
  async ({ stack, setup, cli }) => {
    const pushed: string[] = [];
    const { code, said } = await setup(["--yes"], {
      runCli: async (args) => {
        if (args[0] !== "db") return await cli(args);
        const result = await runSupabaseCli(args, { cwd: ROOT });
        pushed.push(result.stdout + result.stderr);
        return result;
      },
    });
    assertEquals(code, 0, said);
    assertEquals(pushed.length, 1);
    assertStringIncludes(pushed[0]!, "20261122000100_app_tables.sql");
    const [history] = await stack.sql`
      select count(*)::int as count from supabase_migrations.schema_migrations`;
    const files = [...Deno.readDirSync(`${ROOT}/supabase/migrations`)];
    assertEquals(history!.count, files.length);
  },
);

/** A history in which the app keeps a migration of its own. */
async function keepAppHistory({ stack: { sql } }: Hosted): Promise<void> {
  await sql`create schema supabase_migrations`;
  await sql`
    create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)`;
  await sql`insert into supabase_migrations.schema_migrations (version, name) values ('20250101000000', 'app')`;
}

hostedTest(
  "an app that keeps its own history gets the migrations one by one, and its history stays as it is",
  async (hosted) => {
    const { stack, setup } = hosted;
    const { sql } = stack;
    await keepAppHistory(hosted);
    // The app is busy just when its table is to be changed.
    const blocker = await sql.reserve();
    await sql`create table public.canonical_events (
      id uuid primary key default gen_random_uuid(), canonical_uid text not null unique, title text not null,
      description text, location_raw text, lat double precision, lng double precision, starts_at timestamptz not null,
      ends_at timestamptz, tz text, source_refs jsonb not null default '[]', raw_payload jsonb, event_version int,
      created_at timestamptz default now(), updated_at timestamptz default now())`;
    await blocker`begin`;
    await blocker`lock table public.canonical_events in share mode`;
    const busy = await setup();
    await blocker`rollback`;
    blocker.release();
    assertEquals(busy.code, 1, busy.said);
    assertStringIncludes(busy.said, "the app keeps 1 of its own in the CLI's");
    assertStringIncludes(busy.said, "The app was busy");
    assertStringIncludes(busy.said, "Run it again.");

    const done = await setup();
    assertEquals(done.code, 0, done.said);
    assert(!done.cli.includes("db push"));
    const history =
      await sql`select version from supabase_migrations.schema_migrations`;
    assertEquals([...history], [{ version: "20250101000000" }]);
    const [record] =
      await sql`select count(*)::int as count from luma.migrations`;
    const files = [...Deno.readDirSync(`${ROOT}/supabase/migrations`)];
    assertEquals(record!.count, files.length);
    const again = await setup();
    assertEquals([again.code, again.cli], [0, []], again.said);

    // What a later release brings is one more.
    await sql`delete from luma.migrations where version = '20261126001100'`;
    const later = await setup();
    assertStringIncludes(later.said, `apply 1 of ${files.length} migrations`);
    assertEquals(later.code, 0, later.said);
  },
);

hostedTest(
  "a schema that was taken away comes back, though the history has its migrations",
  async ({ stack, setup }) => {
    const { sql } = stack;
    await sql`drop schema luma cascade`;
    const { code, said, cli } = await setup();
    assertEquals(code, 0, said);
    assertStringIncludes(said, "but the schema luma is gone");
    assert(!cli.includes("db push"));
    const [row] = await sql`select luma.mode() as mode`;
    assertEquals(row!.mode, "dry_run");
    assertEquals((await setup()).cli, []);
  },
  { migrate: true },
);

hostedTest(
  "only what differs is done: a changed key, other code, a job, a paused webhook, a Vault entry",
  async ({ stack, setup, setEnv, env }) => {
    const { sql, simulator } = stack;
    assertEquals((await setup()).code, 0);
    const expect = async (cli: string[], ...steps: string[]) => {
      const { code, said, cli: called } = await setup();
      assertEquals([code, called], [0, cli], said);
      assertEquals(said.match(/(?<=✓ )\w+/g) ?? [], steps, said);
      assertEquals((await setup()).cli, []);
    };
    const checks = ["--version", "secrets list"];

    await setEnv("COVER_ALLOWED_HOSTS", "cdn.example");
    await expect([...checks, "secrets set"], "functions");

    await stack.functions.setEnv({ LUMA_RELEASE: "0123456789ab" });
    await expect(
      [...checks, "functions deploy", "secrets set"],
      "functions",
    );

    await sql`select cron.unschedule('luma-drain')`;
    await sql`
      select cron.schedule('luma-pull', '* * * * *', 'select 1'),
        cron.alter_job((select jobid from cron.job where jobname = 'luma-sweep'), active => false)`;
    await expect([], "jobs");
    const jobs =
      await sql`select jobname, command, active from cron.job order by 1`;
    assertEquals(jobs.map(({ jobname, active }) => [jobname, active]), [
      ["luma-alerts", true],
      ["luma-clean-up", true],
      ["luma-drain", true],
      ["luma-pull", true],
      ["luma-sweep", true],
    ]);
    const pull = jobs.find(({ jobname }) => jobname === "luma-pull");
    assertEquals(pull!.command, "select luma.schedule_pull()");

    const headers = {
      "x-luma-api-key": "luma-key-blr",
      "content-type": "application/json",
    };
    const list = await fetch(`${simulator.url}/v1/webhooks/list`, { headers });
    const [{ id }] = (await list.json()).entries;
    const pause = await fetch(`${simulator.url}/v2/webhooks/update`, {
      method: "POST",
      headers,
      body: JSON.stringify({ id, status: "paused" }),
    });
    assertEquals(pause.status, 200);
    await pause.body?.cancel();
    const secret = (await env()).LUMA_BLR_WEBHOOK_SECRET;
    await expect([...checks, "secrets set"], "webhooks");
    assertEquals((await env()).LUMA_BLR_WEBHOOK_SECRET, secret);

    await sql`
      select vault.update_secret(id, 'http://elsewhere/functions/v1') from vault.secrets where name = 'luma_functions_url'`;
    await expect([], "vault");

    // A new .env on another machine takes the secret that is in force, instead of making one.
    const { LUMA_SYNC_SECRET: shared } = await env();
    await setEnv("LUMA_SYNC_SECRET", "");
    const { code, said } = await setup();
    assertEquals(code, 0, said);
    assertStringIncludes(said, "take LUMA_SYNC_SECRET from the Vault");
    assertEquals((await env()).LUMA_SYNC_SECRET, shared);
  },
  { migrate: true },
);

hostedTest(
  "a local project is not deployed to: its functions read the file that setup writes, when they start",
  async ({ stack, envFile, world, env }) => {
    const root = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${root}/supabase/functions`, { recursive: true });
      await Deno.symlink(
        `${ROOT}/supabase/migrations`,
        `${root}/supabase/migrations`,
      );
      const said: string[] = [];
      const local = world({
        root,
        out: (text) => said.push(text),
        err: (text) => said.push(text),
      });
      stack.functions.start();
      assertEquals(await run(["--env-file", envFile, "--yes"], local), 1);
      assertStringIncludes(said.join("\n"), "supabase stop and supabase start");
      const file = `${root}/supabase/functions/.env`;
      const told = parseEnv(await Deno.readTextFile(file));
      assertEquals(told.LUMA_SYNC_SECRET, (await env()).LUMA_SYNC_SECRET);
      assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);

      await stack.functions.setEnv(told);
      said.length = 0;
      // The webhooks' secrets are new now, so the functions have to be started once more.
      assertEquals(await run(["--env-file", envFile, "--yes"], local), 1);
      await stack.functions.setEnv(parseEnv(await Deno.readTextFile(file)));
      await until(
        "the next run completes it",
        async () => await run(["--env-file", envFile, "--yes"], local) === 0,
      );
      assertStringIncludes(said.join("\n"), "served from this folder");
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
  { migrate: true },
);
