/** Every command, statement and example of the documentation is run, on the real stack. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Block,
  blocks,
  inlineStatements,
  shellCommands,
} from "./docs/commands.ts";
import { CHECK_IDS } from "./doctor/ids.ts";
import { runSupabaseCli } from "./stack/supabase_cli.ts";
import { type Stack, startStack } from "./stack/mod.ts";
import { drain, insertEvent, one, until } from "../supabase/tests/testing.ts";

const ROOT = new URL("../", import.meta.url);

const PAGES = ["README.md"];
for (const { name } of Deno.readDirSync(new URL("docs", ROOT))) {
  if (name.endsWith(".md")) PAGES.push(`docs/${name}`);
}

async function read(page: string): Promise<string> {
  return await Deno.readTextFile(new URL(page, ROOT));
}

/** A live project with something of everything that the pages ask for. */
async function project(): Promise<
  AsyncDisposable & { stack: Stack; filled(sql: string): string }
> {
  const stack = await startStack({ webhooks: true, cron: false });
  const { sql } = stack;
  await sql`select luma.set_mode('live')`;
  const onLuma =
    sql`select event_id from luma.event_status where luma_event_id is not null limit 1`;
  await until("an event is on Luma", async () => {
    await drain(stack);
    return (await sql`select from luma.event_links where luma_event_id is not null`)
      .length > 0;
  });
  const event = await one(onLuma);
  const refused = await insertEvent(stack, { title: "Refused" });
  await sql`
    update luma.sync_outbox set dead_at = now(), last_error = 'refused', lease = null, lease_version = null, leased_at = null
    where entity_id = ${refused}`;
  const values: [RegExp, string][] = [
    [/retry\('<id>'\)/g, `retry('${refused}')`],
    [/<event id>|<id>/g, event.event_id],
    [/<user id or e-mail>/g, "nobody@example.com"],
    [/PROJECT_REF/g, "abcdefghijklmnop"],
    // An address that nobody listens at.
    [/https:\/\/hooks\.slack\.com\/services\/…/g, "http://127.0.0.1:9/hook"],
    [/cal-…/g, "cal-Goa"],
  ];
  return {
    stack,
    filled: (text) =>
      values.reduce(
        (filled, [what, value]) => filled.replaceAll(what, value),
        text,
      ),
    [Symbol.asyncDispose]: () => stack.stop(),
  };
}

for (const page of PAGES) {
  Deno.test(`${page}: every statement works`, async () => {
    const markdown = await read(page);
    const statements = blocks(markdown).filter(({ language }) =>
      language === "sql"
    );
    const inline = inlineStatements(markdown).filter((text) =>
      !text.includes("set …")
    );
    if (statements.length + inline.length === 0) return;
    await using live = await project();
    const { sql } = live.stack;
    for (const { text, line } of statements) {
      await run(
        () => sql.unsafe(live.filled(text)).simple(),
        `${page}:${line}`,
      );
    }
    for (const text of inline) {
      // For its own sake, not for what it leaves.
      await run(() =>
        sql.begin(async (sql) => {
          await sql.unsafe(live.filled(text)).simple();
          throw new Deno.errors.Interrupted();
        }).catch((error) => {
          if (!(error instanceof Deno.errors.Interrupted)) throw error;
        }), `${page}: ${text}`);
    }
  });
}

