/** Both sides edit at random for a while: the work stays in proportion to the edits, and ends with them. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../scripts/luma-simulator/ids.ts";
import { hostEvent, lumaTest, settle } from "./luma_side.ts";
import { insertEvent, insertUsers, one, type Stack, until } from "./testing.ts";

const SEED = Number(Deno.env.get("PING_PONG_SEED") ?? 1);
const SECONDS = 60;
const PAUSE_MS = 100;
const GUEST_STATUSES = [
  "approved",
  "pending_approval",
  "waitlist",
  "declined",
] as const;
const APP_STATUSES = ["going", "pending", "waitlist", "cancelled", "approved"];
const LUMA_STATUS: Record<string, string> = {
  going: "approved",
  approved: "approved",
  pending: "pending_approval",
  interested: "pending_approval",
  waitlist: "waitlist",
  cancelled: "declined",
  rejected: "declined",
  not_going: "declined",
};

lumaTest(
  `${SECONDS} seconds of edits on both sides end equal, with calls and writes in proportion, and then rest (PING_PONG_SEED=${SEED})`,
  async (stack) => {
    const { sql, simulator } = stack;
    const users = await insertUsers(stack, 6);
    await insertEvent(stack, { title: "Ours A" });
    await insertEvent(stack, { title: "Ours B" });
    hostEvent(stack);
    await until(
      "all three are on both sides",
      async () =>
        simulator.events().length === 3 &&
        (await sql`select from luma.event_links where row_base is not null`)
            .length === 3,
    );
    const rows =
      await sql`select id, luma_event_id from public.canonical_events order by id`;
    await countWrites(stack);
    simulator.clearRequests();

    const random = seededRandom(SEED);
    const of = <T>(items: readonly T[]): T =>
      items[Math.floor(random() * items.length)]!;
    const edits = { app: 0, luma: 0 };
    const over = Date.now() + SECONDS * 1000;
    while (Date.now() < over) {
      const { id, luma_event_id: lumaId } = of(rows);
      const word = `${of(["Swim", "Run", "Jam"])} ${Math.floor(random() * 50)}`;
      const user = of(users);
      const isApp = random() < 0.5;
      edits[isApp ? "app" : "luma"]++;
      if (isApp && random() < 0.5) {
        await sql`
          insert into public.event_rsvps (event_id, user_id, status) values (${id}, ${user}, ${
          of(APP_STATUSES)
        })
          on conflict (event_id, user_id) do update set status = excluded.status`;
      } else if (isApp) {
        await sql`update public.canonical_events set ${
          sql(
            random() < 0.5
              ? { title: word }
              : { description: `All about *${word}*` },
          )
        } where id = ${id}`;
      } else if (random() < 0.5) {
        changeGuest(stack, lumaId, `${user}@example.com`, of(GUEST_STATUSES));
      } else {
        simulator.host.updateEvent(
          lumaId,
          random() < 0.5
            ? { name: word }
            : { description_md: `Come for **${word}**` },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }

    await settle(stack);
    await assertEqualSides(stack);
    const [calls, writes] = [
      simulator.requests.length,
      await writesOf(stack),
    ];
    const total = edits.app + edits.luma;
    // An edit here is a call; one there, and what a call of ours makes of it, may have to be read.
    assert(calls <= 2 * total, `${calls} calls for ${total} edits`);
    // A write of the app is one; what comes from Luma another, with the count and the time stamps of RSVPs.
    assert(writes <= 3 * total, `${writes} row writes for ${total} edits`);

    simulator.clearRequests();
    await settle(stack);
    await settle(stack);
    assertEquals(simulator.requests.map(({ path }) => path), []);
    assertEquals(await writesOf(stack), writes);
  },
  { bell: true, simulator: { rateLimitPerMinute: 100_000 } },
);

function changeGuest(
  { simulator }: Stack,
  lumaId: string,
  email: string,
  status: typeof GUEST_STATUSES[number],
): void {
  const known = simulator.event(lumaId)!.guests.some((guest) =>
    guest.user_email === email
  );
  if (known) simulator.host.setGuestStatus(lumaId, email, status);
  else simulator.guest.register(lumaId, { name: email, email });
}

/** Counts every write of the app's two tables from now on. */
async function countWrites({ sql }: Stack): Promise<void> {
  await sql.unsafe(`
    create sequence public.row_writes minvalue 0 start 0;
    select nextval('public.row_writes');
    create function public.count_write() returns trigger language plpgsql as
      $$begin perform nextval('public.row_writes'); return null; end$$;
    create trigger count_write after insert or update on public.canonical_events
      for each row execute function public.count_write();
    create trigger count_write after insert or update on public.event_rsvps
      for each row execute function public.count_write();`);
}

async function writesOf({ sql }: Stack): Promise<number> {
  const { last_value } = await one(
    sql`select last_value::int from public.row_writes`,
  );
  return last_value;
}

async function assertEqualSides({ sql, simulator }: Stack): Promise<void> {
  for (const row of await sql`select * from public.canonical_events`) {
    const event = simulator.event(row.luma_event_id)!;
    assertEquals([row.title, plain(row.description)], [
      event.name,
      plain(event.description_md),
    ]);
    const rsvps =
      await sql`select user_id, status from public.event_rsvps where event_id = ${row.id}`;
    const here = Object.fromEntries(
      rsvps.map((rsvp) => [
        `${rsvp.user_id}@example.com`,
        LUMA_STATUS[rsvp.status]!,
      ]),
    );
    const there = Object.fromEntries(
      event.guests.map((guest) => [guest.user_email, guest.approval_status]),
    );
    // Who said no before Luma knew of them is not on its list.
    const coming = Object.entries(here).filter(([email, status]) =>
      status !== "declined" || there[email]
    );
    assertEquals(Object.fromEntries(coming.toSorted()), {
      ...Object.fromEntries(Object.entries(there).toSorted()),
    });
  }
}

/** Luma renders Markdown in a form of its own. */
function plain(text: string | null): string {
  return (text ?? "").replaceAll(/[*_]/g, "");
}
