/**
 * Who may use what, for everything of this project that the catalog knows. Nobody may, but service_role the functions of
 * the list below: a new object that is open to more, or a new function that is on no list, fails here.
 */
import { assert, assertEquals } from "@std/assert";
import { createHmac } from "node:crypto";
import { one, type Stack, stackTest } from "./testing.ts";

/** The functions in public: what the Edge Functions call, as service_role. */
const FOR_SERVICE_ROLE = [
  "luma_acknowledge",
  "luma_apply_deliveries",
  "luma_claim",
  "luma_cover_begin",
  "luma_cover_end",
  "luma_create_again",
  "luma_created",
  "luma_drain_end",
  "luma_drain_start",
  "luma_event_read",
  "luma_fail",
  "luma_note_rate_limit",
  "luma_pull_begin",
  "luma_pull_pause",
  "luma_pull_request",
  "luma_pull_step",
  "luma_read_delivery",
  "luma_receive_webhook",
  "luma_release",
  "luma_renew",
  "luma_return_permits",
  "luma_settle_guests",
  "luma_slug_taken",
  "luma_take_permits",
];

/** Roles that requests of the Data API run as, or begin as; `public` is what every role has. */
const ROLES = [
  "public",
  "anon",
  "authenticated",
  "service_role",
  "authenticator",
];

/** Every right that a role has by a grant on an object of this project: "role privilege object". */
async function rights({ sql }: Pick<Stack, "sql">): Promise<string[]> {
  const rows = await sql`
    with ours (kind, object, acl, owner) as (
      select 'schema', nspname::text, coalesce(nspacl, acldefault('n', nspowner)), nspowner
      from pg_namespace where nspname = 'luma'
      union all
      select case relkind when 'S' then 'sequence' else 'relation' end, oid::regclass::text,
        coalesce(relacl, acldefault(case relkind when 'S' then 's'::"char" else 'r' end, relowner)), relowner
      from pg_class where relnamespace = 'luma'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      union all
      select 'column', attrelid::regclass || '.' || attname, attacl, relowner
      from pg_attribute a join pg_class c on c.oid = attrelid
      where c.relnamespace = 'luma'::regnamespace and attacl is not null
      union all
      select 'function', p.oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), proowner
      from pg_proc p
      where pronamespace = 'luma'::regnamespace or (pronamespace = 'public'::regnamespace and proname like 'luma\\_%')
      union all
      select 'type', t.oid::regtype::text, typacl, typowner
      from pg_type t where typnamespace = 'luma'::regnamespace and typacl is not null
    )
    select coalesce(r.rolname, 'public') || ' ' || a.privilege_type || ' ' || o.kind || ' ' || o.object as line
    from ours o
    cross join lateral aclexplode(o.acl) a
    left join pg_roles r on r.oid = a.grantee
    where a.grantee <> o.owner
    order by 1`;
  return rows.map(({ line }) => line);
}

