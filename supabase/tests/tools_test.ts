/** The real tools on the real schema: the Supabase CLI applies it, and its advisor finds nothing. */
import { assertEquals } from "@std/assert";
import { runSupabaseCli } from "../../scripts/stack/supabase_cli.ts";
import { one, type Stack, stackTest } from "./testing.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

stackTest(
  "supabase db push applies every migration to an empty project, and again nothing",
  async (stack) => {
    const push = () =>
      runSupabaseCli(["db", "push", "--db-url", stack.postgres.url, "--yes"], {
        cwd: ROOT,
      });
    const first = await push();
    assertEquals(first.code, 0, first.stderr);
    const files = [...Deno.readDirSync(`${ROOT}/supabase/migrations`)].length;
    const applied = async () =>
      (await one(
        stack
          .sql`select count(*)::int as count from supabase_migrations.schema_migrations`,
      )).count;
    assertEquals(await applied(), files);
    const second = await push();
    assertEquals(second.code, 0, second.stderr);
    assertEquals(await applied(), files);
  },
  { migrate: false, functions: false, dataApi: false, simulator: false },
);

stackTest(
  "supabase db advisors finds nothing at warning level",
  async (stack) => {
    const advice = await runSupabaseCli([
      "db",
      "advisors",
      "--db-url",
      stack.postgres.url,
      "--type",
      "all",
      "--level",
      "warn",
      "--fail-on",
      "warn",
    ], { cwd: ROOT });
    assertEquals(advice.code, 0, advice.stdout + advice.stderr);
  },
  { functions: false, dataApi: false, simulator: false },
);

/** Applies the migrations as psql would, in the order of their names. */
async function applyAll({ sql }: Pick<Stack, "sql">): Promise<void> {
  const folder = `${ROOT}/supabase/migrations`;
  const names = [...Deno.readDirSync(folder)].map((file) => file.name).sort();
  for (const name of names) {
    const text = await Deno.readTextFile(`${folder}/${name}`);
    await sql.begin((migration) => migration.unsafe(text));
  }
}

stackTest("the migrations can be applied a second time", async (stack) => {
  await applyAll(stack);
}, { functions: false, dataApi: false, simulator: false });

stackTest(
  "the app's existing database, older and with rows, ends up the same",
  async (stack) => {
    const { sql } = stack;
    await sql.unsafe(OLD_DATABASE);
    await applyAll(stack);
    const calendars =
      await sql`select name, luma_key, luma_is_default, is_active from public.calendars order by name`;
    assertEquals([...calendars], [
      {
        name: "ETHGlobal Events",
        luma_key: null,
        luma_is_default: false,
        is_active: true,
      },
      {
        name: "Zo Events",
        luma_key: "zo_events",
        luma_is_default: true,
        is_active: true,
      },
      {
        name: "Zo House Bangalore",
        luma_key: "blr",
        luma_is_default: false,
        is_active: true,
      },
    ]);
    // The app's own trigger functions are the app's.
    const { body } = await one(
      sql`select prosrc as body from pg_proc where proname = 'update_event_rsvp_count'`,
    );
    assertEquals(body.includes("the app's own version"), true);
    const event = await one(
      sql`select title, visibility, luma_sync_status from public.canonical_events`,
    );
    assertEquals(event, {
      title: "Old event",
      visibility: "public",
      luma_sync_status: null,
    });
  },
  { migrate: false, functions: false, dataApi: false, simulator: false },
);

/** As the app's tables were before their later columns came; ids of calendars are text. */
const OLD_DATABASE = `
  create table public.users (id text primary key, name text, email text, phone text);
  create table public.event_cultures (slug text primary key, name text, asset_file text);
  insert into public.event_cultures values ('default', 'Other', 'Default (2).jpg');
  create table public.calendars (
    id text primary key, name text not null, url text not null unique, is_active boolean default true,
    created_at timestamptz default now(), updated_at timestamptz default now()
  );
  insert into public.calendars (id, name, url) values
    ('1', 'Zo House Bangalore', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-ZVonmjVxLk7F2oM'),
    ('2', 'Zo House San Francisco', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-3YNnBTToy9fnnjQ'),
    ('3', 'ETHGlobal Events', 'https://api2.luma.com/ics/get?entity=calendar&id=cal-4BIGfE8WhTFQj9H');
  create table public.canonical_events (
    id uuid primary key default gen_random_uuid(), canonical_uid text not null unique, title text not null,
    description text, location_raw text, lat double precision, lng double precision,
    starts_at timestamptz not null, ends_at timestamptz, tz text default 'UTC', source_refs jsonb not null default '[]',
    raw_payload jsonb, event_version int default 1, created_at timestamptz default now(), updated_at timestamptz default now(),
    current_rsvp_count int default 0
  );
  insert into public.canonical_events (canonical_uid, title, starts_at) values ('abc', 'Old event', now());
  create function public.update_event_rsvp_count() returns trigger language plpgsql as $$
  begin /* the app's own version */ return null; end $$;
`;
