/** What several pages are made of. */
import type { Child } from "hono/jsx";
import { createContext, useContext } from "hono/jsx";
import { dayAndClock, number, relative } from "./format.ts";

/** What every part of a page may need. */
export interface Frame {
  csrf: string;
  /** The page's own address, to come back to. */
  here: string;
  now: Date;
}

export const FrameContext = createContext<Frame>({
  csrf: "",
  here: "/",
  now: new Date(0),
});

type Tone = "ok" | "busy" | "wait" | "bad" | "off" | "plain";

/** Each word for a state that the database uses, and how much it asks for attention. */
const TONES: Record<string, Tone> = {
  "on Luma": "ok",
  applied: "ok",
  done: "ok",
  live: "ok",
  ready: "ok",
  stayed: "ok",
  "in flight": "busy",
  running: "busy",
  "under way": "busy",
  dry_run: "busy",
  waiting: "wait",
  held: "wait",
  stored: "wait",
  retry: "wait",
  rate_limited: "wait",
  paused: "wait",
  "to be continued": "wait",
  incomplete: "wait",
  lease_expired: "wait",
  "webhooks missed": "wait",
  "not on Luma": "off",
  "hidden on Luma": "off",
  off: "off",
  none: "off",
  failed: "bad",
  dead: "bad",
  stopped: "bad",
  open: "bad",
};

/** A state in words, with a shape and a colour; any other outcome in words alone. */
export function Badge({ status }: { status: string }) {
  return (
    <span class={`badge ${TONES[status] ?? "plain"}`}>
      {status.replaceAll("_", " ")}
    </span>
  );
}

/** How long ago, with the exact time for who points at it and for machines. */
export function Ago({ at }: { at: Date | null }) {
  const { now } = useContext(FrameContext);
  if (!at) return <span class="quiet">never</span>;
  return (
    <time datetime={at.toISOString()} title={dayAndClock(at, now)}>
      {relative(at, now)}
    </time>
  );
}

/** The exact time. */
export function At({ at }: { at: Date }) {
  const { now } = useContext(FrameContext);
  return <time datetime={at.toISOString()}>{dayAndClock(at, now)}</time>;
}

/** A table that scrolls by itself where the page is too narrow for it. */
export function Table({ caption, heads, children, empty }: {
  caption: string;
  heads: string[];
  /** The rows. */
  children: Child;
  /** Instead of a table without rows. */
  empty: string;
}) {
  if ([children].flat().length === 0) return <p class="empty">{empty}</p>;
  return (
    <div class="scroll" role="group" aria-label={caption} tabindex={0}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>{heads.map((head) => <th scope="col">{head}</th>)}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** A button that asks the database for something. */
export function Action({ to, fields = {}, children, about, strong = false }: {
  /** The name of the action: see actions.ts. */
  to: string;
  fields?: Record<string, string>;
  children: string;
  /** What it acts on, where the page has several such buttons. */
  about?: string;
  strong?: boolean;
}) {
  return (
    <form method="post" action={`/actions/${to}`} class="action">
      <Hidden fields={fields} />
      <button type="submit" class={strong ? "strong" : undefined}>
        {children}
        {about && <span class="unseen">{` ${about}`}</span>}
      </button>
    </form>
  );
}

/** What every form of the console carries. */
export function Hidden({ fields = {} }: { fields?: Record<string, string> }) {
  const { csrf, here } = useContext(FrameContext);
  return (
    <>
      {Object.entries({ ...fields, csrf, back: here }).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
    </>
  );
}

/** A link to the event, or its title alone when there is no such row any more. */
export function EventLink({ id, title }: {
  id: string | null;
  title: string | null;
}) {
  if (!id) return <>{title ?? "–"}</>;
  return <a href={`/events/${id}`}>{title || "without a title"}</a>;
}

/** "The newest 50 of 120", when not all are shown. */
export function Cut({ shown, total, what }: {
  shown: number;
  total: number;
  what: string;
}) {
  if (shown >= total) return null;
  return (
    <p class="quiet">{what} {number(shown)} of {number(total)} are shown.</p>
  );
}
