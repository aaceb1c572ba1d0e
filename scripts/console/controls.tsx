/** The mode and the backfill, with their switches. */
import { counted, number, relative } from "./format.ts";
import { Action, Badge, FrameContext, Hidden } from "./parts.tsx";
import { useContext } from "hono/jsx";
import type { Backfill, Mode } from "./rows.ts";

const MODES: [Mode, string][] = [
  ["off", "Nothing is sent or written. Changes wait."],
  ["dry_run", "Only shows what would be sent and written."],
  ["live", "Both sides follow each other."],
];

export function ModeSection({ mode }: { mode: Mode }) {
  return (
    <section class="card" aria-labelledby="mode">
      <div class="row">
        <h2 id="mode">Mode</h2>
        <Badge status={mode} />
      </div>
      <form method="post" action="/actions/mode">
        <Hidden />
        <fieldset>
          <legend class="unseen">Mode</legend>
          {MODES.map(([name, meaning]) => (
            <p class="choice">
              <input
                type="radio"
                name="mode"
                value={name}
                id={`mode-${name}`}
                checked={name === mode}
                aria-describedby={`mode-${name}-is`}
              />
              <label for={`mode-${name}`}>{name.replace("_", " ")}</label>
              <span class="quiet" id={`mode-${name}-is`}>{meaning}</span>
            </p>
          ))}
        </fieldset>
        <p class="choice confirm">
          <input type="checkbox" name="confirm" value="yes" id="confirm" />
          <label for="confirm">
            Go live: send everything that waits to the real Luma
          </label>
        </p>
        <button type="submit">Set the mode</button>
      </form>
    </section>
  );
}

export function BackfillSection({ backfill }: { backfill: Backfill }) {
  const { state, done, total, waiting, dead } = backfill;
  return (
    <section class="card" aria-labelledby="backfill">
      <div class="row">
        <h2 id="backfill">Backfill</h2>
        <Badge status={state === "stopped" ? "paused" : state} />
      </div>
      {state === "none" ? <p>There has been no backfill.</p> : (
        <>
          <p>
            <label for="progress">
              {number(done)} of{" "}
              {counted(total, "event or RSVP", "events and RSVPs")} sent
            </label>
            <progress id="progress" value={done} max={Math.max(total, 1)}>
              {done} of {total}
            </progress>
          </p>
          <Pace backfill={backfill} />
          {dead > 0 && (
            <p>
              <a href="/dead-letters">
                {counted(dead, "could not be sent", "could not be sent")}
              </a>
            </p>
          )}
        </>
      )}
      <div class="buttons">
        <Action to="backfill">
          {state === "stopped" ? "Go on with the backfill" : "Backfill now"}
        </Action>
        {state === "running" && waiting > 0 && (
          <Action to="stop-backfill">Stop it</Action>
        )}
      </div>
    </section>
  );
}

function Pace({ backfill: { per_minute, ends_at } }: { backfill: Backfill }) {
  const { now } = useContext(FrameContext);
  if (!per_minute) return null;
  return (
    <p class="quiet">
      {number(per_minute)}{" "}
      a minute{ends_at && `, over ${relative(ends_at, now)}`}
    </p>
  );
}
