import { assertEquals } from "@std/assert";
import { connect } from "./database.ts";
import { type Stack, type StackOptions, startStack } from "./mod.ts";
import { makeTestProject } from "./test_project.ts";
import { startWatchdog } from "./watchdog.ts";

const DATABASE_ONLY: StackOptions = {
  functions: false,
  dataApi: false,
  simulator: false,
  net: false,
  cron: false,
};

/** Gives `test` an empty folder for templates. */
async function withFolder(
  test: (templates: string) => Promise<void>,
): Promise<void> {
  const { folder, stop } = await startWatchdog();
  try {
    await test(folder);
  } finally {
    await stop();
  }
}

async function made(templates: string): Promise<number> {
  const entries = await Array.fromAsync(Deno.readDir(templates));
  return entries.filter((entry) => entry.isDirectory).length;
}

/** What is in the database, apart from the values of its rows. */
async function contents({ postgres: { adminUrl } }: Stack) {
  // Names with their schemas.
  const admin = connect(adminUrl, { max: 1, connection: { search_path: "" } });
  const catalog = await admin`
    with ours as (
      select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
    )
    select 'function ' || oid::regprocedure as what,
      concat_ws(e'\n', pg_get_functiondef(oid), proowner::regrole, proacl, obj_description(oid, 'pg_proc')) as is
    from pg_proc where pronamespace in (select oid from ours) and prokind in ('f', 'p')
    union all
    select 'relation ' || oid::regclass,
      concat_ws(e'\n', relkind, relowner::regrole, relacl, relrowsecurity, reloptions, pg_get_viewdef(oid),
        obj_description(oid, 'pg_class'))
    from pg_class where relnamespace in (select oid from ours)
    union all
    select 'column ' || attrelid::regclass || '.' || attname,
      concat_ws(e'\n', attnum, format_type(atttypid, atttypmod), attnotnull, attacl, pg_get_expr(adbin, adrelid),
        col_description(attrelid, attnum))
    from pg_attribute
    join pg_class c on c.oid = attrelid
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace in (select oid from ours) and attnum > 0 and not attisdropped
    union all
    select 'constraint ' || conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace in (select oid from ours)
    union all
    select 'index ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
    from pg_index join pg_class c on c.oid = indrelid where relnamespace in (select oid from ours)
    union all
    select 'trigger ' || tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) from pg_trigger
    where not tgisinternal
    union all
    select 'policy ' || polrelid::regclass || '.' || polname, pg_get_expr(polqual, polrelid) from pg_policy
    union all
    select 'event trigger ' || evtname, evtfoid::regproc::text from pg_event_trigger
    union all
    select 'extension ' || extname, concat_ws(' ', extversion, extowner::regrole) from pg_extension
    union all
    select 'schema ' || nspname, concat_ws(' ', nspowner::regrole, nspacl) from pg_namespace
    where oid in (select oid from ours)
    union all
    select 'role ' || rolname, (to_jsonb(r) - 'oid')::text from pg_roles r
    union all
    select 'settings ' || coalesce(datname, '') || coalesce(setrole::regrole::text, ''), setconfig::text
    from pg_db_role_setting left join pg_database d on d.oid = setdatabase
    union all
    select 'migration ' || version, name from supabase_migrations.schema_migrations
    union all
    select 'job ' || jobname, concat_ws(' ', jobid, schedule, command, username, database, active) from cron.job`;
  const tables = await admin`
    select oid::regclass::text as name from pg_class
    where relkind = 'r' and relnamespace::regnamespace::text in ('luma', 'public', 'net', 'vault')`;
  const rows: [string, number][] = [];
  for (const { name } of tables) {
    rows.push([
      `rows of ${name}`,
      (await admin.unsafe(`select from ${name}`)).count,
    ]);
  }
  await admin.end();
  return Object.fromEntries([
    ...catalog.map(({ what, is }) => [what, is]),
    ...rows,
  ]);
}

Deno.test("a database from a template holds what one that was made holds", async () => {
  await withFolder(async (templates) => {
    await using making = await startStack({ ...DATABASE_ONLY, templates: "" });
    const expected = await contents(making);
    for (const time of ["making the template", "from it"]) {
      await using copied = await startStack({ ...DATABASE_ONLY, templates });
      assertEquals(await contents(copied), expected, time);
      assertEquals(await made(templates), 1);
    }
  });
});

Deno.test("of stacks that start together one makes the template, and none sees another's rows", async () => {
  await using project = await makeTestProject();
  await withFolder(async (templates) => {
    const options = { ...DATABASE_ONLY, root: project.root, templates };
    const stacks = await Promise.all(
      [1, 2, 3].map(() => startStack(options)),
    );
    await using stopping = new AsyncDisposableStack();
    stacks.forEach((stack) => stopping.use(stack));
    assertEquals(await made(templates), 1);
    for (const [id, { sql }] of stacks.entries()) {
      await sql`insert into luma.notes (id) values (${id})`;
    }
    for (const [id, { sql }] of stacks.entries()) {
      assertEquals([...await sql`select id from luma.notes`], [{ id }]);
    }
  });
});

Deno.test("there is a template for each state of the migrations, and it is made anew when it was left half made", async () => {
  await using project = await makeTestProject();
  await withFolder(async (templates) => {
    const tables = async (options: StackOptions = {}) => {
      await using stack = await startStack({
        ...DATABASE_ONLY,
        root: project.root,
        templates,
        ...options,
      });
      const found = await stack.sql`
        select relname from pg_class where relkind = 'r' and relnamespace = to_regnamespace('luma') order by 1`;
      return found.map(({ relname }) => relname);
    };
    assertEquals(await tables(), ["notes"]);
    assertEquals(await tables({ migrate: false }), []);
    await Deno.writeTextFile(
      `${project.root}/supabase/migrations/20260101000001_more.sql`,
      "create table luma.more ();",
    );
    assertEquals(await tables(), ["more", "notes"]);
    assertEquals(await tables({ migrate: false }), []);
    assertEquals(await made(templates), 3);
    // As if who made them had been killed.
    for await (const { name, isDirectory } of Deno.readDir(templates)) {
      if (isDirectory) await Deno.remove(`${templates}/${name}/cluster.json`);
    }
    assertEquals(await tables(), ["more", "notes"]);
  });
});
