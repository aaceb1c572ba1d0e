/** Calls and lag of one calendar over time, drawn on the server. */
import { clock, counted, duration } from "./format.ts";
import { Table } from "./parts.tsx";
import type { Traffic } from "./rows.ts";

/** The chart's pieces: three hours in all. */
export const PIECES = { count: 36, minutes: 5 };

const PIECE_MS = PIECES.minutes * 60_000;
/** Units of the drawing, which is stretched to the width there is. */
const STEP = 10;
const BAR = 7;
const HEIGHT = 48;
/** Of the lag's scale, which is logarithmic: what is faster is drawn as this. */
const FASTEST_MS = 10;

/** Two drawings, one above the other, and a table that says the same. */
export function TrafficChart({ calendar, traffic, now }: {
  calendar: string;
  traffic: Traffic[];
  now: Date;
}) {
  const last = Math.floor(now.getTime() / PIECE_MS);
  const start = new Date((last - PIECES.count + 1) * PIECE_MS);
  const pieces = traffic.filter(({ bucket_at }) => bucket_at >= start);
  if (pieces.length === 0) {
    return <p class="empty">No calls in the last three hours.</p>;
  }
  const x = ({ bucket_at }: Traffic) =>
    Math.round((bucket_at.getTime() - start.getTime()) / PIECE_MS) * STEP;
  return (
    <figure class="chart">
      <Calls pieces={pieces} x={x} />
      <Lag pieces={pieces} x={x} />
      <p class="axis" aria-hidden="true">
        <span>{clock(start).slice(0, 5)}</span>
        <span>{clock(now).slice(0, 5)}</span>
      </p>
      <details id={`table-${calendar}`}>
        <summary>
          As a table<span class="unseen">: calls and lag of {calendar}</span>
        </summary>
        <TrafficTable calendar={calendar} pieces={pieces} />
      </details>
    </figure>
  );
}

interface DrawingProps {
  pieces: Traffic[];
  x: (piece: Traffic) => number;
}

function Calls({ pieces, x }: DrawingProps) {
  const most = Math.max(...pieces.map(({ calls }) => calls));
  const height = (calls: number) => calls / most * HEIGHT;
  const bad = pieces.reduce((sum, p) => sum + p.failed + p.rate_limited, 0);
  const words = `Calls in ${PIECES.minutes} minutes: up to ${most}${
    bad > 0 ? `, ${bad} failed in all` : ""
  }`;
  return (
    <>
      <figcaption>{words}</figcaption>
      <Drawing words={words}>
        {pieces.map((piece) => (
          <>
            <rect
              class="made"
              x={x(piece)}
              y={HEIGHT - height(piece.calls)}
              width={BAR}
              height={height(piece.calls)}
            />
            <rect
              class="failed"
              x={x(piece)}
              y={HEIGHT - height(piece.failed + piece.rate_limited)}
              width={BAR}
              height={height(piece.failed + piece.rate_limited)}
            />
          </>
        ))}
      </Drawing>
    </>
  );
}

function Lag({ pieces, x }: DrawingProps) {
  const late = pieces.flatMap((piece) =>
    piece.p50_ms === null || piece.p99_ms === null
      ? []
      : [{ x: x(piece), p50: piece.p50_ms, p99: piece.p99_ms }]
  );
  if (late.length === 0) return null;
  const slowest = Math.max(...late.map(({ p99 }) => p99), FASTEST_MS * 10);
  const y = (ms: number) =>
    HEIGHT * (1 - Math.log(Math.max(ms, FASTEST_MS) / FASTEST_MS) /
        Math.log(slowest / FASTEST_MS));
  const words = `From the commit to Luma: half within ${
    duration(Math.max(...late.map(({ p50 }) => p50)))
  }, 99 % within ${duration(Math.max(...late.map(({ p99 }) => p99)))}`;
  return (
    <>
      <figcaption>{words}</figcaption>
      <Drawing words={words}>
        {late.map(({ x, p50, p99 }) => (
          <>
            <rect
              class="lag"
              x={x}
              y={y(p99)}
              width={BAR}
              height={Math.max(HEIGHT - y(p99), 1)}
            />
            <rect
              class="half"
              x={x}
              y={y(p50)}
              width={BAR}
              height={Math.max(HEIGHT - y(p50), 1)}
            />
          </>
        ))}
      </Drawing>
    </>
  );
}

function Drawing(
  { words, children }: { words: string; children: unknown },
) {
  return (
    <svg
      role="img"
      aria-label={words}
      viewBox={`0 0 ${PIECES.count * STEP} ${HEIGHT}`}
      preserveAspectRatio="none"
    >
      <line class="floor" x1="0" x2="100%" y1={HEIGHT} y2={HEIGHT} />
      {children}
    </svg>
  );
}

function TrafficTable(
  { calendar, pieces }: { calendar: string; pieces: Traffic[] },
) {
  return (
    <Table
      caption={`Calls and lag of ${calendar}, ${PIECES.minutes} minutes a row`}
      heads={["From", "Calls", "Failed", "Lag p50", "Lag p99"]}
      empty="No calls."
    >
      {pieces.map((piece) => (
        <tr>
          <th scope="row">{clock(piece.bucket_at)}</th>
          <td class="number">{piece.calls}</td>
          <td class="number">
            {piece.rate_limited > 0
              ? `${piece.failed} and ${
                counted(piece.rate_limited, "× 429", "× 429")
              }`
              : piece.failed}
          </td>
          <td class="number">
            {piece.p50_ms === null ? "–" : duration(piece.p50_ms)}
          </td>
          <td class="number">
            {piece.p99_ms === null ? "–" : duration(piece.p99_ms)}
          </td>
        </tr>
      ))}
    </Table>
  );
}
