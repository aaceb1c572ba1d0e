/** `deno task types`: writes the TypeScript types of the database, or checks that they are up to date. */
import { parseArgs } from "node:util";
import { keepGenerated } from "./generated_file.ts";
import { startStack } from "./stack/mod.ts";
import { runSupabaseCli } from "./stack/supabase_cli.ts";

const HELP =
  `deno task types [--check] [--db-url <address>] [--postgres <npm|auto|bin folder>]

Writes supabase/functions/_shared/database.types.ts from the schema \`public\` that the migrations make, with
\`supabase gen types\`.

  --check      write nothing; exit with 1 when the file is not what it would write
  --db-url     read this database, which has the migrations, instead of starting one
  --postgres   see: deno task dev --help. Default auto
  --help       this text
`;

const FILE = new URL(
  "../supabase/functions/_shared/database.types.ts",
  import.meta.url,
);

/** The types as the Supabase CLI makes them, formatted as this repository is. */
async function generateTypes(databaseUrl: string): Promise<string> {
  const url = new URL(databaseUrl);
  // Without it the CLI notes on stdout that the server has no TLS; a hosted address says what it wants.
  if (!url.searchParams.has("sslmode") && url.hostname === "127.0.0.1") {
    url.searchParams.set("sslmode", "disable");
  }
  const { code, stdout, stderr } = await runSupabaseCli([
    "gen",
    "types",
    "typescript",
    `--remote=${url.href}`,
    "--schema",
    "public",
  ]);
  const start = stdout.indexOf("export type Json");
  if (code !== 0 || start < 0) {
    throw new Error(
      `supabase gen types ended with ${code}:\n${(stderr || stdout).trim()}`,
    );
  }
  // Twice, because deno fmt changes its own output for these types, and `deno fmt --check` has to pass.
  return await format(await format(stdout.slice(start)));
}

async function format(source: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "ts", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(source));
  await stdin.close();
  const { success, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(
    `deno fmt cannot format the types: ${decoder.decode(stderr)}`,
  );
}

async function generateFromMigrations(postgres: string): Promise<string> {
  await using stack = await startStack({
    postgres,
    functions: false,
    dataApi: false,
    simulator: false,
    seed: false,
    cron: false,
    net: false,
  });
  return await generateTypes(stack.postgres.url);
}

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      check: { type: "boolean", default: false },
      "db-url": { type: "string" },
      postgres: { type: "string", default: "auto" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const types = flags["db-url"] === undefined
    ? await generateFromMigrations(flags.postgres)
    : await generateTypes(flags["db-url"]);
  return await keepGenerated(FILE, types, {
    check: flags.check,
    task: "types",
  });
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
