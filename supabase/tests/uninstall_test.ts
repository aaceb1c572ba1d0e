/** luma.uninstall() leaves the app as it was, at once or not at all. */
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import type postgres from "postgres";
import type { Row } from "postgres";
import { takeSnapshot } from "../../scripts/schema/snapshot.ts";
import { applyMigrations } from "../../scripts/stack/database.ts";
import { fillApp, makeApp, whileWriting } from "./app_for_tests.ts";
import { hostEvent, lumaTest, settle } from "./luma_side.ts";
import { pullAll } from "./pulls_for_tests.ts";
import { migrationNames, ROOT } from "./releases_for_tests.ts";
import { insertEvent, insertUsers, one, rsvp, stackTest } from "./testing.ts";

const APP_TABLES = [
  "users",
  "event_cultures",
  "calendars",
  "canonical_events",
  "event_rsvps",
];

const BARE = {
  ...{ migrate: false, functions: false, dataApi: false, simulator: false },
  ...{ cron: false, net: false },
};

/** Everything that the catalog knows of the app's tables, and of schema public. */
async function appSchema(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql`
    select line from (
      select format('%s.%s %s %s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid), attacl, col_description(attrelid, attnum)) as line
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v'))
        and attnum > 0 and not attisdropped
      union all
      select format('%s %s %s %s', oid::regclass, relacl, relrowsecurity, obj_description(oid, 'pg_class'))
      from pg_class where relnamespace = 'public'::regnamespace
      union all
      select format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'public'::regnamespace
      union all
      select pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indrelid where c.relnamespace = 'public'::regnamespace
      union all
      select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = tgrelid
      where c.relnamespace = 'public'::regnamespace and not tgisinternal
      union all
      select format('%s %s %s', oid::regprocedure, proacl, prosrc) from pg_proc where pronamespace = 'public'::regnamespace
      union all
      select format('policy %s %s %s', tablename, policyname, qual) from pg_policies
      union all
      select format('schema %s %s', nspname, nspacl) from pg_namespace where nspname !~ '^pg_' and nspname <> 'supabase_migrations'
      union all
      select format('job %s %s', jobname, command) from cron.job
      union all
      select format('secret %s', name) from vault.secrets
    ) everything order by line`;
  return rows.map(({ line }) => line);
}

/** All of the app's rows. */
async function appRows(sql: postgres.Sql): Promise<Record<string, Row[]>> {
  const rows: Record<string, Row[]> = {};
  for (const table of APP_TABLES) {
    rows[table] = [
      ...await sql.unsafe(
        `select * from public.${table} t order by to_jsonb(t)::text`,
      ),
    ];
  }
  return rows;
}

/** An app that has grown: with rights, a policy, comments, a job and a secret of its own. */
async function makeGrownApp(sql: postgres.Sql): Promise<void> {
  await sql`delete from vault.secrets`;
  await makeApp(sql);
  await sql`create extension if not exists pg_net with schema extensions`;
  await sql`create extension if not exists pg_cron with schema pg_catalog`;
  await sql`select cron.schedule('app-report', '0 4 * * *', 'select 1')`;
  await sql`select vault.create_secret('x', 'app_key')`;
  await sql`grant select on public.canonical_events to anon, authenticated`;
  await sql`create policy everybody on public.canonical_events for select using (true)`;
  await sql`comment on column public.users.email is 'Of the profile.'`;
  await sql`create view public.app_view as select id, title from public.canonical_events`;
  await sql`create index app_index on public.event_rsvps (status)`;
  await sql`
    insert into public.calendars (name, url, type) values
      ('Zo House Bangalore', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-ZVonmjVxLk7F2oM', 'luma'),
      ('Zo Events', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-3YNnBTToy9fnnjQ', 'luma'),
      ('Others', 'https://example.com/a.ics', 'ical')`;
  await sql`insert into public.event_cultures (slug, name) values ('default', 'Other')`;
  await sql`insert into public.users (id, email, phone) select 'u' || n, 'u' || n || '@example.com', n::text from generate_series(1, 20) n`;
  await sql`
    insert into public.canonical_events (canonical_uid, title, starts_at, source_type, submission_status)
    select n::text, 'Event ' || n, now() + n * interval '1 day', 'community', 'approved' from generate_series(1, 20) n`;
  await sql`
    insert into public.event_rsvps (event_id, user_id, status)
    select e.id, u.id, 'going' from public.canonical_events e cross join public.users u where e.title < 'Event 3'`;
}

