/** `deno task setup` that fails, is killed, is declined, or is told something wrong. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { until } from "../supabase/tests/testing.ts";
import type { SetupWorld } from "./setup/scene.ts";
import { type Hosted, hostedTest, REF } from "./setup/testing.ts";

class Killed extends Error {}

/** What setup does outside of the database, in words: the CLI's commands, and what changes something on Luma. */
function effectOf(args: string[]): string | null {
  const command = args.slice(0, 2).join(" ");
  return ["db push", "secrets set", "functions deploy"].includes(command)
    ? command
    : null;
}

/**
 * A world in which each effect goes wrong twice, the first times it is met: once it does not happen, and says so; once
 * it happens, and setup is killed right after. Secrets are set at three places, so that is met three times.
 */
function unluckyWorld({ world }: Hosted) {
  const met = new Map<string, number>();
  const happened: string[] = [];
  const fate = (effect: string): "fails" | "dies" | "works" => {
    const times = met.get(effect) ?? 0;
    met.set(effect, times + 1);
    const most = effect === "secrets set" ? 6 : 2;
    if (times >= most) return "works";
    return times % 2 === 0 ? "fails" : "dies";
  };
  const lucky = world();
  const changes: Partial<SetupWorld> = {
    runCli: async (args) => {
      const effect = effectOf(args);
      const end = effect === null ? "works" : fate(effect);
      if (end === "fails") {
        return { code: 1, stdout: "", stderr: `no luck with ${effect}` };
      }
      const result = await lucky.runCli(args);
      if (effect) happened.push(effect);
      if (end === "dies") throw new Killed();
      return result;
    },
    fetch: async (input, init) => {
      if (init?.method !== "POST") return await fetch(input, init);
      const key = new Headers(init.headers).get("x-luma-api-key");
      const end = fate(`webhook ${key}`);
      if (end === "fails") return new Response("busy", { status: 503 });
      const response = await fetch(input, init);
      happened.push("webhook");
      if (end === "dies") {
        await response.body?.cancel();
        throw new TypeError("connection lost");
      }
      return response;
    },
  };
  return { changes, happened };
}

hostedTest(
  "whatever fails or kills setup, running it again completes it, with one webhook for each calendar",
  async (hosted) => {
    const { stack, setup } = hosted;
    const { changes, happened } = unluckyWorld(hosted);
    const ends: string[] = [];
    for (let runs = 0; runs < 30 && ends.at(-1) !== "done"; runs++) {
      try {
        const { code, said } = await setup(["--yes"], changes);
        if (code === 1) {
          assertStringIncludes(said, "run deno task setup again");
        }
        ends.push(code === 0 ? "done" : "failed");
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        ends.push("killed");
      }
    }
    assertEquals(ends.at(-1), "done");
    // db push, functions deploy: one failure and one death each; secrets set: three of each; two webhooks: both fail.
    assertEquals(ends.filter((end) => end === "killed").length, 5);
    assertEquals(ends.filter((end) => end === "failed").length, 9);
    assertEquals(happened.filter((what) => what === "webhook").length, 2);
    const luma = stack.simulator;
    for (const { key } of luma.calendars) {
      const response = await fetch(`${luma.url}/v1/webhooks/list`, {
        headers: { "x-luma-api-key": key },
      });
      assertEquals((await response.json()).entries.length, 1);
    }
    const again = await setup();
    assertEquals([again.code, again.cli], [0, []], again.said);
  },
);