stackTest(
  "only service_role has rights, and only to call the functions of the list",
  async (stack) => {
    const granted = await rights(stack);
    assertEquals(
      granted.map((line) => line.replace(/\(.*/, "")),
      FOR_SERVICE_ROLE.map((name) => `service_role EXECUTE function ${name}`),
    );
  },
);

stackTest(
  "no role gets there another way: by membership, by ownership, by default",
  async ({ sql }) => {
    for (const role of ROLES.slice(1)) {
      const { schema, tables, functions } = await one(sql`
        select has_schema_privilege(${role}, 'luma', 'usage') or has_schema_privilege(${role}, 'luma', 'create') as schema,
          (select array_agg(c.oid::regclass::text) from pg_class c
           where c.relnamespace = 'luma'::regnamespace and (
             (c.relkind in ('r', 'v') and (
               has_table_privilege(${role}, c.oid, 'select, insert, update, delete, truncate, references, trigger')
               or has_any_column_privilege(${role}, c.oid, 'select, insert, update, references')))
             or (c.relkind = 'S' and has_sequence_privilege(${role}, c.oid, 'usage, select, update'))
           )) as tables,
          (select array_agg(p.proname::text order by p.proname) from pg_proc p
           where (p.pronamespace = 'luma'::regnamespace or (p.pronamespace = 'public'::regnamespace and p.proname like 'luma\\_%'))
             and has_function_privilege(${role}, p.oid, 'execute')) as functions`);
      assertEquals(
        [schema, tables, functions],
        [false, null, role === "service_role" ? FOR_SERVICE_ROLE : null],
        role,
      );
    }
  },
);

stackTest(
  "columns that were added to the app's tables have the rights of their tables, no more",
  async ({ sql }) => {
    const own = await sql`
      select attrelid::regclass::text, attname from pg_attribute
      where attrelid in ('public.canonical_events'::regclass, 'public.event_rsvps'::regclass, 'public.calendars'::regclass, 'public.users'::regclass)
        and attnum > 0 and attacl is not null`;
    assertEquals([...own], []);
  },
);

stackTest(
  "who calls a function with the rights of its owner names the schema of all it uses",
  async ({ sql }) => {
    const loose = await sql`
      select oid::regprocedure::text from pg_proc
      where prosecdef and (pronamespace = 'luma'::regnamespace or (pronamespace = 'public'::regnamespace and proname like 'luma\\_%'))
        and not coalesce('search_path=""' = any (proconfig), false)`;
    assertEquals([...loose], []);
    // Besides those of the list only triggers, which nobody can call by name.
    const others = await sql`
      select proname::text from pg_proc
      where prosecdef and pronamespace = 'luma'::regnamespace and prorettype <> 'trigger'::regtype order by 1`;
    assertEquals(others.map(({ proname }) => proname), ["email_missing"]);
  },
);

const USER = "11111111-2222-4333-8444-555555555555";

/** A token of a signed-in user, as Supabase Auth signs it. */
function userToken({ jwtSecret }: Stack, role = "authenticated"): string {
  const part = (value: unknown) =>
    btoa(JSON.stringify(value)).replaceAll("=", "")
      .replaceAll("+", "-").replaceAll("/", "_");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const claims = `${part({ alg: "HS256", typ: "JWT" })}.${
    part({ sub: USER, role, aud: "authenticated", exp })
  }`;
  const signature = createHmac("sha256", jwtSecret).update(claims)
    .digest("base64url");
  return `${claims}.${signature}`;
}

/** Whose requests are refused, by what they prove themselves with. */
async function callers(
  stack: Stack,
): Promise<Record<string, Record<string, string>>> {
  // The local Data API asks for the user, whom Supabase Auth has.
  await stack
    .admin`create table if not exists auth.users (id uuid primary key)`;
  await stack
    .admin`insert into auth.users values (${USER}) on conflict do nothing`;
  await stack.admin`grant usage on schema auth to authenticator`;
  await stack.admin`grant select on auth.users to authenticator`;
  const apikey = stack.publishableKey;
  return {
    "no key": {},
    "the publishable key": { apikey },
    "a signed-in user": { apikey, authorization: `Bearer ${userToken(stack)}` },
    "a user who says to be service_role, under a secret of their own": {
      apikey,
      authorization: `Bearer ${
        userToken({ ...stack, jwtSecret: "guessed" }, "service_role")
      }`,
    },
  };
}

/** The status and body of a request to the Data API. */
async function ask(
  stack: Stack,
  path: string,
  headers: Record<string, string>,
  body?: string,
): Promise<{ status: number; text: string }> {
  const response = await fetch(`${stack.url}/rest/v1/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  return { status: response.status, text: await response.text() };
}

/** The functions in public with their arguments, null each. */
async function calls(
  { sql }: Stack,
): Promise<{ name: string; body: string }[]> {
  const rows = await sql`
    select proname::text as name, coalesce(jsonb_object_agg(a.name, null) filter (where a.name <> ''), '{}')::text as body
    from pg_proc p left join lateral unnest(p.proargnames) a (name) on true
    where pronamespace = 'public'::regnamespace and proname like 'luma\\_%' group by p.oid, proname order by 1`;
  return rows as unknown as { name: string; body: string }[];
}

stackTest("through the Data API no user can call a function", async (stack) => {
  // The token is taken for what it is: the user's own things would be there.
  await stack
    .sql`create function public.who_am_i() returns text language sql set search_path = '' as 'select current_user::text'`;
  await stack
    .sql`grant execute on function public.who_am_i() to anon, authenticated`;
  await stack.sql`notify pgrst, 'reload schema'`;
  const { "the publishable key": anon, "a signed-in user": user } =
    await callers(stack);
  assertEquals((await ask(stack, "rpc/who_am_i", anon!, "{}")).text, '"anon"');
  assertEquals(
    (await ask(stack, "rpc/who_am_i", user!, "{}")).text,
    '"authenticated"',
  );

  const before = await stack.sql`select from luma.drain_runs`;
  for (const { name, body } of await calls(stack)) {
    for (const [who, headers] of Object.entries(await callers(stack))) {
      const { status, text } = await ask(stack, `rpc/${name}`, headers, body);
      assert(
        [401, 403, 404].includes(status),
        `${who}, ${name}: ${status} ${text}`,
      );
    }
  }
  assertEquals(await stack.sql`select from luma.drain_runs`, before);
});

stackTest("with the secret key the functions can be called", async (stack) => {
  const headers = { apikey: stack.secretKey };
  for (const name of ["luma_drain_start", "luma_pull_begin"]) {
    const { status, text } = await ask(
      stack,
      `rpc/${name}`,
      headers,
      '{"keys": []}',
    );
    assertEquals(status, 200, text);
  }
});

stackTest("through the Data API nobody sees a table or view", async (stack) => {
  const relations = await stack.sql`
    select relname::text as name from pg_class where relnamespace = 'luma'::regnamespace and relkind in ('r', 'v') order by 1`;
  assert(relations.length > 20);
  const everybody = {
    ...await callers(stack),
    "the secret key": { apikey: stack.secretKey },
  };
  for (const { name } of relations) {
    for (const [who, headers] of Object.entries(everybody)) {
      // In schema public there is none of that name, and schema luma is not exposed.
      for (const profile of ["public", "luma"]) {
        const { status, text } = await ask(stack, `${name}?limit=1`, {
          ...headers,
          "accept-profile": profile,
        });
        assert(
          status >= 400 && status < 500,
          `${who}, ${profile}.${name}: ${status} ${text}`,
        );
      }
    }
  }
});

stackTest("a stranger can start no function", async (stack) => {
  const strangers: Record<string, string>[] = [
    {},
    { apikey: stack.publishableKey },
    { apikey: stack.secretKey, authorization: `Bearer ${stack.secretKey}` },
    { "x-luma-sync-secret": "" },
    { "x-luma-sync-secret": stack.syncSecret.slice(1) },
    {
      "webhook-signature": `t=${Math.floor(Date.now() / 1000)},v1=${
        "0".repeat(64)
      }`,
    },
  ];
  for (const name of ["luma-drain", "luma-pull", "luma-webhook"]) {
    for (const headers of strangers) {
      const response = await fetch(`${stack.functionsUrl}/${name}?wait=1`, {
        method: "POST",
        headers,
        body: "{}",
      });
      assertEquals(response.status, 401, `${name}: ${await response.text()}`);
    }
  }
  const traces = await stack.sql`
    select from luma.drain_runs union all select from luma.pull_runs union all select from luma.webhook_inbox`;
  assertEquals(traces.length, 0);
}, { webhooks: true });
