/** Luma's webhooks, and what became of each. */
import type { PageOf } from "./page.ts";
import { duration, shortened, words } from "./format.ts";
import { At, Badge, EventLink, Table } from "./parts.tsx";
import * as queries from "./queries.ts";

const MOST = 100;

export const webhooksPage: PageOf = async (tx) => {
  const deliveries = await queries.deliveries(tx, MOST);
  return {
    title: "Webhooks",
    body: (
      <>
        <h1>Webhooks</h1>
        <p>The newest {MOST} deliveries that Luma has signed.</p>
        <Table
          caption="Webhook deliveries"
          heads={["Type", "Calendar", "Event", "State", "Received", "Took"]}
          empty="None has come yet."
        >
          {deliveries.map((delivery) => (
            <tr>
              <th scope="row">
                {delivery.type}
                {delivery.times_received > 1 && (
                  <span class="note">
                    came {delivery.times_received} times
                  </span>
                )}
              </th>
              <td>{delivery.calendar}</td>
              <td>
                <EventLink id={delivery.event_id} title={delivery.title} />
              </td>
              <td>
                <Badge status={delivery.state} />
                {delivery.outcome && (
                  <span class="note">{words(delivery.outcome)}</span>
                )}
                {delivery.error && (
                  <span class="note bad">{shortened(delivery.error)}</span>
                )}
              </td>
              <td>
                <At at={delivery.received_at} />
              </td>
              <td class="number">
                {delivery.took_ms === null ? "–" : duration(delivery.took_ms)}
              </td>
            </tr>
          ))}
        </Table>
      </>
    ),
  };
};