async function run(
  statement: () => PromiseLike<unknown>,
  where: string,
): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      await statement();
      return;
    } catch (error) {
      // What says that the database is busy also says to run it again.
      if ((error as { code?: string }).code === "55P03" && tries < 20) continue;
      throw new Error(`${where}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

Deno.test("docs/app.md: the example says what the database says", async () => {
  const [example] = blocks(await read("docs/app.md")).filter(({ language }) =>
    language === "ts"
  );
  const { imports } = JSON.parse(await read("supabase/functions/deno.json"));
  const code = example!.text
    .replace('"@supabase/supabase-js"', `"${imports["@supabase/supabase-js"]}"`)
    .replace("../supabase/", `${ROOT.pathname}supabase/`);
  await using stack = await startStack({ functions: false, simulator: false });
  const file = `${stack.folder}/example.ts`;
  await Deno.writeTextFile(
    file,
    `${code}
const client = createClient<Database>(Deno.args[0]!, Deno.args[1]!);
const said = [];
for (const user of ["seed-dhruv", "seed-esha"]) said.push(await rsvp(client, Deno.args[2]!, user));
console.log(JSON.stringify(said));
`,
  );
  const id = await insertEvent(stack);
  // @supabase/lite shows no tables that its own role has no rights on.
  await stack
    .admin`grant select, insert, update on public.event_rsvps to authenticator`;
  await stack.admin`notify pgrst, 'reload schema'`;
  await until("the Data API knows the table", async () => {
    const response = await fetch(`${stack.url}/rest/v1/event_rsvps?limit=0`, {
      headers: { apikey: stack.secretKey },
    });
    await response.body?.cancel();
    return response.ok;
  });
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--check",
      `--config=${ROOT.pathname}deno.json`,
      file,
      stack.url,
      stack.secretKey,
      id,
    ],
  }).output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  assertEquals(JSON.parse(decoder.decode(stdout)), [
    {
      ok: false,
      message: "Add your email in Profile to RSVP for events.",
      fix: "/profile",
    },
    { ok: true },
  ]);
});

/** Which test runs a task whole, by its name; here only its flags are looked at. */
const RUN_BY: Record<string, string> = {
  audit: "scripts/audit_test.ts",
  backfill: "scripts/status_test.ts",
  // Its parts; a whole run takes minutes and wants a quiet machine.
  bench: "scripts/bench_test.ts",
  chaos: "supabase/tests/chaos_test.ts",
  console: "scripts/console_test.ts",
  contract: "scripts/contract/contract_test.ts",
  demo: "scripts/demo_test.ts",
  dev: "scripts/stack/leftovers_test.ts",
  doctor: "scripts/doctor_test.ts",
  // Its parts, and a few guards; all of them take minutes.
  mutations: "scripts/mutations_test.ts",
  schema: "scripts/schema_test.ts",
  setup: "scripts/setup_test.ts",
  simulator: "scripts/luma-simulator/main_test.ts",
  status: "scripts/status_test.ts",
  test: "scripts/run_tests.ts",
  types: "scripts/types_test.ts",
  webhooks: "scripts/webhooks_test.ts",
};

/** What a reader's shell does by itself. */
const PLAIN = /^(cp|set|echo|git|psql|openssl) /;

Deno.test("every shell command is one that exists, with flags that it has", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  const known = new Map<string, Promise<string>>();
  const help = (key: string, ask: () => Promise<string>) => {
    if (!known.has(key)) known.set(key, ask());
    return known.get(key)!;
  };
  for (const page of PAGES) {
    const shell = blocks(await read(page)).filter(({ language }) =>
      language === "sh"
    );
    for (
      const { command, where } of shell.flatMap((block) =>
        commandsOf(block, page)
      )
    ) {
      const task = /^(?:npx -y )?deno task ([\w-]+)(.*)$/.exec(command);
      const cli = /^npx -y (supabase@\S+) (.*)$/.exec(command);
      if (task) {
        const [, name = "", args = ""] = task;
        assert(name in tasks, `${where}: there is no task ${name}`);
        assert(name in RUN_BY, `${where}: no test runs the task ${name}`);
        await assertFlags(
          where,
          args,
          () => help(name, () => taskHelp(tasks[name])),
        );
      } else if (cli) {
        const words = cli[2]!.split(" ").filter((word) =>
          /^[a-z-]+$/.test(word) && !word.startsWith("-")
        );
        const path = words.slice(
          0,
          ["login", "link"].includes(words[0]!) ? 1 : 2,
        );
        await assertFlags(
          where,
          cli[2]!,
          () => help(path.join(" "), () => cliHelp(path)),
        );
      } else {
        assert(PLAIN.test(command), `${where}: nobody knows ${command}`);
      }
    }
  }
  for (const file of Object.values(RUN_BY)) {
    await Deno.stat(new URL(file, ROOT));
  }
});

function commandsOf({ text, line }: Block, page: string) {
  return shellCommands(text).map((command) => ({
    command,
    where: `${page}:${line}: ${command}`,
  }));
}

async function assertFlags(
  where: string,
  args: string,
  help: () => Promise<string>,
): Promise<void> {
  for (const [flag] of args.matchAll(/(?<=^| )--?[a-z][a-z-]*/g)) {
    assertStringIncludes(await help(), flag, where);
  }
}

async function taskHelp(task: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...task.split(" ").slice(1), "--help"],
    cwd: ROOT.pathname,
    env: { NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

async function cliHelp(path: string[]): Promise<string> {
  const { stdout, stderr } = await runSupabaseCli([...path, "--help"]);
  return stdout + stderr;
}

Deno.test("docs/configuration.md has every setting with its default and what it is", async () => {
  await using stack = await startStack({
    functions: false,
    simulator: false,
    dataApi: false,
    seed: false,
  });
  const settings = await stack.sql`
    select a.attname as name, coalesce(pg_get_expr(d.adbin, d.adrelid), '') as value, col_description(a.attrelid, a.attnum) as comment
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'luma.settings'::regclass and a.attnum > 0 and not a.attisdropped and a.attname not in ('id', 'updated_at', 'live_since')
    order by a.attname`;
  const words = (await read("docs/configuration.md")).replaceAll(/\s+/g, " ");
  const missing = settings.map(({ name, value, comment }) =>
    `| \`${name}\` | ${
      value.replace(/::\w+$/, "").replaceAll("'", "").replace(
        /^00:0?(\d+):00$/,
        "$1 min",
      )
    } | ${comment} |`
  ).filter((row) => !words.includes(row));
  assertEquals(missing, []);
});

Deno.test("docs/operations.md says what to do for every line of the doctor and every alert", async () => {
  const page = await read("docs/operations.md");
  const causes = await read(
    "supabase/migrations/20261127000550_alert_causes.sql",
  );
  const alerts = [...causes.matchAll(/^select '(\w+)'/gm)].map(([, kind]) =>
    kind
  );
  assert(alerts.length >= 6);
  const lines = [...CHECK_IDS, ...alerts];
  assertEquals(lines.filter((line) => !page.includes(`| \`${line}\` `)), []);
});

Deno.test("links between the pages lead somewhere", async () => {
  for (const page of PAGES) {
    const from = new URL(page, ROOT);
    for (
      const [, target = ""] of (await read(page)).matchAll(
        /\]\((?!https?:)([^)\s]+)\)/g,
      )
    ) {
      const [path = "", anchor] = target.split("#");
      const url = path === "" ? from : new URL(path, from);
      const text = await Deno.readTextFile(url).catch(() =>
        Deno.stat(url).then(() => "")
      );
      if (!anchor) continue;
      const anchors = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
        title.toLowerCase().replaceAll(/[^\p{L}\p{N} -]/gu, "").replaceAll(
          " ",
          "-",
        )
      );
      assert(anchors.includes(anchor), `${page}: ${target}`);
    }
  }
});
