/** `deno task setup` on a stack that plays a hosted project; the CLI is a stand-in that does there what the real one would. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { insertEvent, insertUsers, rsvp } from "../supabase/tests/testing.ts";
import type { Stack } from "../supabase/tests/testing.ts";
import { askFunctions } from "./project/functions.ts";
import { releaseOf } from "./project/release.ts";
import { type Hosted, hostedTest, ROOT } from "./setup/testing.ts";

/** Calls that change something on Luma, since the last question. */
function writes({ simulator }: Stack): string[] {
  const made = simulator.requests.filter(({ method }) => method === "POST")
    .map(({ path }) => path);
  simulator.clearRequests();
  return made;
}

async function modeOf({ sql }: Stack): Promise<string> {
  const [row] = await sql`select luma.mode() as mode`;
  return row!.mode;
}

/** What the functions say to the sync secret in the .env file. */
async function introductions({ stack, env }: Hosted) {
  const syncSecret = (await env()).LUMA_SYNC_SECRET ?? "";
  const reachUrl = stack.functionsUrl;
  return await askFunctions({ reachUrl, syncSecret }, fetch);
}

/** All that setup may write in the database. */
async function written({ sql }: Stack) {
  return await sql`
    select (select json_agg(s order by name) from (select name, updated_at from vault.secrets) s) as vault,
      (select json_agg(j order by jobname) from cron.job j) as jobs,
      (select updated_at from luma.settings) as settings,
      (select count(*)::int from supabase_migrations.schema_migrations) as migrations`;
}

hostedTest(
  "setup takes an empty project to dry_run, a second run changes nothing, and what is live stays live",
  async (hosted) => {
    const { stack, setup, env, envFile } = hosted;
    const { sql, simulator } = stack;
    const first = await setup();
    assertEquals(first.code, 0, first.said);
    assertEquals(first.cli, [
      ...["--version", "secrets list", "db push", "secrets set"],
      ...["functions deploy", "secrets set", "secrets set"],
    ]);
    assertStringIncludes(
      first.said,
      "create tables of the app's, which this database does not have (is it the right one?): users, event_cultures, calendars, canonical_events, event_rsvps",
    );
    assertMatch(first.said, /✓ env\n✓ migrations\n✓ vault\n.*\n✓ functions\n/);
    assertStringIncludes(first.said, "select luma.set_mode('live');");
    assertEquals(await modeOf(stack), "dry_run");

    const vars = await env();
    assertMatch(vars.LUMA_SYNC_SECRET ?? "", /^[0-9a-f]{64}$/);
    assertMatch(vars.LUMA_BLR_WEBHOOK_SECRET ?? "", /^whsec_/);
    const text = await Deno.readTextFile(envFile);
    assert(text.startsWith("# Comment\n"));
    assertEquals((await Deno.stat(envFile)).mode! & 0o777, 0o600);
    const vault = await sql`
      select name, decrypted_secret as value from vault.decrypted_secrets order by name`;
    assertEquals([...vault], [
      { name: "luma_functions_url", value: stack.functionsUrl },
      { name: "luma_sync_secret", value: vars.LUMA_SYNC_SECRET },
    ]);
    const release = await releaseOf(ROOT);
    for (const { told, problem } of await introductions(hosted)) {
      assertEquals([told?.release, problem], [release, ""]);
      assertEquals(Object.keys(told?.secrets ?? {}), [
        "APP_BASE_URL",
        "LUMA_API_URL",
        "LUMA_BLR_API_KEY",
        "LUMA_BLR_WEBHOOK_SECRET",
        "LUMA_ZO_EVENTS_API_KEY",
        "LUMA_ZO_EVENTS_WEBHOOK_SECRET",
      ]);
    }
    assertEquals(writes(stack), [
      "/v2/webhooks/create",
      "/v2/webhooks/create",
    ]);

    await sql`insert into public.event_cultures (slug, name) values ('default', 'Other')`;
    const [user] = await insertUsers(stack, 1);
    const event = await insertEvent(stack, { title: "Rooftop Jam" });
    await rsvp(stack, event, user!, "going");
    simulator.host.createEvent(simulator.calendars[0]!.id, {
      name: "Full Moon Swim",
      start_at: new Date(Date.now() + 864e5).toISOString(),
      timezone: "Asia/Kolkata",
    });
    await sql`select luma.pull_now()`;
    const before = await written(stack);
    const second = await setup();
    assertEquals([second.code, second.cli], [0, []], second.said);
    assertStringIncludes(second.said, "Everything is set up.");
    assertStringIncludes(
      second.said,
      "Going live would send 1 events, then their 1 RSVPs",
    );
    assertMatch(second.said, /event +Rooftop Jam +blr +.*events\/create/);
    assertMatch(second.said, /event +luma +a row is inserted +1 +1/);
    assertEquals(await written(stack), before);
    assertEquals(await Deno.readTextFile(envFile), text);
    assertEquals(writes(stack), []);

    await sql`select luma.set_mode('live')`;
    const live = await setup();
    assertEquals([live.code, live.cli], [0, []], live.said);
    assertStringIncludes(live.said, "The project is live, and stays so.");
    assertEquals(await modeOf(stack), "live");
  },
);

hostedTest(
  "setup and doctor run as programs, and without a terminal setup does not ask",
  async ({ stack, envFile }) => {
    const run = async (script: string, ...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", `${ROOT}/scripts/${script}`, ...args],
        env: { NO_COLOR: "1" },
        stdin: "null",
      }).output();
      const text = new TextDecoder();
      return { code, said: text.decode(stdout) + text.decode(stderr) };
    };
    const asked = await run("setup.ts", "-e", envFile);
    assertEquals(asked.code, 1, asked.said);
    assertStringIncludes(asked.said, "Note: a local project.");
    assertStringIncludes(asked.said, "Add --yes to do it");
    const [vault] = await stack
      .sql`select count(*)::int as entries from vault.secrets`;
    assertEquals(vault!.entries, 0);
    const planned = await run("setup.ts", "-e", envFile, "--plan");
    assertEquals(planned.code, 0, planned.said);
    const examined = await run("doctor.ts", "-e", envFile);
    assertEquals(examined.code, 1, examined.said);
    assertStringIncludes(examined.said, "✓ database               answers");
    for (const script of ["setup.ts", "doctor.ts"]) {
      const help = await run(script, "--help");
      assertEquals(help.code, 0);
      assert(help.said.startsWith("deno task "));
      assertEquals((await run(script, "--fast")).code, 2);
    }
  },
  { migrate: true },
);
