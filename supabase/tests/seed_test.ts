import { assertEquals } from "@std/assert";
import { applySeed } from "../../scripts/stack/database.ts";
import { type Stack, startStack } from "../../scripts/stack/mod.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

function startSeeded(): Promise<Stack> {
  return startStack({
    functions: false,
    dataApi: false,
    simulator: false,
    cron: false,
    net: false,
  });
}

/** Every row that the seed may touch, as text. */
async function contents(sql: Stack["sql"]): Promise<string> {
  const [row] = await sql<{ contents: string }[]>`
    select jsonb_build_object(
      'cultures', (select jsonb_agg(t order by slug) from event_cultures t),
      'calendars', (select jsonb_agg(t order by url) from calendars t),
      'users', (select jsonb_agg(t order by id) from users t),
      'events', (select jsonb_agg(t order by canonical_uid) from canonical_events t),
      'rsvps', (select jsonb_agg(t order by id) from event_rsvps t),
      'outbox', (select jsonb_agg(t order by entity_id) from luma.sync_outbox t)
    )::text as contents`;
  return row?.contents ?? "";
}

Deno.test("the seed can be repeated and changes no row that is there", async () => {
  await using stack = await startSeeded();
  const { sql } = stack;
  await sql`update users set name = 'Renamed' where id = 'seed-asha'`;
  await sql`update canonical_events set title = 'Mine now' where canonical_uid = 'community-seed-asha-1'`;
  const before = await contents(sql);
  await applySeed(sql, ROOT);
  assertEquals(await contents(sql), before);
});

Deno.test("the seed has what there is to play with, and sends nothing", async () => {
  await using stack = await startSeeded();
  const { sql } = stack;
  const [counts] = await sql`
    select (select count(*)::int from event_cultures) as cultures,
      (select count(*)::int from calendars) as calendars,
      (select count(*)::int from calendars where luma_key is not null and not is_active) as pushed_calendars,
      (select count(*)::int from users where email is null) as users_without_email,
      (select count(*)::int from canonical_events where starts_at < now()) as past_events,
      (select count(*)::int from canonical_events where ends_at <= starts_at) as backward_events,
      (select count(*)::int from net.http_request_queue) as requests,
      luma.mode() as mode`;
  assertEquals({ ...counts }, {
    cultures: 19,
    calendars: 4,
    pushed_calendars: 2,
    users_without_email: 1,
    past_events: 0,
    backward_events: 0,
    requests: 0,
    mode: "off",
  });
  const events = await sql`
    select submission_status as status, luma.route_event(lat, lng) as calendar, location_type = 'online' as online,
      is_ticketed as ticketed, count(*)::int as events
    from canonical_events group by 1, 2, 3, 4 order by 1, 2, 3, 4`;
  assertEquals(events.map((row) => Object.values(row).join(" ")), [
    "approved blr false false 1",
    "approved blr false true 1",
    "approved zo_events false false 1",
    "approved zo_events true false 1",
    "draft blr false false 1",
    "pending blr false false 1",
  ]);
  const [{ hosts } = { hosts: 0 }] = await sql`
    select count(*)::int as hosts from event_rsvps r
    join canonical_events e on e.id = r.event_id and e.host_id = r.user_id
    where r.rsvp_type = 'host' and r.status = 'going'`;
  assertEquals(hosts, 6);
});
