/**
 * Both sides act at random while webhooks are lost, functions are down and the database crashes. Then all of it is up
 * again, and one pull makes the two equal: nothing doubled, nothing lost, every overwritten value explained.
 */
import { assert, assertEquals } from "@std/assert";
import { guestStatus } from "../../scripts/chaos/values.ts";
import { seededRandom } from "../../scripts/luma-simulator/ids.ts";
import { manyCalls } from "./linked_events.ts";
import { hostEvent, lumaTest, settle } from "./luma_side.ts";
import {
  drain,
  type EventRow,
  insertEvent,
  insertUsers,
  one,
  pull,
  restartPostgres,
  rsvp,
  type Stack,
  until,
} from "./testing.ts";

const USERS = 5;

/** Fields that both sides edit: Luma's name, the app's column. */
const FIELDS = [["name", "title"], ["description_md", "description"], [
  "meeting_url",
  "meeting_url",
]] as const;

/** Who wrote what last, since both sides were last known to agree. */
interface Written {
  app?: unknown;
  luma?: unknown;
}

class History {
  readonly #random: () => number;
  readonly written = new Map<string, Written>();
  readonly log: string[] = [];
  #made = 0;

  constructor(readonly stack: Stack, seed: number) {
    this.#random = seededRandom(seed);
  }

  pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)]!;
  }

  /** So many acts, each by a side of these. */
  async act(count: number, sides: readonly ("app" | "luma")[]): Promise<void> {
    for (let n = 0; n < count; n++) {
      await (this.pick(sides) === "app" ? this.#app() : this.#luma());
    }
  }

  /** `before`: what this side said until now. If that is what the other one wrote, it has arrived. */
  #note(side: "app" | "luma", key: string, value: unknown, before: unknown) {
    this.log.push(`${side} ${key} ${value}`);
    const other = side === "app" ? "luma" : "app";
    const written = this.written.get(key) ?? {};
    if (before === written[other]) delete written[other];
    this.written.set(key, { ...written, [side]: value });
  }

  /** Events that both sides have, and the app has not ended. */
  async #events(): Promise<EventRow[]> {
    return [
      ...await this.stack.sql`
      select e.id, e.luma_event_id, e.source_type, e.title, e.description, e.meeting_url from public.canonical_events e
      join luma.event_links l on l.event_id = e.id and l.luma_event_id is not null
      where e.submission_status = 'approved' order by e.canonical_uid, e.title, e.id`,
    ].filter(({ luma_event_id }) => this.stack.simulator.event(luma_event_id));
  }

  async #app(): Promise<void> {
    const { stack } = this;
    const { sql } = stack;
    const what = this.pick(["edit", "edit", "rsvp", "rsvp", "rsvp", "create"]);
    const event = this.pick(await this.#events());
    if (what === "create" || !event) {
      await insertEvent(stack, { title: `App event ${++this.#made}` });
    } else if (what === "edit") {
      const [, column] = this.pick(FIELDS);
      const value = this.#text(column);
      this.#note(
        "app",
        `${event.luma_event_id} ${column}`,
        value,
        event[column],
      );
      await sql`update public.canonical_events set ${
        sql({ [column]: value })
      } where id = ${String(event.id)}`;
    } else {
      const user = `u${1 + Math.floor(this.#random() * USERS)}`;
      const status = this.pick([
        "going",
        "not_going",
        "waitlist",
        "interested",
      ]);
      const [row] = await sql`
        select status from public.event_rsvps where event_id = ${
        String(event.id)
      } and user_id = ${user}`;
      this.#note(
        "app",
        `${event.luma_event_id} ${user}`,
        guestStatus(status),
        row && guestStatus(row.status),
      );
      await rsvp(stack, String(event.id), user, status);
    }
  }

  async #luma(): Promise<void> {
    const { stack } = this;
    const { simulator } = stack;
    const what = this.pick(
      ["edit", "edit", "register", "cancel", "approve", "create", "private"],
    );
    const known = this.pick(await this.#events());
    const event = known && simulator.event(String(known.luma_event_id));
    if (what === "create" || !event) {
      hostEvent(stack, { name: `Luma event ${++this.#made}` });
      return;
    }
    const guest = event.guests.length > 0 ? this.pick(event.guests) : undefined;
    if (what === "edit") {
      const [field, column] = this.pick(FIELDS);
      const value = this.#text(column);
      this.#note("luma", `${event.id} ${column}`, value, event[field]);
      simulator.host.updateEvent(event.id, { [field]: value });
    } else if (what === "private" && known!.source_type === "luma") {
      simulator.host.makePrivate(event.id);
    } else if (what === "register") {
      const user = this.pick(["u1", "u2", "u3", "u4", "u5", "x1", "x2"]);
      const email = `${user}@example.com`;
      if (event.guests.some(({ user_email }) => user_email === email)) return;
      this.#note("luma", `${event.id} ${user}`, "approved", undefined);
      simulator.guest.register(event.id, { name: user, email });
    } else if (guest) {
      const status = what === "cancel" ? "declined" : "approved";
      this.#note(
        "luma",
        `${event.id} ${guest.user_email.split("@")[0]}`,
        status,
        guest.approval_status,
      );
      simulator.host.setGuestStatus(event.id, guest.user_email, status);
    }
  }

  #text(column: string): string {
    const text = `Text ${++this.#made}`;
    return column === "meeting_url"
      ? `https://meet.example/${this.#made}`
      : text;
  }
}

