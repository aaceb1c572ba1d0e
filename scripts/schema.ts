/** `deno task schema`: writes supabase/schema.sql, the database as it is, or checks that it is up to date. */
import { parseArgs } from "node:util";
import { takeSnapshot } from "./schema/snapshot.ts";
import { keepGenerated } from "./generated_file.ts";
import { startStack } from "./stack/mod.ts";

const HELP = `deno task schema [--check]

Writes supabase/schema.sql: what the migrations make, read from the catalog of a new database. On npm's Postgres 18,
because versions of Postgres write views in slightly different words.

  --check   write nothing; exit with 1 when the file is not what it would write
  --help    this text
`;

const FILE = new URL("../supabase/schema.sql", import.meta.url);

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      check: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  await using stack = await startStack({
    ...{ postgres: "npm", seed: false, functions: false, dataApi: false },
    ...{ simulator: false, cron: false, net: false },
  });
  const schema = await takeSnapshot(stack.sql);
  return await keepGenerated(FILE, schema, {
    check: flags.check,
    task: "schema",
  });
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
