/** The first page: is everything in sync, and if not, why. */
import type { PageOf } from "./page.ts";
import { LagTable, QueueTable, Reasons } from "./backlog.tsx";
import { BackfillSection, ModeSection } from "./controls.tsx";
import { CalendarSection } from "./calendars.tsx";
import { PIECES } from "./chart.tsx";
import { counted, duration, number, shortened } from "./format.ts";
import { Ago } from "./parts.tsx";
import * as queries from "./queries.ts";
import type * as rows from "./rows.ts";

/** Of each kind. */
const MOST_REASONS = 300;

export const overviewPage: PageOf = async (tx, { now }) => {
  const { mode } = await queries.headline(tx);
  const health = await queries.health(tx);
  const alerts = await queries.alerts(tx);
  const events = await queries.eventCounts(tx);
  const lag = await queries.lag(tx);
  const reasons = await queries.reasons(tx, MOST_REASONS);
  const queue = await queries.queue(tx);
  const calendars = await queries.calendars(tx);
  const traffic = await queries.traffic(tx, PIECES);
  const backfill = await queries.backfill(tx);
  return {
    title: "Overview",
    body: (
      <>
        <h1>{verdict(mode, health, calendars)}</h1>
        <Concerns health={health} alerts={alerts} />
        <Figures health={health} events={events} lag={lag} />
        <Reasons reasons={reasons} queue={queue} />
        <section aria-labelledby="calendars">
          <h2 id="calendars">Calendars</h2>
          <div class="cards">
            {calendars.map((calendar) => (
              <CalendarSection
                calendar={calendar}
                traffic={traffic.filter((t) =>
                  t.calendar === calendar.calendar
                )}
                now={now}
              />
            ))}
          </div>
        </section>
        <QueueTable queue={queue} />
        <LagTable lag={lag} />
        <div class="cards">
          <ModeSection mode={mode} />
          <BackfillSection backfill={backfill} />
        </div>
      </>
    ),
  };
};

/** The whole state in one sentence: the worst of it. */
function verdict(
  mode: rows.Mode,
  health: rows.Health,
  calendars: rows.Calendar[],
): string {
  const waiting = health.waiting + health.in_flight;
  if (health.dead > 0) {
    return health.dead === 1
      ? "One change was given up"
      : `${number(health.dead)} changes were given up`;
  }
  if (health.problem || calendars.some(({ problem }) => problem)) {
    return "The sync needs a look";
  }
  if (mode === "off") return "The sync is off";
  if (waiting > 0) {
    return calendars.every(({ ready }) => ready)
      ? `${counted(waiting, "change")} on the way`
      : `${counted(waiting, "change")} waiting`;
  }
  return mode === "dry_run"
    ? "Dry run: nothing is sent or written"
    : "Everything is in sync";
}

function Concerns(
  { health, alerts }: { health: rows.Health; alerts: rows.Alert[] },
) {
  const notes = [
    health.problem,
    health.missed_changes > 0 &&
    `${
      counted(health.missed_changes, "change")
    } could not be enqueued by a trigger (luma.missed_changes); the sweep finds them.`,
    health.duplicates > 0 &&
    `${
      counted(health.duplicates, "row")
    } show a Luma event that another row is linked with (luma.duplicates).`,
  ].filter((note) => typeof note === "string");
  const told = new Set(alerts.map(({ message }) => message));
  const untold = notes.filter((note) => !told.has(note));
  if (alerts.length + untold.length === 0) return null;
  return (
    <section aria-labelledby="alerts">
      <h2 id="alerts">Needs a look</h2>
      <ul class="alerts">
        {alerts.map((alert) => (
          <li>
            {shortened(alert.message)}{" "}
            <span class="quiet">
              since <Ago at={alert.raised_at} />
            </span>
          </li>
        ))}
        {untold.map((note) => <li>{shortened(note)}</li>)}
      </ul>
    </section>
  );
}

function Figures({ health, events, lag }: {
  health: rows.Health;
  events: rows.Count[];
  lag: rows.Lag[];
}) {
  const onLuma = events.filter(({ status }) =>
    status.endsWith("on Luma") && status !== "not on Luma"
  )
    .reduce((sum, { count }) => sum + count, 0);
  const all = events.reduce((sum, { count }) => sum + count, 0);
  const slowest = (direction: rows.Lag["direction"]) => {
    const p50s = lag.filter((line) => line.direction === direction)
      .map(({ p50_ms }) => p50_ms);
    return p50s.length > 0 ? duration(Math.max(...p50s)) : "–";
  };
  return (
    <dl class="figures">
      <Figure name="Events on Luma" more={`of ${number(all)}`}>
        {number(onLuma)}
      </Figure>
      <Figure name="Waiting" more={`${number(health.in_flight)} in flight`}>
        {number(health.waiting)}
      </Figure>
      <Figure name="Given up" more="dead letters">
        {number(health.dead)}
      </Figure>
      <Figure name="To Luma" more="median, last hour">
        {slowest("to Luma")}
      </Figure>
      <Figure name="From Luma" more="median, last hour">
        {slowest("from Luma")}
      </Figure>
      <Figure name="Last drain" more="started">
        <Ago at={health.last_drain} />
      </Figure>
    </dl>
  );
}

function Figure(
  { name, more, children }: { name: string; more: string; children: unknown },
) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <strong>{children}</strong> <span class="quiet">{more}</span>
      </dd>
    </div>
  );
}
