/** What setup says in the end: how the project is, and in dry_run what going live would do. */
import type postgres from "postgres";
import { table } from "../admin/text.ts";
import type { Scene } from "./scene.ts";
import { readMode } from "./step_mode.ts";

const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 500;
const SHOWN = 10;

/** Prints it. Waits for what dry_run is still finding out. */
export async function report(scene: Scene): Promise<void> {
  const { sql, world } = scene;
  const mode = await readMode(sql);
  if (mode === "live") {
    world.out(
      "The project is live, and stays so. How it is: deno task status, deno task doctor",
    );
    return;
  }
  const isSettled = await settle(scene);
  await showSends(sql, world.out);
  await showDrift(sql, world.out);
  const [health] = await sql`select problem from luma.health`;
  if (health?.problem) world.out(`\nA problem: ${health.problem}`);
  if (!isSettled) {
    world.out(
      "\nIt is still looking. Run deno task setup again for the whole report; if that stays so: deno task doctor",
    );
  }
  world.out(
    `\nThe mode is ${mode}: nothing was sent. To go live, in the SQL editor:\n  select luma.set_mode('live');\nWhether all is well, then and at any time: deno task doctor`,
  );
}

/** Until the drain has logged everything and the pulls have compared everything; false when that takes too long. */
async function settle({ sql, world }: Scene): Promise<boolean> {
  for (let waited = 0; waited <= PATIENCE_MS; waited += LOOK_EVERY_MS) {
    const [left] = await sql`
      select (select count(*) from luma.due_jobs) + (select count(*) from luma.pull_runs where ended_at is null) as count`;
    if (Number(left?.count) === 0) return true;
    await world.sleep(LOOK_EVERY_MS);
  }
  return false;
}

type Out = (text: string) => void;

async function showSends(sql: postgres.Sql, out: Out): Promise<void> {
  const rows = await sql`
    select distinct on (a.entity, a.entity_id) a.entity, a.entity_id, a.calendar, a.calls,
      coalesce(e.title, 'event ' || a.entity_id) as title
    from luma.attempts a
    join luma.sync_outbox o on o.entity = a.entity and o.entity_id = a.entity_id
    left join public.canonical_events e on e.id = o.event_id
    where a.outcome = 'dry_run' and o.version > o.done_version
    order by a.entity, a.entity_id, a.id desc`;
  if (rows.length === 0) return out("\nGoing live would send nothing.");
  const events = rows.filter(({ entity }) => entity === "event");
  // RSVPs of an event that Luma does not have wait for it, and are in no attempt yet.
  const [held] = await sql`
    select count(*)::int as count from luma.rsvp_status
    where status = 'held' and event_id = any (${
    events.map(({ entity_id }) => entity_id)
  })`;
  const rsvps = rows.length - events.length;
  out(
    `\nGoing live would send ${events.length} events, then their ${held?.count} RSVPs, and ${rsvps} other RSVPs (luma.attempts, outcome dry_run):`,
  );
  out(table(
    ["what", "title", "calendar", "calls"],
    rows.slice(0, SHOWN).map(({ entity, title, calendar, calls }) => [
      entity,
      title,
      calendar,
      (calls as { route: string }[])
        .map(({ route }) => route.replace(/^\w+ \/v\d\//, "")).join(", "),
    ]),
    60,
  ));
  if (rows.length > SHOWN) out(`… and ${rows.length - SHOWN} more`);
}

async function showDrift(sql: postgres.Sql, out: Out): Promise<void> {
  const rows = await sql`
    select entity, ahead, action, count(distinct coalesce(event_id::text, luma_event_id))::int as events, count(*)::int as lines
    from luma.drift group by entity, ahead, action order by lines desc`;
  if (rows.length === 0) {
    return out("\nOn Luma is nothing that the app does not have (luma.drift).");
  }
  out("\nWhat differs between the two sides (luma.drift):");
  out(table(
    ["what", "ahead", "what would be done", "events", "differences"],
    rows.map((
      row,
    ) => [row.entity, row.ahead, row.action, row.events, row.lines]),
    70,
  ));
}
