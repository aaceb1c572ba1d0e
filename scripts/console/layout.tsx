/** What is around every page. */
import type { Child } from "hono/jsx";
import { html, raw } from "hono/html";
import { LIVE_SCRIPT } from "./live.ts";
import { Badge, type Frame, FrameContext } from "./parts.tsx";
import type { Headline } from "./rows.ts";

/** What an action has to say on the page after it. */
export interface Flash {
  done: boolean;
  message: string;
  hint?: string;
}

export interface LayoutProps {
  title: string;
  frame: Frame;
  /** Null when the database cannot be asked. */
  headline: Headline | null;
  flash?: Flash;
  nonce: string;
  children: Child;
}

const PAGES = [
  ["/", "Overview"],
  ["/events", "Events"],
  ["/dead-letters", "Dead letters"],
  ["/conflicts", "Conflicts"],
  ["/webhooks", "Webhooks"],
  ["/pulls", "Pulls"],
  ["/log", "Log"],
] as const;

/** The whole document. */
export function document(props: LayoutProps) {
  const { title, frame, headline, flash, nonce } = props;
  // Who listens to the page hears the outcome first.
  const heading = flash ? `${flash.message} · ${title}` : title;
  const page = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{heading} · Luma console</title>
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <FrameContext.Provider value={frame}>
          <a class="skip" href="#content">Skip to the content</a>
          <Head here={frame.here} headline={headline} />
          <main id="content" tabindex={-1}>
            {flash && <FlashBox flash={flash} />}
            <div data-live>{props.children}</div>
          </main>
          <footer>
            <p>
              On this machine only. Every button calls a SQL function of the
              schema <code>luma</code>, and leaves a line in the{" "}
              <a href="/log">log</a>.
            </p>
          </footer>
        </FrameContext.Provider>
        <script nonce={nonce}>{raw(LIVE_SCRIPT)}</script>
      </body>
    </html>
  );
  return html`<!doctype html>${page}`;
}

function Head({ here, headline }: { here: string; headline: Headline | null }) {
  const { pathname } = new URL(here, "http://localhost");
  return (
    <header>
      <div class="bar">
        <p class="brand">
          <img src="/icon.svg" alt="" width="20" height="20" />Luma console
        </p>
        {headline && (
          <p class="mode">
            <span class="unseen">Mode:</span>
            <Badge status={headline.mode} />
          </p>
        )}
        <button type="button" id="live" hidden>Pause updates</button>
      </div>
      <nav aria-label="Pages">
        <ul>
          {PAGES.map(([path, name]) => (
            <li>
              <a href={path} aria-current={isIn(pathname, path)}>
                {name}
                {path === "/dead-letters" && !!headline?.dead && (
                  <span class="count">{headline.dead}</span>
                )}
              </a>
            </li>
          ))}
        </ul>
      </nav>
    </header>
  );
}

function isIn(pathname: string, path: string): "page" | "true" | undefined {
  if (pathname === path) return "page";
  return path !== "/" && pathname.startsWith(`${path}/`) ? "true" : undefined;
}

function FlashBox({ flash }: { flash: Flash }) {
  return (
    <div
      class={flash.done ? "flash" : "flash bad"}
      role={flash.done ? "status" : "alert"}
      tabindex={-1}
      autofocus
    >
      <p>
        <strong>{flash.done ? "Done." : "That did not work."}</strong>{" "}
        {flash.message}
      </p>
      {flash.hint && <p class="hint">{flash.hint}</p>}
    </div>
  );
}
