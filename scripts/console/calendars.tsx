/** One calendar: may it be called, how many calls are left, and what it was heard to say. */
import { TrafficChart } from "./chart.tsx";
import { relative, shortened } from "./format.ts";
import { Action, Ago, Badge } from "./parts.tsx";
import type { Calendar, Traffic } from "./rows.ts";

export function CalendarSection({ calendar, traffic, now }: {
  calendar: Calendar;
  traffic: Traffic[];
  now: Date;
}) {
  const id = `calendar-${calendar.calendar}`;
  return (
    <section class="card" aria-labelledby={id}>
      <div class="row">
        <h3 id={id}>
          {calendar.name ?? calendar.calendar} <code>{calendar.calendar}</code>
        </h3>
        <Badge status={stateOf(calendar)} />
      </div>
      {calendar.problem && <p class="problem">{shortened(calendar.problem)}</p>}
      {!calendar.ready && !calendar.problem && <p>{pauseOf(calendar, now)}</p>}
      <dl class="facts">
        <dt>Calls left this minute</dt>
        <dd>{calendar.calls_left} of {calendar.calls_per_minute}</dd>
        <dt>Last webhook</dt>
        <dd>
          <Ago at={calendar.last_webhook} />
          {calendar.webhooks_missed && (
            <>
              {" "}
              <Badge status="webhooks missed" />
            </>
          )}
        </dd>
        <dt>Last whole pull</dt>
        <dd>
          <Ago at={calendar.last_pull} />
        </dd>
      </dl>
      <TrafficChart calendar={calendar.calendar} traffic={traffic} now={now} />
      <div class="buttons">
        <Action
          to={calendar.ready ? "pause" : "resume"}
          fields={{ calendar: calendar.calendar }}
          about={calendar.calendar}
        >
          {calendar.ready ? "Pause" : "Resume"}
        </Action>
        <Action
          to="pull"
          fields={{ calendar: calendar.calendar }}
          about={calendar.calendar}
        >
          Pull now
        </Action>
      </div>
    </section>
  );
}

function stateOf({ ready, paused_by, problem }: Calendar): string {
  if (ready) return "ready";
  return paused_by && !problem ? "paused" : "stopped";
}

function pauseOf({ paused_by, paused_until }: Calendar, now: Date): string {
  const who = paused_by === "luma"
    ? "Luma asked for a pause"
    : "Paused by hand";
  return paused_until
    ? `${who}; it goes on ${relative(paused_until, now)}.`
    : `${who}; its changes wait until it is resumed.`;
}
