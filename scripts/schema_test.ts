import {
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { takeSnapshot } from "./schema/snapshot.ts";
import { startStack } from "./stack/mod.ts";

const DATABASE_ALONE = {
  ...{ seed: false, functions: false, dataApi: false, simulator: false },
  ...{ cron: false, net: false },
};

Deno.test("the committed snapshot is what the migrations make", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      new URL("./schema.ts", import.meta.url).pathname,
      "--check",
    ],
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 0, decoder.decode(stderr));
  assertStringIncludes(decoder.decode(stdout), "up to date");
});

Deno.test("every kind of change shows in the snapshot", async () => {
  await using stack = await startStack(DATABASE_ALONE);
  const { sql } = stack;
  let before = await takeSnapshot(sql);
  assertEquals(await takeSnapshot(sql), before);
  for (
    const change of [
      "alter table luma.settings add column more text",
      "comment on column luma.settings.more is 'More.'",
      "alter table luma.settings alter column more set default 'x'",
      "alter table luma.settings add check (more <> 'y')",
      "create index on luma.settings (more)",
      "alter table luma.settings disable row level security",
      "grant select on luma.settings to anon",
      "grant usage on schema luma to authenticated",
      "create trigger extra before update on luma.settings for each row execute function luma.keep_updated_at()",
      "create or replace function luma.mode() returns text language sql stable set search_path = '' as 'select ''off'''",
      "grant execute on function luma.mode() to public",
      "revoke execute on function public.luma_drain_start(text[]) from service_role",
      "create or replace view luma.extra as select 1 as one",
      "comment on view luma.extra is 'Extra.'",
      "comment on schema luma is 'Another.'",
      "create function public.luma_extra() returns int language sql as 'select 1'",
      "drop trigger zz_luma_user_deleted on public.users",
      "alter table public.calendars alter column luma_key set default 'x'",
      "alter table public.calendars drop constraint calendars_luma_key_key",
      "drop index public.users_phone_tail",
      "select cron.unschedule('luma-sweep')",
    ]
  ) {
    await sql.unsafe(change);
    const after = await takeSnapshot(sql);
    assertNotEquals(after, before, change);
    before = after;
  }
});
