/** When a change was where: what luma.attempts and our own clock say, as a table. */
import type { Stack } from "../stack/mod.ts";

/** One call to Luma, as luma.attempts keeps it. */
export interface Call {
  route: string;
  /** ISO 8601. */
  at: string;
  ms: number;
  status: number | null;
}

/** One change of the app's, all times as epoch milliseconds. */
export interface TimelineRow {
  change: string;
  /** The app's first statement was sent. */
  sentAt: number;
  /** The commit of its last statement was confirmed. */
  committedAt: number;
  enqueuedAt: number;
  calledAt: number;
  acknowledgedAt: number;
  calls: Call[];
}

interface Attempt {
  /** The event that it was about, or whose RSVP. */
  event_id: string;
  changed_at: Date;
  settled_at: Date;
  calls: Call[];
}

/** The id of the newest attempt, to tell later ones from it. */
export async function newestAttempt(sql: Stack["sql"]): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    select coalesce(max(id), 0)::text as id from luma.attempts`;
  return row?.id ?? "0";
}

/** Puts together what happened to a change since `before`. Throws when it never came to Luma. */
export async function timelineRow(
  sql: Stack["sql"],
  before: string,
  change: Pick<TimelineRow, "change" | "sentAt" | "committedAt">,
): Promise<TimelineRow> {
  const attempts = await sql<Attempt[]>`
    select coalesce(r.event_id, a.entity_id) as event_id, a.changed_at, a.settled_at, a.calls
    from luma.attempts a
    left join event_rsvps r on a.entity = 'rsvp' and r.id = a.entity_id
    where a.id > ${before} order by a.id`;
  const calls = distinctCalls(attempts);
  if (calls.length === 0) {
    throw new Error(`"${change.change}" is done, yet Luma was not called.`);
  }
  return {
    ...change,
    enqueuedAt: Math.min(...attempts.map((a) => a.changed_at.getTime())),
    calledAt: Math.min(...calls.map((call) => Date.parse(call.at))),
    acknowledgedAt: Math.max(...attempts.map((a) => a.settled_at.getTime())),
    calls,
  };
}

/** Calls about many RSVPs, which stand with every one of them. */
const SHARED = /\/guests\/(add|list)$/;

/** The calls of these attempts, once each. Calls about one RSVP alone may well be alike: they are made at once. */
export function distinctCalls(
  attempts: Pick<Attempt, "event_id" | "calls">[],
): Call[] {
  const distinct = new Map<string, Call>();
  for (const { event_id, calls } of attempts) {
    for (const call of calls) {
      const own = SHARED.test(call.route) ? "" : distinct.size;
      distinct.set(JSON.stringify([event_id, own, call]), call);
    }
  }
  return [...distinct.values()];
}

/** The calls in the order of their first, alike ones together. */
export function callLines(calls: Call[]): string[] {
  const alike = Map.groupBy(
    calls,
    ({ route, status }) => `${route} → ${status ?? "no answer"}`,
  );
  return [...alike].map(([what, [first, ...more]]) =>
    more.length > 0
      ? `${more.length + 1} × ${what}`
      : `${what} (${first?.ms} ms)`
  );
}

const HEADINGS = [
  "change",
  "row committed",
  "enqueued",
  "Luma called",
  "acknowledged",
  "calls",
];

/** The lines of the table: milliseconds since the app's statement was sent. */
export function timelineTable(rows: TimelineRow[]): string[] {
  const cells = rows.map((row) => [
    row.change,
    ...[row.committedAt, row.enqueuedAt, row.calledAt, row.acknowledgedAt]
      // What waited in the outbox was enqueued before.
      .map((at) => at < row.sentAt ? "earlier" : `${at - row.sentAt} ms`),
    String(row.calls.length),
  ]);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => row[column]?.length ?? 0))
  );
  return [HEADINGS, ...cells].map((row) =>
    row.map((cell, column) =>
      column === 0
        ? cell.padEnd(widths[column] ?? 0)
        : cell.padStart(widths[column] ?? 0)
    ).join("   ")
  );
}
