/** Whatever the order in which a guest's webhooks come, and however often: the app ends with what Luma holds. */
import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../scripts/luma-simulator/ids.ts";
import type {
  Delivery,
  GuestStatus,
  SimGuest,
} from "../../scripts/luma-simulator/mod.ts";
import { manyCalls } from "./linked_events.ts";
import { deliverer, intercepted, permutations } from "./luma_deliveries.ts";
import {
  type Both,
  changingCalls,
  countOf,
  knownEvents,
  ticketType,
} from "./luma_guests.ts";
import { hostEvent, lumaTest, rowOf, settle } from "./luma_side.ts";
import { calls, drain, one, type Stack } from "./testing.ts";

const SEED = Number(Deno.env.get("ORDER_SEED") ?? 1);
const EVENTS = 8;

/** What a guest and the host do. */
interface Acts {
  register(): void;
  cancel(): void;
  set(status: GuestStatus): void;
  checkIn(): void;
}

/** Histories of one guest. Of the deliveries that follow, five are sent: those that are not left out by their place. */
const HISTORIES: { what: string; act(acts: Acts): void; lost?: number[] }[] = [
  {
    what: "waitlisted, then declined",
    act({ register, set }) {
      register();
      set("waitlist");
      set("declined");
    },
  },
  {
    what: "back to pending, then checked in",
    act({ register, set, checkIn }) {
      register();
      set("pending_approval");
      checkIn();
    },
  },
  {
    what: "left and came back",
    act({ register, cancel }) {
      register();
      cancel();
      register();
    },
    lost: [1],
  },
  {
    what: "waitlisted, then approved",
    act({ register, set }) {
      register();
      set("waitlist");
      set("approved");
    },
  },
  {
    what: "left, came back and left",
    act({ register, cancel }) {
      register();
      cancel();
      register();
      cancel();
    },
    lost: [1, 2],
  },
];

/** A guest with the deliveries about it, in the order in which they are sent. */
interface Told {
  event: Both;
  /** The user that the guest is, or null for a stranger. */
  user: string | null;
  guest: SimGuest;
  history: string;
  deliveries: Delivery[];
}

let made = 0;

/** Somebody lives this history on Luma, and nothing of it is sent. Every third is a stranger. */
async function live(
  stack: Stack,
  event: Both,
  { what, act, lost = [] }: typeof HISTORIES[number],
  ticket_type_id?: string,
): Promise<Told> {
  const { simulator, sql } = stack;
  const name = `guest-${++made}`;
  const email = `${name}@example.com`;
  const user = made % 3 === 0 ? null : name;
  if (user !== null) {
    await sql`insert into public.users (id, name, email) values (${user}, ${user}, ${email})`;
  }
  const { lumaId } = event;
  const deliveries = await intercepted(stack, () =>
    act({
      register: () =>
        simulator.guest.register(lumaId, { name, email, ticket_type_id }),
      cancel: () => simulator.guest.cancel(lumaId, email),
      set: (status) => simulator.host.setGuestStatus(lumaId, email, status),
      checkIn: () => simulator.host.checkIn(lumaId, email),
    }));
  return {
    event,
    user,
    guest: simulator.event(lumaId)!.guests.find((guest) =>
      guest.user_email === email
    )!,
    history: what,
    deliveries: deliveries.filter((_, place) => !lost.includes(place)),
  };
}

/** Of these every order is sent: 360, which end as declined, pending and approved. */
const PERMUTED = HISTORIES.slice(0, 3);

/** Every order of their deliveries, each of another guest; the guests are spread over the events. */
async function liveAll(stack: Stack, events: Both[]): Promise<Told[]> {
  const all: Told[] = [];
  for (const history of PERMUTED) {
    for (const order of permutations([0, 1, 2, 3, 4])) {
      const told = await live(
        stack,
        events[all.length % events.length]!,
        history,
      );
      assertEquals(told.deliveries.length, 5, history.what);
      const deliveries = order.map((place) => told.deliveries[place]!);
      all.push({ ...told, deliveries });
    }
  }
  return all;
}

