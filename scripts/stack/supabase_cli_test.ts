import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { startStack } from "./mod.ts";
import { runSupabaseCli } from "./supabase_cli.ts";
import { makeTestProject } from "./test_project.ts";

Deno.test("the Supabase CLI works on the stack's Postgres", async (t) => {
  await using project = await makeTestProject();
  await using stack = await startStack({
    root: project.root,
    postgres: "npm",
    migrate: false,
    dataApi: false,
    functions: false,
    simulator: false,
  });
  const { sql } = stack;
  const cli = async (...args: string[]) => {
    const result = await runSupabaseCli([
      ...args,
      "--db-url",
      stack.postgres.url,
    ], { cwd: project.root });
    return { ...result, said: result.stdout + result.stderr };
  };

  await t.step(
    "db push applies the migrations and records them where the stack does",
    async () => {
      const { code, said } = await cli("db", "push", "--yes");
      assertEquals(code, 0, said);
      const [applied] =
        await sql`select version, name from supabase_migrations.schema_migrations`;
      assertEquals({ ...applied }, {
        version: "20260101000000",
        name: "project",
      });
    },
  );

  await t.step(
    "gen types knows the migrations' tables and functions",
    async () => {
      const { code, stdout, said } = await cli(
        "gen",
        "types",
        "typescript",
        "--schema",
        "public,luma",
      );
      assertEquals(code, 0, said);
      assertStringIncludes(stdout, "luma_hello");
      assertStringIncludes(stdout, "notes");
    },
  );

  await t.step(
    "db advisors finds nothing in a clean project, and what is wrong in another",
    async () => {
      const advisors = () =>
        cli(
          "db",
          "advisors",
          "--type",
          "all",
          "--level",
          "info",
          "--fail-on",
          "warn",
        );
      await sql`create policy nobody on luma.notes using (false)`;
      const clean = await advisors();
      assertEquals(clean.code, 0, clean.said);
      await sql`create table public.open_to_all (id int primary key)`;
      await sql`grant select on public.open_to_all to anon`;
      const found = await advisors();
      assertEquals(found.code, 1, found.said);
      assertStringIncludes(found.said, "open_to_all");
    },
  );
});

Deno.test("SUPABASE_CLI that cannot be run is named", async () => {
  Deno.env.set("SUPABASE_CLI", "/nowhere/supabase");
  try {
    await assertRejects(
      () => runSupabaseCli(["--version"]),
      Error,
      'SUPABASE_CLI is "/nowhere/supabase", which cannot be run',
    );
  } finally {
    Deno.env.delete("SUPABASE_CLI");
  }
});