hostedTest(
  "what the database refuses is told with its step, and when it is mended setup goes on",
  async ({ stack, setup }) => {
    const { admin, sql } = stack;
    await sql`select cron.unschedule('luma-sweep')`;
    await admin.unsafe(`
      create function public.no() returns trigger language plpgsql as
      $$ begin raise exception 'not now' using hint = 'Ask later.'; end $$`);
    const steps = {
      vault: "vault.secrets",
      jobs: "cron.job",
      mode: "luma.settings",
    };
    for (const [step, table] of Object.entries(steps)) {
      await admin.unsafe(
        `create trigger no before insert or update on ${table} execute function public.no()`,
      );
      const { code, said } = await setup();
      assertEquals(code, 1, said);
      assertStringIncludes(said, `${step}: not now\nAsk later.`);
      assertStringIncludes(said, "Stopped there. Done before:");
      await admin.unsafe(`drop trigger no on ${table}`);
    }
    const done = await setup();
    assertEquals(done.code, 0, done.said);
    const jobs = await sql`select jobname from cron.job order by 1`;
    assertEquals(jobs.map(({ jobname }) => jobname), [
      "luma-alerts",
      "luma-clean-up",
      "luma-drain",
      "luma-pull",
      "luma-sweep",
    ]);
  },
  { migrate: true },
);

hostedTest(
  "declined, only planned, or without a terminal, setup changes nothing",
  async ({ stack, setup, envFile }) => {
    const text = await Deno.readTextFile(envFile);
    const refused = () => Promise.reject(new Killed());
    const declined = await setup([], { confirm: () => Promise.resolve(false) });
    assertEquals(declined.code, 1);
    assertStringIncludes(declined.said, "Nothing was changed.");
    const planned = await setup(["--plan"], { confirm: refused });
    assertEquals(planned.code, 0);
    assertMatch(planned.said, /mode +set the mode dry_run/);
    await assertRejects(() => setup([], { confirm: refused }), Killed);
    assertEquals(declined.cli, ["--version", "secrets list"]);
    assertEquals(planned.cli, []);
    assertEquals(await Deno.readTextFile(envFile), text);
    const [left] = await stack.sql`
      select to_regclass('luma.settings') as settings, to_regclass('luma.migrations') as migrations,
        (select count(*)::int from vault.secrets) as entries`;
    assertEquals({ ...left }, { settings: null, migrations: null, entries: 0 });
    const { requests } = stack.simulator;
    assert(requests.every(({ method }) => method === "GET"));
  },
);

hostedTest(
  "a key of another calendar, or of none, stops setup before anything is done",
  async ({ stack, setup, setEnv }) => {
    const { sql } = stack;
    const stops = async (...says: string[]) => {
      const { code, said, cli } = await setup();
      assertEquals([code, cli], [1, []], said);
      for (const words of says) assertStringIncludes(said, words);
      const [row] =
        await sql`select count(*)::int as entries from vault.secrets`;
      assertEquals(row!.entries, 0);
    };
    await sql`
      update public.calendars set luma_calendar_id = 'cal-other' where luma_key = 'blr'`;
    await stops(
      'LUMA_BLR_API_KEY opens cal-ZVonmjVxLk7F2oM ("BLRxZo")',
      "the row 'blr' of public.calendars is cal-other",
    );
    await sql`update public.calendars set luma_calendar_id = null where luma_key = 'blr'`;
    await stops(
      "update public.calendars set luma_calendar_id = 'cal-ZVonmjVxLk7F2oM' where luma_key = 'blr';",
    );
    await sql`update public.calendars set luma_key = 'goa' where luma_key = 'blr'`;
    await stops("no row of public.calendars has the luma_key 'blr'");
    await sql`
      update public.calendars set luma_key = 'blr', luma_calendar_id = 'cal-ZVonmjVxLk7F2oM' where luma_key = 'goa'`;
    await setEnv("LUMA_BLR_API_KEY", "luma-key-nobody");
    await stops("Luma refuses LUMA_BLR_API_KEY");
  },
  { migrate: true },
);

