/** What was changed on both sides at once. */
import type { PageOf } from "./page.ts";
import { shown, words } from "./format.ts";
import { At, Badge, Cut, EventLink, Table } from "./parts.tsx";
import * as queries from "./queries.ts";
import type { Conflict } from "./rows.ts";

const MOST = 100;

export const conflictsPage: PageOf = async (tx) => {
  const conflicts = await queries.conflicts(tx, MOST);
  return {
    title: "Conflicts",
    body: (
      <>
        <h1>Conflicts</h1>
        <p>
          What was changed here and on Luma before the two had heard of each
          other. The value that stayed is on both sides; the other one is kept
          only here.
        </p>
        <Cut
          what="The newest"
          shown={conflicts.length}
          total={conflicts[0]?.total ?? 0}
        />
        <ConflictTable conflicts={conflicts} />
      </>
    ),
  };
};

export function ConflictTable({ conflicts }: { conflicts: Conflict[] }) {
  return (
    <Table
      caption="Conflicts"
      heads={["Event", "Field", "In the app", "On Luma", "Noticed"]}
      empty="There have been no conflicts."
    >
      {conflicts.map((conflict) => (
        <tr>
          <th scope="row">
            <EventLink id={conflict.event_id} title={conflict.title} />
            {conflict.user_id && (
              <span class="note">RSVP of {conflict.user_id}</span>
            )}
          </th>
          <td>{words(conflict.field)}</td>
          <Side value={conflict.app_value} stayed={conflict.winner === "app"} />
          <Side
            value={conflict.luma_value}
            stayed={conflict.winner === "luma"}
          />
          <td>
            <At at={conflict.noticed_at} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

/** One side's value: of an event by column, else a word. */
function Side({ value, stayed }: { value: unknown; stayed: boolean }) {
  const parts = typeof value === "object" && value !== null
    ? Object.entries(value)
    : [["", value]];
  return (
    <td class={stayed ? "wide" : "wide lost"}>
      {parts.map(([column, part]) => (
        <span class="value">
          {parts.length > 1 && <span class="quiet">{`${column}: `}</span>}
          {shown(part)}
        </span>
      ))}
      {stayed ? <Badge status="stayed" /> : <span class="note">not taken</span>}
    </td>
  );
}