/** The app's words for what Luma holds. */
const WORDS: Partial<Record<GuestStatus, string>> = {
  approved: "going",
  waitlist: "waitlist",
  pending_approval: "pending",
};

/** What the app has of a guest, as far as Luma decides it. Who is out may have a row that says so, or none. */
type Seen =
  | "out"
  | { is: string; status: string | undefined; checked_in_at: string | null };

/** What it should have. */
function expected({ user, guest }: Told): Seen {
  const { approval_status, event_tickets } = guest;
  return approval_status === "declined" ? "out" : {
    is: user ?? "nobody",
    status: user ? WORDS[approval_status] : approval_status,
    checked_in_at: event_tickets[0]!.checked_in_at,
  };
}

/** What it has, by Luma's id of the guest. */
async function held({ sql }: Stack): Promise<Map<string, Seen>> {
  const rows = await sql`
    select g.luma_guest_id, coalesce(r.user_id, 'nobody') as is, coalesce(r.status, g.luma_base) as status,
      case when r.id is null then (g.news ->> 'checked_in_at')::timestamptz else r.checked_in_at end as checked_in_at
    from luma.guests g
    left join luma.guest_links l on l.event_id = g.event_id and l.email = g.email
    left join public.event_rsvps r on r.id = l.rsvp_id`;
  const seen = new Map<string, Seen>(
    rows.map(({ luma_guest_id, is, status, checked_in_at }) => [
      luma_guest_id,
      /rejected|declined/.test(status) ? "out" : {
        is,
        status,
        checked_in_at: checked_in_at?.toISOString() ?? null,
      },
    ]),
  );
  assertEquals(seen.size, rows.length, "no guest twice");
  return seen;
}

/** The app has what Luma holds: each guest once, as it is, and the right counts; and it cost no more than reads. */
async function assertAsLumaHolds(stack: Stack, all: Told[]): Promise<void> {
  const { sql } = stack;
  const has = await held(stack);
  const wrong = all.flatMap((told) => {
    const [is, should] = [has.get(told.guest.id), expected(told)];
    const type = (body: string) => {
      const { type, data } = JSON.parse(body);
      return `${type} ${data.approval_status}`;
    };
    return same(is, should) ? [] : [{
      history: told.history,
      order: told.deliveries.map(({ body }) => type(body)),
      is,
      should,
    }];
  });
  assertEquals(wrong.slice(0, 5), [], `${wrong.length} of ${all.length}`);
  assertEquals(has.size, all.length);
  const strays = await sql`
    select from public.event_rsvps r where not exists (select from luma.guest_links l where l.rsvp_id = r.id)`;
  assertEquals([...strays], [], "no row that is nobody on Luma");

  for (const event of new Set(all.map(({ event }) => event))) {
    const going = all.filter((told) =>
      told.event === event && told.guest.approval_status === "approved"
    );
    assertEquals(await countOf(stack, event), going.length);
  }
  assertEquals(
    [
      ...await sql`select distinct state, error from luma.webhook_inbox where state <> 'applied'`,
    ],
    [],
  );
  assertEquals([...await sql`select from luma.guests where look`], []);
  assertEquals(changingCalls(stack), []);
  const { deliveries } = await one(
    sql`select count(*)::int as deliveries from luma.webhook_inbox where news ? 'guest'`,
  );
  const reads = calls(stack).length;
  assert(reads <= deliveries, `${reads} reads for ${deliveries} deliveries`);
}

function same(a: unknown, b: unknown): boolean {
  try {
    assertEquals(a, b);
    return true;
  } catch {
    return false;
  }
}

/** By event: the deliveries of one event come one after the other, those of several at the same time. */
async function byEvent(
  all: Told[],
  send: (told: Told) => Promise<void>,
): Promise<void> {
  const events = Map.groupBy(all, ({ event }) => event);
  await Promise.all(
    [...events.values()].map(async (guests) => {
      for (const told of guests) await send(told);
    }),
  );
}

const options = { simulator: { rateLimitPerMinute: 100_000 } };

