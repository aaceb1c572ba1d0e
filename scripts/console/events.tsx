/** The events, by status and title. */
import type { PageOf } from "./page.ts";
import { atEvent, counted, number, shortened } from "./format.ts";
import { Ago, Badge, EventLink, Table } from "./parts.tsx";
import * as queries from "./queries.ts";
import type { EventLine } from "./rows.ts";

const SIZE = 25;
const STATUSES = [
  "on Luma",
  "waiting",
  "in flight",
  "failed",
  "hidden on Luma",
  "not on Luma",
];

interface Filter {
  status: string;
  search: string;
  page: number;
}

export const eventsPage: PageOf = async (tx, { query }) => {
  const filter: Filter = {
    status: STATUSES.find((status) => status === query.status) ?? "",
    search: (query.search ?? "").replaceAll("\0", "").trim(),
    page: Math.min(Math.max(Math.trunc(Number(query.page)) || 1, 1), 1_000_000),
  };
  const { total, events } = await queries.events(tx, { ...filter, size: SIZE });
  return {
    title: "Events",
    body: (
      <>
        <h1>Events</h1>
        <Search filter={filter} />
        <p class="quiet">{counted(total, "event")}</p>
        <Table
          caption="Events"
          heads={["Event", "Starts", "State", "Calendar", "RSVPs", "Agreed"]}
          empty="No event is like that."
        >
          {events.map((event) => <Line event={event} />)}
        </Table>
        <Pager filter={filter} total={total} />
      </>
    ),
  };
};

function Search({ filter }: { filter: Filter }) {
  return (
    <search>
      <form method="get" action="/events" class="search">
        <p>
          <label for="search">Title</label>
          <input
            type="search"
            id="search"
            name="search"
            value={filter.search}
          />
        </p>
        <p>
          <label for="status">State</label>
          <select id="status" name="status">
            <option value="">any</option>
            {STATUSES.map((status) => (
              <option value={status} selected={status === filter.status}>
                {status}
              </option>
            ))}
          </select>
        </p>
        <button type="submit">Show</button>
      </form>
    </search>
  );
}

function Line({ event }: { event: EventLine }) {
  return (
    <tr>
      <th scope="row">
        <EventLink id={event.event_id} title={event.title} />
        {event.note && <span class="note">{shortened(event.note)}</span>}
      </th>
      <td>
        <time datetime={event.starts_at.toISOString()}>
          {atEvent(event.starts_at, event.tz)}
        </time>
      </td>
      <td>
        <Badge status={event.status} />
      </td>
      <td>{event.calendar ?? "–"}</td>
      <td>
        {number(event.rsvps)}
        {event.rsvps_waiting > 0 && (
          <span class="note">{number(event.rsvps_waiting)} waiting</span>
        )}
        {event.rsvps_failed > 0 && (
          <span class="note bad">{number(event.rsvps_failed)} failed</span>
        )}
      </td>
      <td>
        <Ago at={event.synced_at} />
      </td>
    </tr>
  );
}

function Pager({ filter, total }: { filter: Filter; total: number }) {
  const last = Math.max(Math.ceil(total / SIZE), 1);
  if (last === 1 && filter.page === 1) return null;
  const to = (page: number) => {
    const { status, search } = filter;
    return `/events?${new URLSearchParams({
      status,
      search,
      page: `${page}`,
    })}`;
  };
  return (
    <nav class="pager" aria-label="Pages of events">
      {filter.page > 1 && (
        <a href={to(Math.min(filter.page - 1, last))} rel="prev">
          Earlier page
        </a>
      )}
      <span>Page {number(filter.page)} of {number(last)}</span>
      {filter.page < last && (
        <a href={to(filter.page + 1)} rel="next">Next page</a>
      )}
    </nav>
  );
}
