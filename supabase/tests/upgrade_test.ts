/** A database that has grown release by release is the same as a new one. */
import { assert, assertEquals } from "@std/assert";
import { takeSnapshot } from "../../scripts/schema/snapshot.ts";
import { applyMigrations } from "../../scripts/stack/database.ts";
import { runSupabaseCli } from "../../scripts/stack/supabase_cli.ts";
import {
  filesUpTo,
  migrationNames,
  readMigration,
  releases,
  ROOT,
} from "./releases_for_tests.ts";
import { type Stack, stackTest } from "./testing.ts";

/**
 * On npm's Postgres: that of Debian is too new for what the first releases were, see 20261124000340_body_as_text.sql.
 */
const BARE = {
  ...{ postgres: "npm", migrate: false, functions: false },
  ...{ dataApi: false, simulator: false },
};

/** What the migrations make at once. */
const fresh = await Deno.readTextFile(`${ROOT}/supabase/schema.sql`);

async function countApplied({ sql }: Stack): Promise<number> {
  return (await sql`select from supabase_migrations.schema_migrations`).length;
}

Deno.test("each release has its files", () => {
  const days = releases().map(({ day }) => day);
  assert(days.length >= 4, days.join());
  assertEquals(filesUpTo(days.at(-1)!), migrationNames());
});

stackTest("release by release, as with psql", async (stack) => {
  for (const { files } of releases()) {
    await applyMigrations(stack.sql, ROOT, (file) => files.includes(file));
  }
  assertEquals(await takeSnapshot(stack.sql), fresh);
  assertEquals(await countApplied(stack), migrationNames().length);
}, BARE);

for (const { day } of releases().slice(0, -1)) {
  stackTest(`from the release of ${day} to the newest`, async (stack) => {
    const before = filesUpTo(day);
    await applyMigrations(stack.sql, ROOT, (file) => before.includes(file));
    await applyMigrations(stack.sql, ROOT, (file) => !before.includes(file));
    assertEquals(await takeSnapshot(stack.sql), fresh);
  }, BARE);
}

stackTest("a newest release that was begun, and begun again", async (stack) => {
  const newest = releases().at(-1)!.files;
  await applyMigrations(stack.sql, ROOT, (file) => !newest.includes(file));
  // Stopped after each file in turn, as by a lock that was not to be had.
  for (let done = 1; done <= newest.length; done++) {
    for (const file of newest.slice(0, done)) {
      const text = await readMigration(file);
      await stack.sql.begin((migration) => migration.unsafe(text));
    }
  }
  assertEquals(await takeSnapshot(stack.sql), fresh);
}, BARE);

stackTest("all of them, and all of them again", async ({ sql }) => {
  await applyMigrations(sql, ROOT);
  await applyMigrations(sql, ROOT);
  assertEquals(await takeSnapshot(sql), fresh);
}, BARE);

stackTest("release by release, with the Supabase CLI", async (stack) => {
  const project = await Deno.makeTempDir({ prefix: "luma-upgrade-" });
  try {
    await Deno.mkdir(`${project}/supabase/migrations`, { recursive: true });
    for (const { files } of releases()) {
      for (const file of files) {
        await Deno.writeTextFile(
          `${project}/supabase/migrations/${file}`,
          await readMigration(file),
        );
      }
      const { code, stdout, stderr } = await runSupabaseCli(
        [
          "db",
          "push",
          "--include-all",
          "--yes",
          "--db-url",
          stack.postgres.url,
        ],
        { cwd: project },
      );
      assertEquals(code, 0, stdout + stderr);
    }
    assertEquals(await takeSnapshot(stack.sql), fresh);
    assertEquals(await countApplied(stack), migrationNames().length);
  } finally {
    await Deno.remove(project, { recursive: true });
  }
}, BARE);