/** What each side says of every event, by Luma's id, and of every guest. */
async function sides({ sql, simulator }: Stack) {
  const rows = await sql`
    select e.*, (
      select jsonb_object_agg(lower(u.email), luma.guest_status(r.status))
      from public.event_rsvps r join public.users u on u.id = r.user_id where r.event_id = e.id
    ) as rsvps, (
      select jsonb_object_agg(x.email, x.status) from luma.external_guests x where x.event_id = e.id
    ) as externals
    from public.canonical_events e where e.luma_event_id is not null`;
  const app = Object.fromEntries(
    rows.filter((row) => row.submission_status === "approved").map((row) => [
      row.luma_event_id,
      {
        name: row.title,
        description: row.description ?? "",
        meeting_url: row.meeting_url,
        visibility: row.visibility,
        guests: sorted({ ...row.rsvps, ...row.externals }),
      },
    ]),
  );
  const luma = Object.fromEntries(
    simulator.events().map((event) => [event.id, {
      name: event.name,
      description: event.description_md,
      meeting_url: event.meeting_url,
      visibility: event.visibility,
      guests: sorted(Object.fromEntries(
        event.guests.map((
          { user_email, approval_status },
        ) => [user_email, approval_status]),
      )),
    }]),
  );
  return { app, luma };
}

/** Who has declined need not be on Luma. */
function sorted(guests: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(guests).filter(([, status]) => status !== "declined").sort(),
  );
}

/**
 * Where both sides agree by now, a value that one of them wrote and that is not there has to be a conflict: what was
 * overwritten unseen. Then that is history.
 */
async function assertExplained(stack: Stack, history: History): Promise<void> {
  const { sql, simulator } = stack;
  // First the values, then the conflicts: a drain that the bell has started may write both in between.
  const { app: rows } = await sides(stack);
  const noted = await sql`
    select distinct l.luma_event_id, c.field, r.user_id
    from luma.conflicts c join luma.event_links l on l.event_id = c.event_id
    left join public.event_rsvps r on r.id = c.entity_id`;
  const conflicting = new Set(noted.map(({ luma_event_id, field, user_id }) => {
    const column = FIELDS.find(([name]) => name === field)?.[1];
    return `${luma_event_id} ${user_id ?? column}`;
  }));
  for (const [key, { app, luma }] of [...history.written]) {
    const [lumaId, what] = key.split(" ") as [string, string];
    const event = simulator.event(lumaId);
    const row = rows[lumaId];
    if (!event || !row) continue;
    const field = FIELDS.find(([, column]) => column === what)?.[0];
    const guest = `${what}@example.com`;
    const there = field
      ? event[field]
      : event.guests.find(({ user_email }) => user_email === guest)
        ?.approval_status ?? "declined";
    const here = field
      ? {
        name: row.name,
        description_md: row.description,
        meeting_url: row.meeting_url,
      }[field]
      : row.guests[guest] ?? "declined";
    if (here !== there) continue;
    const lost = [app, luma].filter((value) =>
      value !== undefined && value !== there
    );
    assert(
      lost.length === 0 || conflicting.has(key),
      `${key}: "${
        lost.join(", ")
      }" was overwritten by "${there}", and no conflict was noted.\n${
        history.log.filter((line) => line.includes(key)).join("\n")
      }`,
    );
    history.written.delete(key);
  }
}