hostedTest(
  "settings that are missing or wrong are named, all of them, and nothing is looked at",
  async ({ setup, setEnv, stack }) => {
    const changes = {
      LUMA_FUNCTIONS_URL: "https://PROJECT_REF.supabase.co/functions/v1",
      LUMA_SYNC_SECRET: "two words",
      LUMA_BLR_API_KEY: "",
      LUMA_ZO_EVENTS_API_KEY: "",
      LUMA_API_URL: "http://luma.example",
      APP_BASE_URL: "game",
      SUPABASE_DB_URL: "",
    };
    for (const [name, value] of Object.entries(changes)) {
      await setEnv(name, value);
    }
    const { code, said, cli } = await setup();
    assertEquals([code, cli], [1, []], said);
    for (
      const words of [
        "LUMA_FUNCTIONS_URL still holds PROJECT_REF",
        "LUMA_SYNC_SECRET must be one word",
        "No calendar has a key: fill in LUMA_BLR_API_KEY or LUMA_ZO_EVENTS_API_KEY",
        "LUMA_API_URL must be an address with https",
        "APP_BASE_URL must be an address with https",
        "SUPABASE_DB_URL is not set",
      ]
    ) assertStringIncludes(said, words);
    assertEquals(stack.simulator.requests, []);
    await setEnv("LUMA_FUNCTIONS_URL", `${stack.url}/functions`);
    assertStringIncludes((await setup()).said, "must end with /functions/v1");
  },
  { migrate: true },
);

hostedTest(
  "a database that is not there, too little for it, or another project's is told",
  async ({ setup, setEnv, stack, env }) => {
    const url = (await env()).SUPABASE_DB_URL!;
    const gone = await setup([
      "--db-url",
      "postgresql://x:pass-word@127.0.0.1:9/x",
    ]);
    assertEquals(gone.code, 1);
    assertStringIncludes(gone.said, "ECONNREFUSED");
    assert(!gone.said.includes("pass-word"));

    await stack.admin`create role weak login`;
    const weak = await setup([
      "--db-url",
      url.replace("postgres:postgres", "weak:postgres"),
    ]);
    assertEquals(weak.code, 1);
    assertStringIncludes(weak.said, "The role weak may not create schemas");
    assertStringIncludes(weak.said, "public.calendars belongs to postgres");

    const other = "zyxwvutsrqponmlkjihg";
    for (
      const [name, value] of [
        [
          "SUPABASE_DB_URL",
          `postgresql://postgres.${other}:pw@aws.example:5432/postgres`,
        ],
        ["LUMA_FUNCTIONS_URL", `https://${other}.supabase.co/functions/v1`],
      ] as const
    ) {
      await setEnv(name, value);
      const { code, said } = await setup();
      assertEquals(code, 1);
      assertStringIncludes(
        said,
        name === "SUPABASE_DB_URL"
          ? `SUPABASE_DB_URL belongs to the project ${other}, but ${REF}`
          : `LUMA_FUNCTIONS_URL belongs to the project ${other}, but ${REF}`,
      );
    }
    const odd = await setup(["--project-ref", "My-Project"]);
    assertStringIncludes(odd.said, '--project-ref is "My-Project"');
    assertEquals((await setup(["--fast"])).code, 2);
  },
  { migrate: true },
);

hostedTest(
  "of two at once the second is told to wait",
  async ({ stack, setup }) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<boolean>();
    const first = setup([], {
      confirm: () => {
        asked.resolve();
        return answer.promise;
      },
    });
    await asked.promise;
    const second = await setup();
    assertEquals(second.code, 1);
    assertStringIncludes(second.said, "Another deno task setup is at work");
    answer.resolve(true);
    assertEquals((await first).code, 0);
    await until("its lock is gone", async () => (await setup()).code === 0);
    const [row] = await stack.sql`select luma.mode() as mode`;
    assertEquals(row!.mode, "dry_run");
  },
  { migrate: true },
);

hostedTest(
  "what changes while setup asks is not done unasked",
  async ({ stack, setup }) => {
    const { sql } = stack;
    const { code, said } = await setup([], {
      confirm: async () => {
        await sql`select cron.unschedule('luma-sweep')`;
        return true;
      },
    });
    assertEquals(code, 1, said);
    assertStringIncludes(
      said,
      "This was not in the plan: schedule luma-sweep, which is missing.",
    );
    const [job] = await sql`select from cron.job where jobname = 'luma-sweep'`;
    assertEquals(job, undefined);
    const again = await setup();
    assertEquals(again.code, 0, again.said);
    assertMatch(again.said, /jobs +schedule luma-sweep, which is missing/);
  },
  { migrate: true },
);
