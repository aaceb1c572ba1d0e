/** An event's history, from the commit to Luma and back. */
import { duration, shortened } from "./format.ts";
import { At, Badge } from "./parts.tsx";
import type { Call, HistoryLine } from "./rows.ts";

/** So many calls, or lines alike in a row, are shown as they are; more are behind a click. */
const FEW = 3;

export function History({ lines }: { lines: HistoryLine[] }) {
  if (lines.length === 0) return <p class="empty">Nothing has happened yet.</p>;
  return <ol class="history">{runs(lines).map((run) => <Run run={run} />)}</ol>;
}

/** Lines that follow each other and are alike: a burst of RSVPs, or of webhooks that told nothing new. */
function runs(lines: HistoryLine[]): HistoryLine[][] {
  const runs: HistoryLine[][] = [];
  for (const line of lines) {
    const run = runs.at(-1);
    if (run?.[0] && kindOf(run[0]) === kindOf(line)) run.push(line);
    else runs.push([line]);
  }
  return runs.flatMap((run) =>
    run.length > FEW ? [run] : run.map((line) => [line])
  );
}

function kindOf({ what, entity, outcome }: HistoryLine): string {
  return [what, what === "webhook" ? "" : entity, outcome].join();
}

function Run({ run }: { run: HistoryLine[] }) {
  const [first, last] = [run[0], run.at(-1)];
  if (!first || !last) return null;
  if (first === last) return <Line line={first} />;
  const { at, what, entity, outcome } = first;
  const kind = what === "webhook" ? "deliveries" : `${named(entity)}s`;
  return (
    <li class={what}>
      <details id={`from-${first.place}`}>
        <summary>
          <span class="line">
            <At at={at} />
            <strong>{capital(what)}: {run.length} {kind}</strong>
            {outcome && <Badge status={outcome} />}
            <span class="quiet">
              within {duration(last.at.getTime() - at.getTime())}
            </span>
          </span>
        </summary>
        <ol class="history">{run.map((line) => <Line line={line} />)}</ol>
      </details>
    </li>
  );
}

function Line({ line }: { line: HistoryLine }) {
  const { at, what, entity, who, outcome, detail, took_ms, calls } = line;
  return (
    <li class={what.replaceAll(" ", "-")}>
      <p class="line">
        <At at={at} />
        <strong>
          {capital(what)}: {named(entity)}
          {who && ` of ${who}`}
        </strong>
        {outcome && <Badge status={outcome} />}
        {took_ms !== null && <span class="quiet">{duration(took_ms)}</span>}
      </p>
      {detail && <p class="detail">{shortened(detail)}</p>}
      <Calls calls={calls} id={`calls-${line.place}`} />
    </li>
  );
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function named(entity: string): string {
  return entity === "rsvp" ? "RSVP" : entity;
}

function Calls({ calls, id }: { calls: Call[]; id: string }) {
  if (calls.length === 0) return null;
  const list = (
    <ul class="calls">
      {calls.map((call) => (
        <li class={isGood(call) ? undefined : "bad"}>
          <code>{call.route}</code> {answerOf(call)}
          {call.body !== undefined && (
            <code class="body">{shortened(JSON.stringify(call.body))}</code>
          )}
        </li>
      ))}
    </ul>
  );
  if (calls.length <= FEW) return list;
  const bad = calls.filter((call) => !isGood(call)).length;
  return (
    <details id={id}>
      <summary>
        <span class="quiet">
          {calls.length} calls{bad > 0 && `, ${bad} refused or lost`}
        </span>
      </summary>
      {list}
    </details>
  );
}

/** What would be sent is no refusal, nor is the answer that something asked for is not there. */
function isGood({ route, status, body }: Call): boolean {
  if (!status) return body !== undefined;
  return status < 400 || status === 404 && route.startsWith("GET ");
}

function answerOf({ status, ms, body }: Call): string {
  const after = ms === undefined ? "" : ` after ${duration(ms)}`;
  if (status) return `answered ${status}${after}`;
  return body === undefined ? `no answer${after}` : "would be sent";
}
