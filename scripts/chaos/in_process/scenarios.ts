/** What the product does, in small pieces: together they come to every kill point. */
import type { Act, Config, Trap } from "../acts.ts";
import { perform } from "../perform.ts";
import { LUMA_ROUTES } from "../../../supabase/functions/_shared/luma/routes.ts";
import type { VirtualWorld } from "./world.ts";

export interface Scenario {
  name: string;
  config?: Partial<Config>;
  /** Done undisturbed. */
  before?: (world: VirtualWorld) => Promise<void>;
  /** Every call in it is disturbed, one at a time. */
  play: (world: VirtualWorld) => Promise<void>;
  /** Done undisturbed, so that both sides can be equal. */
  after?: (world: VirtualWorld) => Promise<void>;
}

/** Longer than all that follows an act takes, a dead drain's lease included. */
const LONG_MS = 22_000;

const event = (n: number, more: Partial<Act> = {}): Act => ({
  do: "create",
  event: n,
  culture: null,
  priced: false,
  going: null,
  ...more,
} as Act);
const hostEvent: Act = { do: "host-create", event: 1 };
const going = (user: string, status = "going"): Act => ({
  do: "rsvp",
  event: 1,
  user,
  status,
});

function acts(...all: Act[]): (world: VirtualWorld) => Promise<void> {
  return async (world) => {
    for (const act of all) await perform(world, act);
    await world.pause(LONG_MS);
  };
}

function trap(point: string, when: Trap["when"], how: Trap["how"]): Act {
  return { do: "trap", point, when, how };
}

/** Webhooks are lost from here on. */
const deaf: Act = { do: "webhooks", how: "drop", count: 1_000 };

