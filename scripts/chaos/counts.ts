/** What was counted in a history, or in many. */
import type { History } from "./acts.ts";
import { KILL_POINTS } from "./kill_points.ts";
import { mark, type World } from "./world.ts";

export interface Counts {
  histories: number;
  steps: number;
  /** Acts that found nothing to act on, and those that the rules of may_write.ts kept back. */
  skipped: number;
  withheld: number;
  /** By kind, traps that were sprung included. */
  faults: Record<string, number>;
  trapsSet: number;
  /** Functions killed, by kill point. */
  kills: Record<string, number>;
  crashes: number;
  /** Luma events beyond one a row, guests beyond one a person. */
  duplicates: number;
  /** Calls to Luma, and how many of them were look-ups of attempts that followed a crash. */
  calls: number;
  attemptsAfterCrash: number;
  lookUpsAfterCrash: number;
  /** Milliseconds from a crash until somebody worked on its jobs again; without those for which time was made to pass. */
  retriedAfterMs: number[];
  appTransactions: number;
  slowestAppMs: number;
  conflicts: number;
  /** Of the hungriest history. */
  drainsToRest: number;
}

/** Called when all is over; the database may be down. */
export async function countsOf(
  world: World,
  { acts }: History,
): Promise<Counts> {
  const { traps, crashes, faults, stack, rest } = world;
  const kills = [...crashes.byPoint].filter(([point]) => point !== "");
  const byHow = new Map<string, number>(faults);
  for (const [name, count] of traps.sprung) {
    const how = `call ${name.split(" ").at(-1)}`;
    byHow.set(how, (byHow.get(how) ?? 0) + count);
  }
  const [told] = await stack.sql`
    with followed as (
      select outcome, calls, lag(outcome) over (partition by entity, entity_id order by id) as before from luma.attempts
    )
    select (select count(*)::int from luma.conflicts) as conflicts,
      count(*)::int as attempts,
      coalesce(sum((
        select count(*) from jsonb_array_elements(calls) c where c ->> 'route' ~ 'GET .*(lookup|events/get|guests/)'
      )), 0)::int as look_ups
    from followed where before = 'lease_expired' and outcome <> 'lease_expired'`
    .catch(() => []);
  return {
    histories: 1,
    steps: acts.length,
    skipped: world.skipped,
    withheld: world.withheld,
    faults: Object.fromEntries(byHow),
    trapsSet: [...traps.set.values()].reduce((sum, count) => sum + count, 0),
    kills: Object.fromEntries(kills),
    crashes: crashes.count,
    duplicates: duplicatesOf(world),
    calls: stack.simulator.requests.length,
    attemptsAfterCrash: told?.attempts ?? 0,
    lookUpsAfterCrash: told?.look_ups ?? 0,
    retriedAfterMs: crashes.retriedAfterMs,
    appTransactions: world.appTransactions,
    slowestAppMs: world.slowestAppMs,
    conflicts: told?.conflicts ?? 0,
    drainsToRest: rest?.drains ?? 0,
  };
}

function duplicatesOf({ events, stack }: World): number {
  const luma = stack.simulator.events();
  const surplus = (count: number) => Math.max(0, count - 1);
  const ofRows = [...events.values()].map(({ id }) =>
    id === undefined
      ? 0
      : surplus(luma.filter(({ slug }) => slug.includes(mark(id))).length)
  );
  const ofPeople = luma.map(({ guests }) =>
    guests.length -
    new Set(guests.map(({ user_email }) => user_email.toLowerCase())).size
  );
  return [...ofRows, ...ofPeople].reduce((sum, count) => sum + count, 0);
}

export function added(a: Counts, b: Counts): Counts {
  const sum = (key: keyof Counts) => Number(a[key]) + Number(b[key]);
  return {
    histories: sum("histories"),
    steps: sum("steps"),
    skipped: sum("skipped"),
    withheld: sum("withheld"),
    faults: addedByName(a.faults, b.faults),
    trapsSet: sum("trapsSet"),
    kills: addedByName(a.kills, b.kills),
    crashes: sum("crashes"),
    duplicates: sum("duplicates"),
    calls: sum("calls"),
    attemptsAfterCrash: sum("attemptsAfterCrash"),
    lookUpsAfterCrash: sum("lookUpsAfterCrash"),
    retriedAfterMs: [...a.retriedAfterMs, ...b.retriedAfterMs],
    appTransactions: sum("appTransactions"),
    slowestAppMs: Math.max(a.slowestAppMs, b.slowestAppMs),
    conflicts: sum("conflicts"),
    drainsToRest: Math.max(a.drainsToRest, b.drainsToRest),
  };
}

function addedByName(
  a: Record<string, number>,
  b: Record<string, number>,
): Record<string, number> {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return Object.fromEntries(
    names.map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]),
  );
}

/** Kill points at which nothing was killed. */
export function pointsNotHit({ kills }: Counts): string[] {
  return KILL_POINTS.filter((point) => !kills[point]);
}

/** The value below which so large a share of them is; null without any. */
export function percentile(values: number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[
    Math.min(sorted.length - 1, Math.floor(sorted.length * share))
  ] ?? null;
}
