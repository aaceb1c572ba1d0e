/** Everything that is known of one event. */
import { ConflictTable } from "./conflicts.tsx";
import type { Page, PageOf } from "./page.ts";
import { DeadLetterTable } from "./dead_letters.tsx";
import { atEvent, counted, shortened, words } from "./format.ts";
import { History } from "./history.tsx";
import { Action, Ago, Badge, Cut, Table } from "./parts.tsx";
import * as queries from "./queries.ts";
import type { Event, Rsvp } from "./rows.ts";

const MOST = { rsvps: 200, history: 200, conflicts: 50, deadLetters: 50 };

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export const eventPage: PageOf = async (tx, { id }) => {
  if (!UUID.test(id)) return NO_EVENT;
  const event = await queries.event(tx, id);
  const rsvps = await queries.rsvps(tx, id, MOST.rsvps);
  const history = await queries.history(tx, id, MOST.history);
  const conflicts = await queries.conflicts(tx, MOST.conflicts, id);
  const deadLetters = await queries.deadLetters(tx, MOST.deadLetters, id);
  // Of one that was deleted its history is left.
  if (!event && history.length + deadLetters.length === 0) return NO_EVENT;
  return {
    title: titleOf(event),
    body: (
      <>
        <p class="trail">
          <a href="/events">Events</a>
        </p>
        <div class="row">
          <h1>{titleOf(event)}</h1>
          {event && <Badge status={event.status} />}
        </div>
        {event?.note && (
          <p class={event.status === "failed" ? "problem" : "quiet"}>
            {shortened(event.note)}
          </p>
        )}
        {event && <Buttons event={event} />}
        {event && <Facts event={event} />}
        {deadLetters.length > 0 && (
          <section aria-labelledby="dead-letters">
            <h2 id="dead-letters">Dead letters</h2>
            <DeadLetterTable letters={deadLetters} />
          </section>
        )}
        {conflicts.length > 0 && (
          <section aria-labelledby="conflicts">
            <h2 id="conflicts">Conflicts</h2>
            <ConflictTable conflicts={conflicts} />
          </section>
        )}
        <section aria-labelledby="history">
          <h2 id="history">History</h2>
          <Cut
            what="The newest"
            shown={history.length}
            total={history[0]?.total ?? 0}
          />
          <History lines={history} />
        </section>
        {event && <Rsvps rsvps={rsvps} />}
      </>
    ),
  };
};

function titleOf(event: Event | undefined): string {
  return event ? event.title || "Event without a title" : "Deleted event";
}

const NO_EVENT: Page = {
  title: "No such event",
  status: 404,
  body: (
    <>
      <h1>No such event</h1>
      <p>
        No row of canonical_events has this id, and nothing is known of one that
        had. <a href="/events">All events</a>
      </p>
    </>
  ),
};

function Buttons({ event }: { event: Event }) {
  const isOpen = ["waiting", "failed"].includes(event.status);
  return (
    <div class="buttons">
      {isOpen && (
        <Action to="retry" fields={{ id: event.event_id }} strong>
          Send it now
        </Action>
      )}
      {event.luma_event_id && (
        <Action to="pull" fields={{ event: event.event_id }}>Pull now</Action>
      )}
      {event.luma_url?.startsWith("https://") && (
        <a class="button" href={event.luma_url} rel="noopener noreferrer">
          Open on Luma
        </a>
      )}
    </div>
  );
}

function Facts({ event }: { event: Event }) {
  const seats = [
    event.current_rsvp_count ?? 0,
    event.max_capacity && ` of ${event.max_capacity}`,
    event.external_count && `, ${event.external_count} of them only on Luma`,
  ].filter(Boolean).join("");
  return (
    <dl class="facts wide">
      <dt>Starts</dt>
      <dd>
        <time datetime={event.starts_at.toISOString()}>
          {atEvent(event.starts_at, event.tz)}
        </time>{" "}
        <span class="quiet">{event.tz}</span>
      </dd>
      <dt>Place</dt>
      <dd>{event.location_name ?? "–"}</dd>
      <dt>Submission</dt>
      <dd>{event.submission_status ?? "–"}</dd>
      <dt>Source</dt>
      <dd>{event.source_type ?? "–"}</dd>
      <dt>Visibility</dt>
      <dd>{event.visibility ?? "–"}</dd>
      <dt>Going</dt>
      <dd>{seats || "0"}</dd>
      <dt>Calendar</dt>
      <dd>{event.calendar ?? "–"}</dd>
      <dt>Luma’s id</dt>
      <dd>{event.luma_event_id ? <code>{event.luma_event_id}</code> : "–"}</dd>
      <dt>Last agreed</dt>
      <dd>
        <Ago at={event.synced_at} />
      </dd>
      {event.status === "waiting" && !!event.attempts && (
        <>
          <dt>Next try</dt>
          <dd>
            <Ago at={event.due_at} />, after{" "}
            {counted(event.attempts, "failed one")}
          </dd>
        </>
      )}
      <dt>Row</dt>
      <dd>
        <code>{event.event_id}</code>
      </dd>
    </dl>
  );
}

function Rsvps({ rsvps }: { rsvps: Rsvp[] }) {
  return (
    <section aria-labelledby="rsvps">
      <h2 id="rsvps">RSVPs</h2>
      <Cut
        what="The first"
        shown={rsvps.length}
        total={rsvps[0]?.total ?? 0}
      />
      <RsvpTable rsvps={rsvps} />
    </section>
  );
}

function RsvpTable({ rsvps }: { rsvps: Rsvp[] }) {
  return (
    <Table
      caption="RSVPs"
      heads={["Who", "E-mail", "Here", "On Luma", "State", "Agreed"]}
      empty="Nobody has answered yet."
    >
      {rsvps.map((rsvp) => (
        <tr>
          <th scope="row">{rsvp.name ?? rsvp.user_id}</th>
          <td class="address">{rsvp.email ? shortened(rsvp.email) : "–"}</td>
          <td>{words(rsvp.rsvp_status ?? "–")}</td>
          <td>{words(rsvp.luma_status ?? "–")}</td>
          <td>
            <Badge status={rsvp.status} />
            {rsvp.note && <span class="note">{shortened(rsvp.note)}</span>}
          </td>
          <td>
            <Ago at={rsvp.synced_at} />
          </td>
        </tr>
      ))}
    </Table>
  );
}