export const SCENARIOS: readonly Scenario[] = [
  { name: "an event with a cover", play: acts(event(1)) },
  {
    name: "an event with a culture and a price, and its first guest",
    play: acts(event(1, { culture: "food", priced: true, going: "u1" })),
  },
  {
    name: "another title",
    before: acts(event(1)),
    play: acts({ do: "edit", event: 1, field: "title", n: 7 }),
  },
  {
    name: "another culture and another price",
    before: acts(event(1, { culture: "food", priced: true })),
    play: acts(
      { do: "culture", event: 1, culture: "game" },
      { do: "price", event: 1, n: 7 },
    ),
  },
  {
    name: "edited again before anybody goes on with what a dead run has left",
    before: acts(hostEvent),
    play: acts(
      trap("luma_acknowledge", "before", "kill"),
      { do: "edit", event: 1, field: "title", n: 5, pause: 3_000 },
      { do: "edit", event: 1, field: "title", n: 7 },
    ),
  },
  {
    name: "cancelled here, hidden there",
    before: acts(event(1, { going: "u1" })),
    play: acts({ do: "status", event: 1, status: "cancelled" }),
  },
  {
    name: "cancelled on Luma for good",
    config: { cancelOnLuma: true },
    before: acts(event(1, { going: "u1" })),
    play: acts({ do: "status", event: 1, status: "cancelled" }),
  },
  {
    name: "deleted",
    before: acts(event(1)),
    play: acts({ do: "delete", event: 1 }),
  },
  {
    name: "deleted, where the cancelled are cancelled on Luma",
    config: { cancelOnLuma: true },
    before: acts(event(1)),
    play: acts({ do: "delete", event: 1 }),
  },
  {
    name: "three guests, and another status",
    before: acts(event(1)),
    play: acts(
      {
        do: "together",
        acts: [going("u1"), going("u2"), going("u3")] as never,
      },
      { ...going("u1", "waitlist"), pause: 5_000 },
      { do: "unrsvp", event: 1, user: "u2" },
    ),
  },
  {
    name: "a create call without effect",
    play: acts(trap(LUMA_ROUTES.createEvent, "before", "lost"), event(1)),
  },
  {
    name: "a create call without an answer",
    play: acts(
      trap(LUMA_ROUTES.createEvent, "after", "lost"),
      event(1, { going: "u1" }),
    ),
  },
  {
    name: "Luma refuses for a while",
    before: acts(event(1)),
    play: acts(
      trap(LUMA_ROUTES.updateEvent, "before", "refused"),
      { do: "edit", event: 1, field: "title", n: 7 },
    ),
  },
  {
    name: "Luma denies access for a moment",
    before: acts(event(1)),
    play: async (world) => {
      world.stack.simulator.faults.add({
        path: "/v1/events/update",
        status: 403,
        count: 1,
      });
      await acts({ do: "edit", event: 1, field: "title", n: 7 })(world);
    },
    // The event was refused though the key is good, so it is an admin's.
    after: acts({ do: "retry" }),
  },
  {
    name: "guests added without an answer",
    before: acts(event(1)),
    play: acts(
      deaf,
      trap(LUMA_ROUTES.addGuests, "after", "lost"),
      going("u1"),
    ),
  },
  {
    name: "many guests added without an answer",
    before: acts(event(1)),
    play: acts(
      deaf,
      trap(LUMA_ROUTES.addGuests, "after", "lost"),
      {
        do: "together",
        acts: ["u1", "u2", "u3", "u4", "u5"].map((user) =>
          going(user)
        ) as never,
      },
    ),
  },
  {
    name: "somebody else has our address",
    play: async (world) => {
      await world.functionsDown();
      await perform(world, event(1));
      const { id } = world.events.get(1)!;
      const { sql, simulator } = world.stack;
      const [row] = await sql`
        select luma.slug_for(e.id, e.title) as slug from public.canonical_events e where e.id = ${id!}`;
      simulator.host.createEvent(simulator.calendars[2]!.id, {
        name: "Stranger",
        slug: row!.slug,
        start_at: new Date(Date.now() + 86_400_000).toISOString(),
        timezone: "Asia/Kolkata",
      });
      world.functionsUp();
      await world.pause(LONG_MS);
    },
    after: (world) => {
      const { simulator } = world.stack;
      const found = simulator.events().find(({ name }) => name === "Stranger");
      if (found) simulator.host.cancelEvent(found.id);
      return Promise.resolve();
    },
  },
  { name: "a host's event", play: acts(hostEvent) },
  {
    name: "a host's edit, a guest, a status and an end",
    before: acts(hostEvent),
    play: acts(
      { do: "host-edit", event: 1, field: "title", n: 7, pause: 2_000 },
      { do: "register", event: 1, user: "x1", pause: 2_000 },
      {
        do: "host-guest",
        event: 1,
        user: "x1",
        status: "waitlist",
        pause: 2_000,
      },
      { do: "host-cancel", event: 1 },
    ),
  },
  {
    name: "webhooks that contradict each other",
    before: acts(event(1, { going: "u1" })),
    play: acts(
      { do: "webhooks", how: "reorder", count: 4 },
      { do: "host-edit", event: 1, field: "title", n: 7, pause: 300 },
      { do: "host-edit", event: 1, field: "title", n: 8, pause: 300 },
      {
        do: "host-guest",
        event: 1,
        user: "u1",
        status: "waitlist",
        pause: 300,
      },
      { do: "host-guest", event: 1, user: "u1", status: "declined" },
    ),
  },
  {
    name: "a delivery that an older release could not read",
    before: acts(hostEvent),
    play: async (world) => {
      await perform(world, {
        do: "host-edit",
        event: 1,
        field: "title",
        n: 7,
        pause: 2_000,
      });
      await world.stack.admin`
        update luma.webhook_inbox set news = null, state = 'stored', outcome = 'unread', applied_at = null, due_at = now()
        where type = 'event.updated'`;
      await acts({ do: "drain" })(world);
    },
  },
  {
    name: "a pull of what no webhook told",
    before: acts(deaf, event(1, { going: "u1" })),
    play: async (world) => {
      await acts(
        deaf,
        { do: "host-edit", event: 1, field: "title", n: 7 },
        { do: "register", event: 1, user: "x1" },
        { do: "host-create", event: 2 },
      )(world);
      await world.ask("luma-pull", JSON.stringify({ all: true })).catch(
        () => {},
      );
      await world.pause(LONG_MS);
    },
  },
  {
    name: "a pull that takes longer than a function may",
    before: acts(
      ...[2, 4, 6, 8, 10, 12].map((event): Act => ({
        do: "host-create",
        event,
      })),
    ),
    play: async (world) => {
      world.network.delayMs = ofLuma(9_000);
      await world.ask("luma-pull", JSON.stringify({ all: true })).catch(
        () => {},
      );
      world.network.delayMs = () => 0;
      await world.pause(LONG_MS);
    },
  },
  {
    name: "a slow Luma",
    before: acts(event(1)),
    play: async (world) => {
      world.network.delayMs = ofLuma(6_000);
      await perform(world, {
        do: "edit",
        event: 1,
        field: "title",
        n: 7,
        pause: 15_000,
      });
      world.network.delayMs = () => 0;
      await world.pause(LONG_MS);
    },
  },
  {
    name: "a permit that is too old when the image has come",
    play: async (world) => {
      world.network.delayMs = (point) => point.endsWith(".jpg") ? 3_000 : 0;
      await acts(event(1))(world);
    },
  },
  {
    name: "no permits left",
    play: async (world) => {
      await limit(world, 2);
      await perform(world, { ...event(1), pause: 55_000 });
      await limit(world, 1_800);
      await world.pause(LONG_MS);
    },
    after: (world) => limit(world, 1_800),
  },
];

function ofLuma(ms: number): (point: string) => number {
  return (point) => / \/v\d\//.test(point) ? ms : 0;
}

async function limit(world: VirtualWorld, calls: number): Promise<void> {
  await world.stack
    .admin`update luma.settings set calls_per_minute = ${calls}`;
}
