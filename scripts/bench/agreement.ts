/** How long it takes until Luma has everything, when its limit is what holds things up. */
import { mostInAMinute } from "../luma-simulator/rate_limit.ts";
import type { Stack } from "../stack/mod.ts";
import { approve, liveStack, settled } from "./live_stack.ts";
import { median } from "./rounds.ts";
import { users } from "./scene.ts";
import type { BenchOptions, Measure } from "./section.ts";
import { limitUsed } from "./windows.ts";

const section = "agreement";
const DRAINS = 4;
/** What Luma allows a calendar in a minute; the sync's own limits are below it (luma.settings). */
const LIMIT = 200;

/** What Luma is to hold in the end. */
interface Held {
  events: number;
  guests: number;
}

interface Agreed {
  seconds: number;
  /** Of the sync's own limit, while there was more to do than it allows, in %. */
  share: number;
  /** That limit, in calls a minute over all calendars. */
  total: number;
  refused: number;
  /** Calls of one calendar in any minute, at the most. */
  most: number;
}

function held({ simulator }: Stack): Held {
  const events = simulator.events();
  return {
    events: events.length,
    guests: events.reduce((sum, { guests }) => sum + guests.length, 0),
  };
}

/** Lets something be written, and drains with several functions at once until Luma has it. */
async function agree(
  stack: Stack,
  work: () => Promise<Held>,
): Promise<Agreed> {
  const { simulator, functionsUrl, syncSecret, sql } = stack;
  const start = performance.now();
  const wanted = await work();
  let isOver = false;
  const drains = Array.from({ length: DRAINS }, async () => {
    while (!isOver) {
      const response = await fetch(`${functionsUrl}/luma-drain?wait=1`, {
        method: "POST",
        headers: { "x-luma-sync-secret": syncSecret },
      });
      await response.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  const left = () => JSON.stringify(held(stack)) !== JSON.stringify(wanted);
  while (left()) await new Promise((resolve) => setTimeout(resolve, 20));
  const seconds = (performance.now() - start) / 1000;
  isOver = true;
  await Promise.all(drains);
  await settled(stack);
  const [settings] = await sql`
    select calls_per_minute_total as total from luma.settings`;
  const { requests, calendars } = simulator;
  return {
    seconds,
    share: limitUsed(requests.map(({ time }) => time), settings!.total),
    total: settings!.total,
    refused: requests.filter(({ status }) => status === 429).length,
    most: Math.max(...calendars.map(({ id }) =>
      mostInAMinute(
        requests.filter(({ calendar }) => calendar === id)
          .map(({ time }) => time),
      )
    )),
  };
}

async function agreed(
  postgres: string | undefined,
  work: (stack: Stack) => Promise<Held>,
): Promise<Agreed> {
  await using live = await liveStack(postgres, {
    simulator: { rateLimitPerMinute: LIMIT },
    // Four drains are started here, and no fifth by the bell.
    cron: false,
    net: false,
  });
  await users(live.stack.sql, 1000);
  return await agree(live.stack, () => work(live.stack));
}

/** Measures the section. A round of the second takes minutes, and cannot take less. */
export async function agreement(
  { rounds, quick, postgres, say }: BenchOptions,
): Promise<Measure[]> {
  const events = quick ? 320 : 700;
  const things = {
    "1,000 RSVPs and 50 approvals at once": async (stack: Stack) => {
      await approve(stack, 50);
      // To one event of each calendar.
      await stack.sql`
        insert into public.event_rsvps (event_id, user_id, status)
        select e.id, u.id, 'going' from public.users u
        join public.canonical_events e on e.title = 'Rooftop Jam ' || 1 + ltrim(u.id, 'u')::int % 2`;
      return { events: 50, guests: 1000 };
    },
    [`${events} approvals at once`]: async (stack: Stack) => {
      await approve(stack, events);
      return { events, guests: 0 };
    },
  };
  const measures: Measure[] = [];
  for (const [what, work] of Object.entries(things)) {
    const taken: Agreed[] = [];
    for (let round = 0; round < Math.min(rounds, quick ? 1 : 2); round++) {
      say(`round ${round + 1}: ${what}`);
      taken.push(await agreed(postgres, work));
    }
    const line = (unit: string, of: keyof Agreed) => ({
      section,
      what,
      side: `ours, ${DRAINS} drains`,
      rounds: taken.map((each) => each[of]),
      unit,
    });
    const refused = line("calls answered 429", "refused");
    const most = line("calls of a calendar in a minute, at the most", "most");
    const share = line(
      `% used of ours, ${taken[0]!.total} a minute (Luma: 2 × ${LIMIT})`,
      "share",
    );
    measures.push(
      line("s until Luma has it all", "seconds"),
      { ...refused, aim: "none", met: Math.max(...refused.rounds) === 0 },
      {
        ...most,
        aim: `at most ${LIMIT}`,
        met: Math.max(...most.rounds) <= LIMIT,
      },
    );
    // The first of the two is done before the limit counts.
    if (share.rounds.every(Number.isFinite)) {
      measures.push({
        ...share,
        aim: "at least 95",
        met: median(share.rounds) >= 95,
      });
    }
  }
  return measures;
}
