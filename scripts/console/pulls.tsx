/** Each pull: what it was to read, how far it is, and what it found. */
import type { PageOf } from "./page.ts";
import { counted, duration, number, shortened } from "./format.ts";
import { Action, At, Badge, Table } from "./parts.tsx";
import * as queries from "./queries.ts";
import type { Pull } from "./rows.ts";

const MOST = 100;

export const pullsPage: PageOf = async (tx) => {
  const pulls = await queries.pulls(tx, MOST);
  return {
    title: "Pulls",
    body: (
      <>
        <div class="row">
          <h1>Pulls</h1>
          <Action to="pull">Pull all calendars now</Action>
        </div>
        <p>The newest {MOST}, each a reading of what Luma holds.</p>
        <Table
          caption="Pulls"
          heads={["Of", "State", "Asked for", "Took", "Read", "Found", "Calls"]}
          empty="There has been none."
        >
          {pulls.map((pull) => <Line pull={pull} />)}
        </Table>
      </>
    ),
  };
};

function Line({ pull }: { pull: Pull }) {
  return (
    <tr>
      <th scope="row">
        {pull.calendar}
        <span class="note">
          {pull.luma_event_id ? pull.title ?? pull.luma_event_id : pull.reads}
        </span>
      </th>
      <td>
        <Badge status={pull.state} />
        {pull.problems.map((problem) => (
          <span class="note bad">{shortened(problem)}</span>
        ))}
      </td>
      <td>
        <At at={pull.requested_at} />
        <span class="note">
          {pull.reason === "asked" ? "by hand" : "by the clock"}
        </span>
      </td>
      <td class="number">
        {pull.took_ms === null ? "–" : duration(pull.took_ms)}
      </td>
      <td>
        {counted(pull.events, "event")}
        <span class="note">{counted(pull.guests, "guest")}</span>
      </td>
      <td>{found(pull)}</td>
      <td class="number">{number(pull.calls)}</td>
    </tr>
  );
}

function found(pull: Pull): string {
  const parts = [
    [pull.inserted, "new"],
    [pull.updated, "changed"],
    [pull.to_read, "left to the drain"],
    [pull.errors, "not read"],
  ] as const;
  return parts.filter(([count]) => count > 0)
    .map(([count, what]) => `${number(count)} ${what}`).join(", ") ||
    "nothing new";
}