stackTest("the app is as it was before", async ({ sql }) => {
  await makeGrownApp(sql);
  const schema = await appSchema(sql);
  for (let round = 0; round < 2; round++) {
    const rows = await appRows(sql);
    await applyMigrations(sql, ROOT);
    await sql`select vault.create_secret('x', name) from unnest('{luma_functions_url,luma_sync_secret}'::text[]) name`;
    await sql`update luma.settings set scheduled_pulls = false`;
    await sql`select luma.set_mode('dry_run')`;
    await sql`select luma.sweep(), luma.clean_up()`;
    const { said } = await one(sql`select luma.uninstall() as said`);
    assertMatch(
      said,
      new RegExp(`^Removed, with ${migrationNames().length} entries`),
    );
    assertEquals(await appSchema(sql), schema);
    assertEquals(await appRows(sql), rows);
    assertEquals(
      (await sql`select from supabase_migrations.schema_migrations`).length,
      0,
    );
    // The app writes as ever.
    await sql`update public.event_rsvps set status = 'cancelled' where user_id = 'u1'`;
    await sql`update public.canonical_events set title = title || '.'`;
    await sql`delete from public.users where id = ${`u${20 - round}`}`;
    await sql`insert into public.event_rsvps (event_id, user_id) select id, 'u1' from public.canonical_events on conflict do nothing`;
  }
  // A third time it is a new installation.
  await applyMigrations(sql, ROOT);
  const { kept } = await one(
    sql`select luma.uninstall(keep_columns => true) as kept`,
  );
  assertMatch(kept, /^Removed/);
  const columns = await sql`
    select column_name from information_schema.columns
    where table_schema = 'public' and column_name in ('luma_key', 'luma_guest_id', 'visibility') order by 1`;
  assertEquals(columns.map((column) => column.column_name), [
    "luma_guest_id",
    "luma_key",
    "visibility",
  ]);
  await applyMigrations(sql, ROOT);
  await sql`select luma.set_mode('dry_run')`;
}, BARE);

lumaTest(
  "after a life with Luma the rows stay, and a new installation finds the events again",
  async (stack) => {
    const { sql, simulator } = stack;
    await sql`update public.calendars set is_active = true where luma_key = 'blr'`;
    await insertUsers(stack, 3);
    const id = await insertEvent(stack);
    await rsvp(stack, id, "u1", "going");
    const hosted = hostEvent(stack);
    simulator.guest.register(hosted.id, {
      name: "User 2",
      email: "u2@example.com",
    });
    await settle(stack);
    await pullAll(stack);
    await settle(stack);
    const isActive = async () =>
      (await one(
        sql`select is_active from public.calendars where name = 'Zo House Bangalore'`,
      )).is_active;
    assertEquals(await isActive(), false);

    await assertRejects(
      () => sql`select luma.uninstall()`,
      Error,
      "the mode is live",
    )
      .then((error) =>
        assertMatch(
          (error as { hint?: string }).hint ?? "",
          /set_mode\('off'\)/,
        )
      );
    await assertRejects(
      () => sql`select luma.uninstall(confirm => 'yes')`,
      Error,
      "the mode is live",
    );
    const events = () =>
      sql`select id, title, luma_event_id, external_rsvp_url, source_type from public.canonical_events order by id`;
    const rsvps = () =>
      sql`select event_id, user_id, status from public.event_rsvps order by id`;
    const before = [[...await events()], [...await rsvps()]];
    assert(before[1]!.length === 2);
    await sql`select luma.uninstall(confirm => 'remove luma while it is live')`;
    assertEquals([[...await events()], [...await rsvps()]], before);
    assertEquals(await isActive(), true);
    await rsvp(stack, id, "u3", "going");

    await applyMigrations(sql, ROOT);
    await sql`select vault.create_secret(${stack.functionsUrl}, 'luma_functions_url'), vault.create_secret(${stack.syncSecret}, 'luma_sync_secret')`;
    await sql`notify pgrst, 'reload schema'`;
    await sql`update luma.settings set scheduled_pulls = false`;
    await sql`select luma.set_mode('live')`;
    await pullAll(stack);
    await settle(stack);
    assertEquals([...await events()], before[0]);
    assertEquals(simulator.events().length, 2);
    const guests = simulator.event(String(
      before[0]!.find((event) => event.id === id)!.luma_event_id,
    ))!.guests;
    assertEquals(
      guests.map((guest) => guest.user_email).sort(),
      ["u1@example.com", "u3@example.com"],
    );
  },
);

