/** How many requests the same changes cost at Luma: on the real stack, against one request for each change. */
import { type Stack, startStack } from "../stack/mod.ts";
import { settled } from "./live_stack.ts";
import { idealCalls } from "./windows.ts";
import { goLive, users } from "./scene.ts";
import type { BenchOptions, Measure } from "./section.ts";

const section = "calls";
const EVENTS = 100;
const SPACING_MS = 1000;

/** The real stack, with the bell: changes start the drain as they do in production. */
async function liveStack(postgres: string | undefined): Promise<Stack> {
  const stack = await startStack({
    postgres,
    seed: false,
    // As many requests as the sync wants to make: what it makes is counted, not when.
    simulator: { rateLimitPerMinute: 100_000 },
  });
  const { sql } = stack;
  await goLive(sql, { spacingMs: SPACING_MS });
  await users(sql, 1000);
  await sql`
    insert into public.canonical_events (
      canonical_uid, title, starts_at, ends_at, lat, lng, location_name, source_type, submission_status
    )
    select 'community-u1-' || n, 'Rooftop Jam ' || n, now() + interval '7 days', now() + interval '7 days 3 hours', 12.97, 77.59,
      'Zo House', 'community', 'approved'
    from generate_series(1, ${EVENTS}::int) n`;
  await settled(stack);
  return stack;
}

/** The requests that Luma gets because of what is done. */
async function requestsFor(
  stack: Stack,
  work: () => Promise<unknown>,
): Promise<number> {
  // What was sent just now would make the next one wait, and so be together with others.
  await new Promise((resolve) => setTimeout(resolve, SPACING_MS));
  stack.simulator.clearRequests();
  await work();
  await settled(stack);
  return stack.simulator.requests.length;
}

/** Edits by eight editors, the first events far more often than the last; when each event was edited. */
async function skewedEdits(
  { sql }: Stack,
  ids: string[],
  edits: number,
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(ids.map((id) => [id, []]));
  let left = edits;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (left-- > 0) {
      // The n-th as often as 1/n of the first.
      const place = Math.floor(ids.length ** Math.random());
      const id = ids[Math.min(place, ids.length) - 1]!;
      await sql`update public.canonical_events set title = ${`Edit ${left}`} where id = ${id}`;
      times.get(id)!.push(performance.now());
    }
  }));
  return times;
}

/** Measures the section. */
export async function calls(
  { rounds, quick, postgres, say }: BenchOptions,
): Promise<Measure[]> {
  const measures = new Map<string, Measure>();
  const note = (
    what: string,
    unit: string,
    value: number,
    aim?: { aim: string; met: boolean },
  ) => {
    const key = `${what}, ${unit}`;
    const before = measures.get(key);
    if (!before) {
      measures.set(key, {
        section,
        what,
        side: "ours",
        rounds: [value],
        unit,
        ...aim,
      });
      return;
    }
    before.rounds.push(value);
    if (aim) before.met = before.met && aim.met;
  };
  for (let round = 0; round < rounds; round++) {
    say(`round ${round + 1}`);
    await using stack = await liveStack(postgres);
    const { sql } = stack;
    const ids = (await sql<
      { id: string }[]
    >`select id from public.canonical_events order by id`)
      .map(({ id }) => id);

    const one = await requestsFor(
      stack,
      () =>
        sql`insert into public.event_rsvps (event_id, user_id, status) select ${ids[
          0
        ]!}, id, 'going' from public.users`,
    );
    note("1,000 RSVPs to one event", "requests", one);
    note("1,000 RSVPs to one event", "times fewer than changes", 1000 / one, {
      aim: "at least 80",
      met: 1000 / one >= 80,
    });
    const spread = await requestsFor(stack, () =>
      sql`
        insert into public.event_rsvps (event_id, user_id, status)
        select e.id, u.id, 'going' from public.canonical_events e
        cross join (select id from public.users order by id limit 10) u
        where e.id <> ${ids[0]!}`);
    note("990 RSVPs over 99 events", "requests", spread);

    for (
      const [what, edited, edits] of [
        ["100 edits of one event", ids.slice(0, 1), 100],
        [
          `${quick ? "2,000" : "10,000"} skewed edits over 100 events`,
          ids,
          quick ? 2_000 : 10_000,
        ],
      ] as const
    ) {
      let times = new Map<string, number[]>();
      const made = await requestsFor(stack, async () => {
        times = await skewedEdits(stack, [...edited], edits);
      });
      const ideal = [...times.values()].reduce(
        (sum, when) => sum + idealCalls(when, SPACING_MS),
        0,
      );
      note(what, "requests", made);
      note(what, "a row and window", made / ideal, {
        aim: "at most 1.05",
        met: made / ideal <= 1.05,
      });
    }

    const saved = await requestsFor(stack, async () => {
      await sql`update public.canonical_events set title = title, starts_at = starts_at, updated_at = now()`;
      await sql`update public.event_rsvps set status = status, updated_at = now()`;
    });
    note("everything saved again, unchanged", "requests", saved, {
      aim: "none",
      met: saved === 0,
    });
  }
  return [...measures.values()];
}