lumaTest(
  `all orders of a guest's deliveries, with repeats and with reads in between, end in what Luma holds (ORDER_SEED=${SEED})`,
  async (stack) => {
    await manyCalls(stack);
    const random = seededRandom(SEED);
    const events = await knownEvents(stack, EVENTS);
    const all = await liveAll(stack, events);
    const deliver = await deliverer(stack);
    for (let place = 0; place < 5; place++) {
      // Chosen before anything runs at the same time, so that a seed repeats: an earlier one again, or the same.
      const again = new Map(
        all.filter(() => random() < 0.2).map((told) => [
          told,
          told.deliveries[Math.floor(random() * (place + 1))]!,
        ]),
      );
      const drains = random() < 0.5;
      await byEvent(all, async (told) => {
        await deliver(told.deliveries[place]!);
        const repeat = again.get(told);
        if (repeat) assertEquals(await deliver(repeat), "seen");
      });
      if (drains) await drain(stack);
    }
    await settle(stack);
    await assertAsLumaHolds(stack, all);
  },
  options,
);

lumaTest(
  `deliveries that come all at once end in what Luma holds (ORDER_SEED=${SEED})`,
  async (stack) => {
    await manyCalls(stack);
    const random = seededRandom(SEED);
    const events = await knownEvents(stack, 3);
    const all: Told[] = [];
    for (let n = 0; n < 30; n++) {
      all.push(
        await live(
          stack,
          events[n % events.length]!,
          HISTORIES[n % HISTORIES.length]!,
        ),
      );
    }
    const deliver = await deliverer(stack);
    const posts = all.flatMap(({ deliveries }) => deliveries)
      .flatMap((delivery) => random() < 0.3 ? [delivery, delivery] : [delivery])
      .map((delivery) => ({ delivery, place: random() }))
      .sort((a, b) => a.place - b.place);
    // While drains apply what had to wait.
    await Promise.all([
      ...posts.map(({ delivery }) => deliver(delivery)),
      drain(stack),
      drain(stack),
    ]);
    await settle(stack);
    await assertAsLumaHolds(stack, all);
  },
  options,
);

lumaTest(
  `guests who are told of before their event is, in any order, end as what Luma holds (ORDER_SEED=${SEED})`,
  async (stack) => {
    const { simulator } = stack;
    await manyCalls(stack);
    const random = seededRandom(SEED);
    const all: Told[] = [];
    const posts: { delivery: Delivery; place: number }[] = [];
    for (let n = 0; n < 10; n++) {
      let lumaId = "";
      const ofEvent = await intercepted(stack, () => {
        lumaId = hostEvent(stack).id;
      });
      const event = { id: "", lumaId };
      const told = await live(stack, event, HISTORIES[n % HISTORIES.length]!);
      all.push(told);
      for (const delivery of [...told.deliveries, ...ofEvent]) {
        posts.push({ delivery, place: random() });
      }
    }
    simulator.clearRequests();
    const deliver = await deliverer(stack);
    for (const { delivery } of posts.sort((a, b) => a.place - b.place)) {
      await deliver(delivery);
    }
    await settle(stack);
    for (const { event } of all) {
      event.id = String((await rowOf(stack, event.lumaId)).id);
    }
    await assertAsLumaHolds(stack, all);
    assertEquals(
      (await stack.sql`select from public.canonical_events`).length,
      all.length,
    );
  },
  options,
);

lumaTest(
  `a registration that was told in any order has its ticket's type (ORDER_SEED=${SEED})`,
  async (stack) => {
    const { sql } = stack;
    const [event] = await knownEvents(stack, 1);
    const vip = await ticketType(stack, event!.lumaId, "VIP");
    const deliver = await deliverer(stack);
    for (const order of permutations([0, 1, 2])) {
      const { deliveries } = await live(
        stack,
        event!,
        { what: "registered", act: ({ register }) => register() },
        vip,
      );
      for (const place of order) await deliver(deliveries[place]!);
    }
    await settle(stack);
    const types =
      await sql`select distinct status, rsvp_type, jsonb_array_length(metadata -> 'luma_tickets') as tickets from public.event_rsvps`;
    assertEquals([...types], [{
      status: "going",
      rsvp_type: "vip",
      tickets: 1,
    }]);
    assertEquals(await countOf(stack, event!), 6);
    assertEquals(calls(stack), []);
  },
);
