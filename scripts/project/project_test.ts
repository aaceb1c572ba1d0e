import { assert, assertEquals, assertRejects } from "@std/assert";
import { ROOT } from "../setup/testing.ts";
import { Problem } from "../webhooks/problem.ts";
import { wantedJobs } from "./jobs.ts";
import { discreet } from "./redact.ts";
import { releaseOf } from "./release.ts";
import { findProject } from "./settings.ts";
import { findTarget, type Target } from "./target.ts";

const REF = "abcdefghijklmnopqrst";

function target(
  reachUrl: string,
  given?: string,
  database = "",
): Promise<Target> {
  const settings = { reachUrl, vars: { SUPABASE_DB_URL: database } };
  return findTarget({ given, settings, root: "/nowhere" });
}

Deno.test("the project is the one of the flag, of the functions' address, or this machine's", async () => {
  const hosted: Target = { kind: "hosted", ref: REF };
  const address = `https://${REF}.supabase.co/functions/v1`;
  assertEquals(await target(address), hosted);
  assertEquals(
    await target("https://api.example.com/functions/v1", REF),
    hosted,
  );
  assertEquals(
    await target("http://127.0.0.1:54321/functions/v1", REF),
    hosted,
  );
  assertEquals(await target("http://127.0.0.1:54321/functions/v1"), {
    kind: "local",
  });
  for (const host of [`db.${REF}.supabase.co`, "aws-0.pooler.supabase.com"]) {
    const url = `postgresql://postgres.${REF}:pw@${host}:5432/postgres`;
    assertEquals(await target(address, undefined, url), hosted);
  }
  await assertRejects(
    () => target("https://api.example.com/functions/v1"),
    Problem,
    "Add --project-ref",
  );
});

Deno.test("a local database and hosted functions, or the other way, are told before anything is done", async () => {
  const here = "postgresql://postgres:postgres@127.0.0.1:54322/postgres";
  const there = "postgresql://postgres:pw@db.example.com:5432/postgres";
  const hosted = `https://${REF}.supabase.co/functions/v1`;
  const local = "http://127.0.0.1:54321/functions/v1";
  for (const [functions, database] of [[hosted, here], [local, there]]) {
    await assertRejects(
      () => target(functions!, undefined, database),
      Problem,
      "one is on this machine and the other is not",
    );
  }
  assertEquals((await target(hosted, REF, here)).kind, "hosted");
  assertEquals((await target(local, undefined, here)).kind, "local");
});

Deno.test("the linked project counts where nothing else tells it", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/supabase/.temp`, { recursive: true });
    await Deno.writeTextFile(`${root}/supabase/.temp/project-ref`, `${REF}\n`);
    const settings = {
      reachUrl: "https://api.example.com/functions/v1",
      vars: {},
    };
    assertEquals(await findTarget({ given: undefined, settings, root }), {
      kind: "hosted",
      ref: REF,
    });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("what `supabase start` calls api.supabase.internal is found on this machine", async () => {
  const LUMA_FUNCTIONS_URL = "http://api.supabase.internal:8000/functions/v1/";
  const vars = {
    LUMA_FUNCTIONS_URL,
    LUMA_BLR_API_KEY: "key",
    SUPABASE_DB_URL: "postgresql://postgres:postgres@127.0.0.1:54322/postgres",
  };
  const { settings, problems } = await findProject(vars, "/nowhere/.env");
  assertEquals(problems, []);
  assertEquals(settings.functionsUrl, LUMA_FUNCTIONS_URL.slice(0, -1));
  assertEquals(settings.reachUrl, "http://127.0.0.1:54321/functions/v1");
  const SUPABASE_DB_URL = "postgresql://x:y@pooler.example:6543/postgres";
  const pooled = await findProject(
    { ...vars, SUPABASE_DB_URL },
    "/nowhere/.env",
  );
  assertEquals(pooled.problems.map((problem) => problem.slice(0, 45)), [
    "SUPABASE_DB_URL is the transaction pooler's (",
  ]);
});

Deno.test("a release changes with what is deployed, and with nothing else", async () => {
  const root = await Deno.makeTempDir();
  const write = async (file: string, text: string) => {
    const path = `${root}/supabase/functions/${file}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
    return await releaseOf(root);
  };
  try {
    const first = await write("luma-drain/index.ts", "1");
    assert(/^[0-9a-f]{12}$/.test(first));
    for (
      const other of [
        "_shared/a_test.ts",
        "_shared/testing.ts",
        "_shared/push_for_tests.ts",
        "_shared/readme.md",
        ".env",
      ]
    ) assertEquals(await write(other, "x"), first, other);
    const seen = new Set([first]);
    for (
      const [file, text] of [
        ["luma-drain/index.ts", "2"],
        ["_shared/a.ts", "1"],
        ["deno.json", "{}"],
        ["deno.lock", "{}"],
      ] as const
    ) seen.add(await write(file, text));
    assertEquals(seen.size, 5);
    assertEquals(await write("luma-drain/index.ts", "2"), [...seen].at(-1));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("the jobs are read from the migrations, of each the last", async () => {
  const jobs = await wantedJobs(ROOT);
  const command = (name: string) =>
    jobs.find((job) => job.name === name)?.command;
  assertEquals(command("luma-drain"), "select luma.tick()");
  assertEquals(
    command("luma-clean-up"),
    "select luma.clean_up(), luma.clean_up_pulls(), luma.clean_up_admin_log(), luma.forget_due()",
  );
  assertEquals(command("luma-pull"), "select luma.schedule_pull()");
});

Deno.test("secrets and addresses of people are not printed, whoever says them", () => {
  const said: string[] = [];
  const vars = {
    LUMA_BLR_API_KEY: "key-of-blr",
    LUMA_BLR_WEBHOOK_SECRET: "whsec_one,whsec_two",
    LUMA_SYNC_SECRET: "sync-secret",
    SUPABASE_DB_URL: "postgresql://postgres:p%40ssword@db.example/postgres",
    APP_BASE_URL: "https://game.zo.xyz",
  };
  const { out, err } = discreet({
    vars,
    out: (text) => said.push(text),
    err: (text) => said.push(text),
    sleep: () => Promise.resolve(),
    isTerminal: false,
  }, () => vars);
  out(
    "key-of-blr whsec_two sync-secret p@ssword of guest.one+a@mail.example.com",
  );
  err(`${vars.SUPABASE_DB_URL} whsec_one,whsec_two at https://game.zo.xyz`);
  assertEquals(said, [
    "[secret] [secret] [secret] [secret] of [e-mail]",
    "[secret] [secret] at https://game.zo.xyz",
  ]);
});

Deno.test("a job's command is read in either kind of quotes, with what is quoted in it", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/supabase/migrations`, { recursive: true });
    await Deno.writeTextFile(
      `${root}/supabase/migrations/20260101000000_jobs.sql`,
      `select cron.schedule('a', '* * * * *', 'select ''x'', y(); select 2');
       select cron.schedule(
         'b',
         case when true then '5 seconds' else '* * * * *' end,
         $$select 'x'$$
       );`,
    );
    assertEquals(
      (await wantedJobs(root)).map(({ name, command }) => [name, command]),
      [["a", "select 'x', y(); select 2"], ["b", "select 'x'"]],
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
