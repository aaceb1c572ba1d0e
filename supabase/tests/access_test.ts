/** anon and authenticated can neither read nor call anything of this project. */
import { assert, assertEquals } from "@std/assert";
import { drain, one, stackTest } from "./testing.ts";

stackTest(
  "anon and authenticated have no right on anything of ours",
  async ({ sql }) => {
    const open = await sql`
    select r.role, o.what from (values ('anon'), ('authenticated')) r (role)
    cross join lateral (
      select 'schema luma' as what where has_schema_privilege(r.role, 'luma', 'usage')
      union all
      select c.oid::regclass::text from pg_class c
      where c.relnamespace = 'luma'::regnamespace and c.relkind in ('r', 'v')
        and has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate, references, trigger')
      union all
      select p.oid::regprocedure::text from pg_proc p
      where (p.pronamespace = 'luma'::regnamespace or (p.pronamespace = 'public'::regnamespace and p.proname like 'luma\\_%'))
        and has_function_privilege(r.role, p.oid, 'execute')
    ) o`;
    assertEquals([...open], []);
  },
);

stackTest("every table of ours has row level security", async ({ sql }) => {
  const open = await sql`
    select relname from pg_class
    where relnamespace = 'luma'::regnamespace and relkind = 'r' and not relrowsecurity`;
  assertEquals([...open], []);
});

stackTest(
  "service_role may call the functions for the drain, and read no table",
  async ({ sql }) => {
    const rights = await one(sql`
    select
      (select count(*)::int from pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname like 'luma\\_%'
        and not (has_function_privilege('service_role', p.oid, 'execute') and p.prosecdef)) as closed,
      has_schema_privilege('service_role', 'luma', 'usage') as schema`);
    assertEquals(rights, { closed: 0, schema: false });
  },
);

stackTest(
  "every function of ours has an empty search_path and a comment",
  async ({ sql }) => {
    const bare = await sql`
    select p.oid::regprocedure::text as name from pg_proc p
    where (p.pronamespace = 'luma'::regnamespace or (p.pronamespace = 'public'::regnamespace and p.proname like 'luma\\_%'))
      and (not coalesce('search_path=""' = any (p.proconfig), false) or obj_description(p.oid, 'pg_proc') is null)`;
    assertEquals([...bare], []);
  },
);

stackTest(
  "every table, view and setting of ours has a comment",
  async ({ sql }) => {
    const bare = await sql`
    select c.relname as name from pg_class c
    where c.relnamespace = 'luma'::regnamespace and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null
    union all
    select 'settings.' || a.attname from pg_attribute a
    where a.attrelid = 'luma.settings'::regclass and a.attnum > 0 and a.attname not in ('id', 'updated_at')
      and col_description(a.attrelid, a.attnum) is null`;
    assertEquals([...bare], []);
  },
);

stackTest("the Data API refuses a publishable key", async (stack) => {
  for (
    const name of ["luma_drain_start", "luma_claim", "luma_receive_webhook"]
  ) {
    const response = await fetch(`${stack.url}/rest/v1/rpc/${name}`, {
      method: "POST",
      headers: {
        apikey: stack.publishableKey,
        "content-type": "application/json",
      },
      body: '{"keys": []}',
    });
    assert(response.status >= 400, `${name} answered ${response.status}`);
    await response.body?.cancel();
  }
});

for (
  const [what, headers] of [
    ["without its secret", {}],
    ["with a wrong secret", { "x-luma-sync-secret": "wrong" }],
  ] as [string, Record<string, string>][]
) {
  stackTest(
    `luma-drain ${what} answers 401 and runs nothing`,
    async (stack) => {
      const response = await fetch(`${stack.functionsUrl}/luma-drain`, {
        method: "POST",
        headers,
      });
      assertEquals(response.status, 401);
      assert((await response.json()).error.includes("LUMA_SYNC_SECRET"));
      assertEquals((await stack.sql`select from luma.drain_runs`).length, 0);
    },
  );
}

stackTest("luma-drain answers 202 at once, and works on", async (stack) => {
  const response = await fetch(`${stack.functionsUrl}/luma-drain`, {
    method: "POST",
    headers: { "x-luma-sync-secret": stack.syncSecret },
  });
  assertEquals(response.status, 202);
  await response.body?.cancel();
});

stackTest("missing settings are named, all at once", async (stack) => {
  await stack.functions.setEnv({
    LUMA_SYNC_SECRET: undefined,
    SUPABASE_SECRET_KEYS: undefined,
  });
  const response = await fetch(`${stack.functionsUrl}/luma-drain`, {
    method: "POST",
    headers: { "x-luma-sync-secret": stack.syncSecret },
  });
  assertEquals(response.status, 503);
  const { error } = await response.json();
  assert(error.includes("LUMA_SYNC_SECRET is not set"), error);
  assert(error.includes("SUPABASE_SECRET_KEYS"), error);
}, { dataApi: false });

stackTest("an unreachable database is one clear error", async (stack) => {
  await stack.functions.setEnv({ SUPABASE_URL: "http://127.0.0.1:9" });
  let message = "";
  await drain(stack).catch((error) => message = error.message);
  assert(message.includes("503") && message.includes("SUPABASE_URL"), message);
}, { dataApi: false });
