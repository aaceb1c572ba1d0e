/** What was done by hand: who, when, what. */
import type { PageOf } from "./page.ts";
import { shortened, shown, words } from "./format.ts";
import { At, Table } from "./parts.tsx";
import * as queries from "./queries.ts";

const MOST = 200;

export const logPage: PageOf = async (tx) => {
  const lines = await queries.adminLog(tx, MOST);
  return {
    title: "Log",
    body: (
      <>
        <h1>Log</h1>
        <p>
          The newest {MOST}{" "}
          lines of what was done by hand, here, in SQL or with the tasks, and of
          changed settings.
        </p>
        <Table
          caption="What was done by hand"
          heads={["What", "With", "Who", "When"]}
          empty="Nothing was done by hand yet."
        >
          {lines.map((line) => (
            <tr>
              <th scope="row">{words(line.what)}</th>
              <td class="wide">{detailOf(line.detail)}</td>
              <td>
                {shortened(line.who)}
                {line.via && <span class="note">{shortened(line.via)}</span>}
              </td>
              <td>
                <At at={line.at} />
              </td>
            </tr>
          ))}
        </Table>
      </>
    ),
  };
};

/** `calendar: blr, asked: 1`; of a setting `mode: off → live`. */
function detailOf(detail: unknown): string {
  if (typeof detail !== "object" || detail === null) return shown(detail);
  return Object.entries(detail).map(([name, value]) =>
    `${words(name)}: ${
      Array.isArray(value) ? value.map(shown).join(" → ") : shown(value)
    }`
  ).join(", ") || "–";
}
