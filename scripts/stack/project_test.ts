import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { exists } from "./postgres_binaries.ts";
import { type Stack, startStack } from "./mod.ts";
import { makeTestProject } from "./test_project.ts";

async function callHello(
  stack: Stack,
  key: string,
): Promise<{ status: number; body: string }> {
  const response = await fetch(`${stack.url}/rest/v1/rpc/luma_hello`, {
    method: "POST",
    headers: { apikey: key, "content-type": "application/json" },
    body: JSON.stringify({ name: "x" }),
  });
  return { status: response.status, body: await response.text() };
}

Deno.test("a project on the stack", async (t) => {
  await using project = await makeTestProject();
  await using stack = await startStack({
    root: project.root,
    postgres: "npm",
    simulator: false,
  });
  const { sql, admin } = stack;

  await t.step(
    "is migrated by a role that is no superuser, and Postgres does not run as root",
    async () => {
      const [role] =
        await sql`select current_user::text as name, rolsuper from pg_roles where rolname = current_user`;
      assertEquals({ ...role }, { name: "postgres", rolsuper: false });
      await assertRejects(
        () => Promise.resolve(sql`alter system set work_mem = '1MB'`),
        Error,
        "permission denied",
      );
      const { stdout } = await new Deno.Command("ps", {
        args: ["-o", "uid=", "-p", String(stack.postgres.pid)],
      })
        .output();
      const uid = Number(new TextDecoder().decode(stdout));
      assert(uid !== 0, "Postgres runs as root");
    },
  );

  await t.step(
    "serves rpc() to the secret key from the first call on, and to no other",
    async () => {
      const first = await callHello(stack, stack.secretKey);
      assertEquals([first.status, JSON.parse(first.body)], [200, {
        hello: "x",
        role: "service_role",
      }]);
      const anon = await callHello(stack, stack.publishableKey);
      assertEquals(anon.status, 401);
      assertStringIncludes(
        anon.body,
        "permission denied for function luma_hello",
      );
      assertEquals((await callHello(stack, "sb_secret_wrong")).status, 401);
    },
  );

  await t.step(
    "keeps its grants: the Data API gives none of its own",
    async () => {
      const grants = await admin`
      select grantee, privilege_type from information_schema.role_table_grants
      where table_schema in ('luma', 'cron', 'public') and grantee in ('anon', 'authenticated', 'service_role')`;
      assertEquals(grants.length, 0);
      const [luma] =
        await admin`select has_schema_privilege('anon', 'luma', 'usage') as anon`;
      assertEquals(luma?.anon, false);
    },
  );

  await t.step(
    "gives new tables in public no grants to read or write",
    async () => {
      await sql`create table public.fresh (id int primary key)`;
      for (const role of ["anon", "authenticated", "service_role"]) {
        const [may] =
          await sql`select has_table_privilege(${role}, 'public.fresh', 'select, insert') as it`;
        assertEquals(may?.it, false, role);
      }
    },
  );

  await t.step(
    "serves a function that was made after the first call",
    async () => {
      await sql.unsafe(`
      create or replace function public.luma_hello(name text) returns jsonb
      language sql set search_path = '' as $$ select '"changed"'::jsonb $$`);
      assertEquals((await callHello(stack, stack.secretKey)).body, '"changed"');
    },
  );

  await t.step(
    "has its addresses and secret in Vault, readable for postgres, not for anon",
    async () => {
      const entries =
        await sql`select name, decrypted_secret from vault.decrypted_secrets order by name`;
      assertEquals(
        entries.map(({ name, decrypted_secret }) => [name, decrypted_secret]),
        [
          ["luma_functions_url", stack.functionsUrl],
          ["luma_sync_secret", stack.syncSecret],
        ],
      );
      const [stored] =
        await sql`select secret from vault.secrets where name = 'luma_sync_secret'`;
      assert(stored?.secret !== stack.syncSecret);
      const asAnon = sql.begin(async (open) => {
        await open`set local role anon`;
        await open`select vault.create_secret('s', 'n')`;
      });
      await assertRejects(
        () => asAnon,
        Error,
        "permission denied for schema vault",
      );
    },
  );

  await t.step(
    "changes and refuses Vault entries as the real extension does",
    async () => {
      const [made] =
        await sql`select vault.create_secret('one', 'name', 'what for') as id`;
      await sql`select vault.update_secret(${made?.id}, new_secret := 'two')`;
      const [entry] =
        await sql`select decrypted_secret, description from vault.decrypted_secrets where id = ${made?.id}`;
      assertEquals({ ...entry }, {
        decrypted_secret: "two",
        description: "what for",
      });
      await assertRejects(
        () => Promise.resolve(sql`select vault.create_secret('x', 'name')`),
        Error,
        "duplicate key",
      );
      await assertRejects(
        () =>
          Promise.resolve(
            sql`insert into vault.secrets (secret) values ('plain')`,
          ),
        Error,
        "permission denied",
      );
    },
  );
});

Deno.test("a migration that fails is named with its file and line", async () => {
  await using project = await makeTestProject(
    "create schema luma;\n\nselect nothing_like_this();\n",
  );
  let said = "";
  try {
    await startStack({ root: project.root, postgres: "npm", simulator: false });
  } catch (error) {
    said = String(error);
  }
  assertStringIncludes(
    said,
    "20260101000000_project.sql:3: function nothing_like_this() does not exist",
  );
});

Deno.test("a Postgres that is not there is named, with what to give instead", async () => {
  const error = await assertRejects(
    () => startStack({ postgres: "/nowhere/bin", simulator: false }),
    Error,
  );
  assertStringIncludes(error.message, 'No postgres in "/nowhere/bin"');
  const folder = await Deno.makeTempDir();
  try {
    await assertRejects(
      () => startStack({ root: folder, postgres: "npm", simulator: false }),
      Error,
      "Run: deno install",
    );
  } finally {
    await Deno.remove(folder);
  }
  assertEquals(await exists("/nowhere"), false);
});
