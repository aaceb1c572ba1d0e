/** What was given up, and why. */
import type { PageOf } from "./page.ts";
import { shortened } from "./format.ts";
import { Action, Ago, Cut, EventLink, Table } from "./parts.tsx";
import * as queries from "./queries.ts";
import type { DeadLetter } from "./rows.ts";

const MOST = 200;

export const deadLettersPage: PageOf = async (tx) => {
  const letters = await queries.deadLetters(tx, MOST);
  const total = letters[0]?.total ?? 0;
  return {
    title: "Dead letters",
    body: (
      <>
        <div class="row">
          <h1>Dead letters</h1>
          {total > 0 && <Action to="retry-all" strong>Retry all</Action>}
        </div>
        <p>
          What Luma refused for good, or what was tried in vain. Mending the row
          tries it again by itself.
        </p>
        <Cut what="The newest" shown={letters.length} total={total} />
        <DeadLetterTable letters={letters} />
      </>
    ),
  };
};

export function DeadLetterTable({ letters }: { letters: DeadLetter[] }) {
  return (
    <Table
      caption="Dead letters"
      heads={["What", "Why", "Given up", "Again"]}
      empty="There are none."
    >
      {letters.map((letter) => (
        <tr>
          <th scope="row">
            <EventLink id={letter.event_id} title={letter.title} />
            <span class="note">
              {[letter.entity, letter.calendar].filter(Boolean).join(" · ")}
            </span>
          </th>
          <td class="wide">{shortened(letter.error ?? "–")}</td>
          <td>
            <Ago at={letter.dead_at} />
          </td>
          <td>
            <Action
              to="retry"
              fields={{ id: letter.id }}
              about={letter.title ?? letter.id}
            >
              Retry
            </Action>
          </td>
        </tr>
      ))}
    </Table>
  );
}