stackTest(
  "what others have built on it is named, and nothing is removed",
  async ({ sql }) => {
    await sql`select luma.set_mode('off')`;
    const whole = await takeSnapshot(sql);
    await sql`create view public.report as select mode from luma.settings`;
    await sql`create view public.links as select luma_guest_id from public.event_rsvps`;
    await sql`create function public.app_mode() returns text language sql begin atomic select luma.mode(); end`;
    await sql`create table public.kept (state luma.settings)`;
    const error = await assertRejects(
      () => sql`select luma.uninstall()`,
      Error,
    );
    for (
      const name of [
        "public.report",
        "public.links",
        "public.app_mode()",
        "public.kept",
      ]
    ) {
      assert(error.message.includes(name), error.message);
    }
    assertEquals(error.message.split(", ").length, 4, error.message);
    await sql`drop function public.app_mode()`;
    await sql`drop view public.report`;
    await sql`drop table public.kept`;
    assertMatch(
      (await assertRejects(() => sql`select luma.uninstall()`, Error)).message,
      /: rule "?_RETURN"? on public.links$/,
    );
    await sql`drop view public.links`;
    assertEquals(await takeSnapshot(sql), whole);
    await sql`create view public.own as select id, title, current_rsvp_count from public.canonical_events`;
    await sql`select luma.set_mode('off')`;
    await sql`select luma.uninstall()`;
  },
  { ...BARE, migrate: true },
);

stackTest(
  "against a transaction of the app's it gives up at once, and whole",
  async ({ sql }) => {
    await sql`select luma.set_mode('off')`;
    await insertUsers({ sql }, 1);
    const whole = await takeSnapshot(sql);
    const writes = [
      (app: postgres.ReservedSql) => app`update public.users set name = 'x'`,
      (app: postgres.ReservedSql) =>
        app`update public.calendars set updated_at = now()`,
      (app: postgres.ReservedSql) =>
        app`select from luma.sync_outbox for update`,
      (app: postgres.ReservedSql) => app`select from luma.covers`,
    ];
    for (const write of writes) {
      const app = await sql.reserve();
      await app`begin`;
      await write(app);
      const started = performance.now();
      const error = await assertRejects(
        () => sql`select luma.uninstall()`,
        Error,
        "nothing was removed",
      );
      assertMatch((error as { hint?: string }).hint ?? "", /Run it again/);
      assertLess(performance.now() - started, 3000);
      await app`commit`;
      app.release();
      assertEquals(await takeSnapshot(sql), whole);
    }
    await sql`select luma.uninstall()`;
  },
  { ...BARE, migrate: true },
);

stackTest(
  "while the app writes, no write fails or waits for more than a moment",
  async ({ sql }) => {
    await sql`select luma.set_mode('off')`;
    await fillApp(sql);
    const written = await whileWriting(sql, async () => {
      for (let tries = 1;; tries++) {
        try {
          await sql`select luma.uninstall()`;
          return;
        } catch (error) {
          if (tries === 50 || !String(error).includes("nothing was removed")) {
            throw error;
          }
        }
      }
    });
    console.log(
      `      ${written.writes} writes, the slowest ${
        Math.round(written.slowestMs)
      } ms`,
    );
    assertEquals(written.errors, []);
    assertLess(written.slowestMs, 2000);
    assertEquals(
      (await sql`select from pg_namespace where nspname = 'luma'`).length,
      0,
    );
  },
  { ...BARE, migrate: true },
);
