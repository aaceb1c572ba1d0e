/** How long it takes until Luma has everything, when its limit is what holds things up. */
import type { Stack } from "../stack/mod.ts";
import { approve, liveStack, settled } from "./live_stack.ts";
import { median } from "./rounds.ts";
import { users } from "./scene.ts";
import type { BenchOptions, Measure } from "./section.ts";

const section = "agreement";
const DRAINS = 4;
const WINDOW_MS = 60_000;
/** What Luma allows a calendar in a minute; the sync's own limits are below it (luma.settings). */
const LIMIT = 200;

interface Agreed {
  seconds: number;
  /** Calls in the whole minutes in which there was more to do than the sync's own limit allows, in % of that. */
  share: number;
  refused: number;
  /** Calls of one calendar in any minute, at the most. */
  most: number;
}

/** Lets something be written, and drains with several functions at once until Luma has it. */
async function agree(
  stack: Stack,
  work: () => Promise<unknown>,
): Promise<Agreed> {
  const { simulator, functionsUrl, syncSecret, sql } = stack;
  const start = performance.now();
  await work();
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
  await settled(stack);
  const seconds = (performance.now() - start) / 1000;
  isOver = true;
  await Promise.all(drains);
  const [settings] = await sql`
    select calls_per_minute_total as total from luma.settings`;
  const times = simulator.requests.map(({ time }) => time);
  const minutes = Math.floor(times.length / settings!.total);
  const until = Math.min(...times) + minutes * WINDOW_MS;
  return {
    seconds,
    share: 100 * times.filter((time) => time < until).length /
      (minutes * settings!.total),
    refused: simulator.requests.filter(({ status }) => status === 429).length,
    most: Math.max(
      ...simulator.calendars.map(({ id }) =>
        mostInAWindow(
          simulator.requests.filter(({ calendar }) => calendar === id)
            .map(({ time }) => time),
        )
      ),
    ),
  };
}

/** The most of these that any minute holds. */
export function mostInAWindow(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  let from = 0;
  return sorted.reduce((most, time, at) => {
    while (sorted[from]! <= time - WINDOW_MS) from++;
    return Math.max(most, at - from + 1);
  }, 0);
}

async function agreed(
  postgres: string | undefined,
  work: (stack: Stack) => Promise<unknown>,
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
      await stack.sql`
        insert into public.event_rsvps (event_id, user_id, status)
        select e.id, u.id, 'going' from public.users u
        join (select id, row_number() over (order by canonical_uid) as n from public.canonical_events) e
          on e.n = 1 + ltrim(u.id, 'u')::int % 2`;
    },
    [`${events} approvals at once`]: (stack: Stack) => approve(stack, events),
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
    const share = line("% of the limit while there was work", "share");
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
