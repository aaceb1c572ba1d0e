/** Of the overview: what waits and why, the queue, and how long changes took. */
import { counted, duration, number, shortened } from "./format.ts";
import { Ago, Badge, Cut, EventLink, Table } from "./parts.tsx";
import type * as rows from "./rows.ts";

export function Reasons(
  { reasons, queue }: { reasons: rows.Reason[]; queue: rows.Queue[] },
) {
  const total = queue.filter(({ entity }) => ["event", "rsvp"].includes(entity))
    .reduce((sum, q) => sum + q.due + q.waiting + q.in_flight + q.dead, 0);
  return (
    <section aria-labelledby="waits">
      <h2 id="waits">What waits, and why</h2>
      <Cut
        what="What failed, and the oldest:"
        shown={reasons.reduce((sum, { count }) => sum + count, 0)}
        total={total}
      />
      <Table
        caption="What waits, and why"
        heads={["How many", "State", "Why", "For example"]}
        empty="Nothing waits."
      >
        {reasons.map((reason) => (
          <tr>
            <th scope="row">
              {counted(
                reason.count,
                reason.entity === "rsvp" ? "RSVP" : "event",
              )}
            </th>
            <td>
              <Badge status={reason.status} />
            </td>
            <td class="wide">
              {shortened(reason.note ?? "It is its turn next.")}
            </td>
            <td>
              <EventLink id={reason.event_id} title={reason.title} />
            </td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

export function QueueTable({ queue }: { queue: rows.Queue[] }) {
  return (
    <section aria-labelledby="queue">
      <h2 id="queue">Queue</h2>
      <Table
        caption="Queue by kind and calendar"
        heads={[
          "Kind",
          "Calendar",
          "Due",
          "Later",
          "In flight",
          "Given up",
          "Oldest",
        ]}
        empty="The queue is empty."
      >
        {queue.map((line) => (
          <tr>
            <th scope="row">{line.entity}</th>
            <td>{line.calendar ?? "not routed yet"}</td>
            <td class="number">{number(line.due)}</td>
            <td class="number">{number(line.waiting)}</td>
            <td class="number">{number(line.in_flight)}</td>
            <td class="number">{number(line.dead)}</td>
            <td>{line.oldest_due ? <Ago at={line.oldest_due} /> : "–"}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

export function LagTable({ lag }: { lag: rows.Lag[] }) {
  return (
    <section aria-labelledby="lag">
      <h2 id="lag">How long changes took</h2>
      <Table
        caption="How long the changes of the last hour took"
        heads={["Direction", "Kind", "Changes", "Median", "99 %", "Slowest"]}
        empty="No change arrived within the last hour."
      >
        {lag.map((line) => (
          <tr>
            <th scope="row">{line.direction}</th>
            <td>{line.entity}</td>
            <td class="number">{number(line.changes)}</td>
            <td class="number">{duration(line.p50_ms)}</td>
            <td class="number">{duration(line.p99_ms)}</td>
            <td class="number">{duration(line.max_ms)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
