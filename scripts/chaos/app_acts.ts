/** What the app does: transactions of its own, each timed, none of which may fail. */
import type postgres from "postgres";
import type { AppAct } from "./acts.ts";
import { mayWrite } from "./may_write.ts";
import { dayFromNow, guestStatus, rowValue, valueOf } from "./values.ts";
import { type KnownEvent, mark, type World } from "./world.ts";

/** Longer than any lock of ours is held, with a busy machine's leisure. */
export const APP_BOUND_MS = 5_000;

const PLACES = [{ lat: 12.9716, lng: 77.5946 }, {
  lat: 48.8566,
  lng: 2.3522,
}] as const;

export async function actInApp(world: World, act: AppAct): Promise<void> {
  if (act.do === "create") return await create(world, act);
  if (act.do === "together") {
    await Promise.all(act.acts.map((act) => actInApp(world, act)));
    return;
  }
  const event = await world.event(act.event);
  if (event?.id === undefined) {
    world.skipped++;
    return;
  }
  const known = { ...event, id: event.id };
  switch (act.do) {
    case "edit":
      return await edit(world, known, act);
    case "rsvp":
      return await rsvp(world, known, act.event, act.user, act.status);
    case "unrsvp":
      return await rsvp(world, known, act.event, act.user, null);
    case "status":
      return await setStatus(world, event, known.id, act);
    case "delete":
      return await remove(world, event, known.id, act.event);
    case "culture":
      return await transact(
        world,
        "culture",
        (sql) =>
          sql`update public.canonical_events set culture = ${act.culture} where id = ${known.id} and source_type = 'community'`,
      );
    case "price":
      return await transact(
        world,
        "price",
        (sql) =>
          sql`update public.canonical_events set ticket_price = ${
            100 + act.n
          } where id = ${known.id} and is_ticketed`,
      );
  }
}

type Known = KnownEvent & { id: string };

/** A transaction of the app's. */
async function transact(
  world: World,
  what: string,
  work: (sql: postgres.TransactionSql) => PromiseLike<unknown>,
): Promise<void> {
  const started = performance.now();
  try {
    await world.stack.sql.begin(async (sql) => {
      await work(sql);
    });
  } catch (error) {
    world.appTrouble.push(
      `${what} failed: ${error instanceof Error ? error.message : error}`,
    );
  }
  const ms = Math.round(performance.now() - started);
  world.appTransactions++;
  world.slowestAppMs = Math.max(world.slowestAppMs, ms);
  if (ms > APP_BOUND_MS) world.appTrouble.push(`${what} took ${ms} ms`);
}

async function create(
  world: World,
  act: Extract<AppAct, { do: "create" }>,
): Promise<void> {
  const id = world.newId();
  const start = new Date(dayFromNow(7));
  const row = {
    id,
    canonical_uid: `community-${id}`,
    title: valueOf("title", act.event),
    description: valueOf("description", act.event),
    meeting_url: valueOf("meeting_url", act.event),
    starts_at: start,
    ends_at: valueOf("ends_at", act.event),
    tz: "Asia/Kolkata",
    ...PLACES[act.event % 2]!,
    location_raw: "12 MG Road",
    source_type: "community",
    submission_status: "approved",
    culture: act.culture ?? "default",
    is_ticketed: act.priced,
    ticket_price: act.priced ? 100 : null,
  };
  await transact(world, "create", async (sql) => {
    await sql`insert into public.canonical_events ${sql(row)}`;
    if (act.going) {
      await sql`insert into public.event_rsvps (event_id, user_id, status) values (${id}, ${act.going}, 'going')`;
    }
  });
  world.events.set(act.event, { id });
  if (act.going) {
    world.ledger.note(
      "app",
      `${act.event} ${act.going}`,
      "approved",
      "declined",
    );
  }
  for (
    const field of ["title", "description", "meeting_url", "ends_at"] as const
  ) {
    world.ledger.note(
      "app",
      `${act.event} ${field}`,
      valueOf(field, act.event),
      undefined,
    );
  }
}

async function edit(
  world: World,
  event: Known,
  { event: number, field, n }: Extract<AppAct, { do: "edit" }>,
) {
  const key = `${number} ${field}`;
  if (!await mayWrite(world, "app", event, key)) return;
  const value = valueOf(field, n);
  await transact(world, "edit", async (sql) => {
    const [row] =
      await sql`select * from public.canonical_events where id = ${event.id} for update`;
    await sql`update public.canonical_events set ${
      sql({ [field]: value })
    } where id = ${event.id}`;
    // While the row is locked: of two edits at once the second one is the last word, whoever hears of its commit first.
    world.ledger.note("app", key, value, row && rowValue(row, field));
  });
}

/** One row a user and event; null deletes it. */
async function rsvp(
  world: World,
  event: Known,
  number: number,
  user: string,
  status: string | null,
) {
  const key = `${number} ${user}`;
  if (!await mayWrite(world, "app", event, key)) return;
  await transact(world, "rsvp", async (sql) => {
    // Of two who insert at once the second one waits here, and then sees what the first one has said.
    const inserted = status !== null && (await sql`
      insert into public.event_rsvps (event_id, user_id, status) values (${event.id}, ${user}, ${status})
      on conflict (event_id, user_id) do nothing`).count > 0;
    let before: string | undefined;
    if (!inserted) {
      const [row] = await sql`
        select status from public.event_rsvps where event_id = ${event.id} and user_id = ${user} for update`;
      before = row?.status;
      await (status === null
        ? sql`delete from public.event_rsvps where event_id = ${event.id} and user_id = ${user}`
        : sql`
          insert into public.event_rsvps (event_id, user_id, status) values (${event.id}, ${user}, ${status})
          on conflict (event_id, user_id) do update set status = excluded.status`);
    }
    const said = guestStatus(status ?? undefined);
    if (before === undefined && said === guestStatus(before)) {
      world.ledger.allow(key, said);
    }
    // While the row is locked, as above.
    world.ledger.note("app", key, said, guestStatus(before));
  });
}

async function setStatus(
  world: World,
  event: KnownEvent,
  id: string,
  act: Extract<AppAct, { do: "status" }>,
) {
  await transact(
    world,
    "status",
    (sql) =>
      sql`update public.canonical_events set submission_status = ${act.status} where id = ${id}`,
  );
  // What is cancelled on Luma stays so.
  if (act.status === "cancelled" && world.config.cancelOnLuma) {
    end(world, event, act.event);
  }
}

async function remove(
  world: World,
  event: KnownEvent,
  id: string,
  number: number,
): Promise<void> {
  if (!isOurs(world, id)) {
    world.skipped++;
    return;
  }
  await transact(
    world,
    "delete",
    (sql) => sql`delete from public.canonical_events where id = ${id}`,
  );
  end(world, event, number);
}

function isOurs(world: World, id: string): boolean {
  // A host's event has a slug of its own.
  return [...world.events.values()].some((event) =>
    event.id === id &&
    (event.lumaId === undefined ||
      world.stack.simulator.event(event.lumaId)?.slug.includes(mark(id)))
  );
}

export function end(world: World, event: KnownEvent, number: number): void {
  event.isOver = true;
  world.ledger.forgetEvent(number);
}

/** Before the end: what the app has cancelled and Luma still has is shown again, so that both sides are to be alike. */
export async function approveAll(world: World): Promise<void> {
  for (const event of world.events.values()) {
    if (event.isOver || event.id === undefined) continue;
    const id = event.id;
    await transact(
      world,
      "status",
      (sql) =>
        sql`update public.canonical_events set submission_status = 'approved' where id = ${id} and submission_status = 'cancelled'`,
    );
  }
}