/** Waits until no function works any more. */
async function restOf({ sql }: Stack): Promise<void> {
  await until("no run is under way", async () => {
    const runs = await sql`
      select from luma.drain_runs where ended_at is null and alive_until > now()
      union all select from luma.pull_runs where ended_at is null`;
    return runs.length === 0;
  });
}

for (const seed of [1, 2, 3]) {
  lumaTest(
    `after lost webhooks, functions that were down and a crash of the database, one pull makes both sides equal (history ${seed})`,
    async (stack) => {
      const { sql, simulator, functions } = stack;
      await manyCalls(stack);
      await insertUsers(stack, USERS);
      const history = new History(stack, seed);
      for (let n = 0; n < 2; n++) {
        await insertEvent(stack, { title: `App event ${n}` });
        hostEvent(stack, { name: `Luma event ${n}` });
      }
      await settle(stack);
      await history.act(10, ["app", "luma"]);
      await settle(stack);
      await pull(stack);
      history.written.clear();
      await sql`truncate luma.conflicts`;
      simulator.clearRequests();

      // Webhooks are lost. Two pulls notice that something comes unheard; from then on Luma is read first.
      const lost = simulator.faults.add({ on: "webhook", drop: true });
      await history.act(4, ["luma"]);
      await pull(stack);
      // A minute passes.
      for (const table of ["event_links", "guests"]) {
        await sql`
          update ${sql(`luma.${table}`)}
          set pulled_at = pulled_at - interval '1 minute', heard_at = heard_at - interval '1 minute'
          where pulled_at is not null`;
      }
      await pull(stack);
      await assertExplained(stack, history);
      for (let n = 0; n < 3; n++) {
        await restOf(stack);
        // Luma's update takes no condition: what a host writes in the milliseconds between our reading and our update
        // is overwritten, and with its webhook lost nobody can know. So nobody acts while a run is under way.
        stack.net.pause();
        await history.act(5, ["app", "luma"]);
        stack.net.resume();
        await drain(stack);
        await restOf(stack);
        await assertExplained(stack, history);
      }
      // The functions are down, in the middle of what they do.
      stack.net.pause();
      const hang = simulator.faults.add({
        path: "/v1/*",
        hang: true,
        when: "after",
      });
      await history.act(2, ["app"]);
      const drained = drain(stack).catch(() => {});
      await history.act(6, ["app", "luma"]);
      await functions.kill("luma-drain");
      await drained;
      hang.remove();
      await history.act(6, ["app", "luma"]);
      // So is the database.
      await stack.stopPostgres("SIGQUIT");
      const [event] = simulator.events();
      simulator.host.updateEvent(event!.id, { name: "While nobody listened" });
      history.written.set(`${event!.id} title`, {
        ...history.written.get(`${event!.id} title`),
        luma: "While nobody listened",
      });
      await restartPostgres(stack);
      await history.act(4, ["app", "luma"]);

      // All is up again.
      lost.remove();
      stack.net.resume();
      await sql`update luma.pull_runs set alive_until = now() where lease is not null`;
      await sql`update luma.sync_outbox set due_at = now() where lease is not null`;
      await pull(stack);
      await settle(stack);
      const { app, luma } = await sides(stack);
      assertEquals(app, luma);
      assertEquals([...await sql`select * from luma.dead_letters`], []);
      const { doubled } = await one(sql`
        select count(*) - count(distinct luma_event_id) as doubled from public.canonical_events where luma_event_id is not null`);
      assertEquals(Number(doubled), 0);
      const { lost: unsent } = await one(sql`
        select count(*) as lost from public.canonical_events
        where submission_status = 'approved' and luma_event_id is null`);
      assertEquals(Number(unsent), 0);
      await assertExplained(stack, history);

      // At rest: a second pull finds nothing, and nothing is sent.
      simulator.clearRequests();
      await pull(stack);
      await settle(stack);
      assertEquals(
        simulator.requests.filter(({ method }) => method === "POST"),
        [],
      );
      const found = await sql`
        select inserted + updated as found from luma.pulls order by requested_at desc limit 2`;
      assertEquals(found.map(({ found }) => found), [0, 0]);
    },
    { net: true, simulator: { rateLimitPerMinute: 10_000 } },
  );
}
