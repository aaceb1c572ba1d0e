/** The routes of the console. */
import { type Context, Hono } from "hono";
import { NONCE, secureHeaders } from "hono/secure-headers";
import type { Child } from "hono/jsx";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type postgres from "postgres";
import { databaseWords } from "../admin/database.ts";
import { act } from "./actions.ts";
import { conflictsPage } from "./conflicts.tsx";
import { deadLettersPage } from "./dead_letters.tsx";
import { eventPage } from "./event.tsx";
import { eventsPage } from "./events.tsx";
import { guard, type Keys } from "./guard.ts";
import { document, type Flash } from "./layout.tsx";
import { logPage } from "./log.tsx";
import { overviewPage } from "./overview.tsx";
import { pullsPage } from "./pulls.tsx";
import { headline, type Reader, reading } from "./queries.ts";
import type { Headline } from "./rows.ts";
import { webhooksPage } from "./webhooks.tsx";

/** What a page has to say; `status` unless it is 200. */
export interface Page {
  title: string;
  body: Child;
  status?: ContentfulStatusCode;
}

/** Reads and draws one page; `query` and `id` come from its address. */
export type PageOf = (
  tx: Reader,
  request: { query: Record<string, string>; id: string; now: Date },
) => Promise<Page>;

const PAGES: Record<string, PageOf> = {
  "/": overviewPage,
  "/events": eventsPage,
  "/events/:id": eventPage,
  "/conflicts": conflictsPage,
  "/dead-letters": deadLettersPage,
  "/webhooks": webhooksPage,
  "/pulls": pullsPage,
  "/log": logPage,
};

const FILES: Record<string, string> = {
  "style.css": "text/css; charset=utf-8",
  "icon.svg": "image/svg+xml",
};

export interface ConsoleOptions {
  sql: postgres.Sql;
  port: number;
  keys: Keys;
  /** Where an error goes that is none of the database's. */
  report: (error: Error) => void;
}

/** Everything that the console answers. */
export function createApp({ sql, port, keys, report }: ConsoleOptions): Hono {
  const app = new Hono();
  // What actions had to say, until it was shown.
  const flashes = new Map<string, Flash>();
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        scriptSrc: [NONCE],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
      // With no-referrer a browser sends the Origin of a form as "null"; others are told nothing by this one either.
      referrerPolicy: "same-origin",
      xFrameOptions: "DENY",
      strictTransportSecurity: false,
    }),
    async (c, next) => {
      await next();
      c.header("cache-control", "no-store");
    },
    guard(keys, port),
  );

  const answer = (c: Context, page: Page, head: Headline | null) => {
    const id = c.req.query("flash") ?? "";
    const flash = flashes.get(id);
    flashes.delete(id);
    const { title, body, status = 200 } = page;
    return c.html(
      document({
        title,
        frame: { csrf: keys.csrf, here: addressOf(c.req.url), now: new Date() },
        headline: head,
        flash,
        nonce: c.get("secureHeadersNonce") ?? "",
        children: body,
      }),
      status,
    );
  };

  for (const [path, pageOf] of Object.entries(PAGES)) {
    app.get(path, async (c) => {
      const request = {
        query: c.req.query(),
        id: c.req.param("id") ?? "",
        now: new Date(),
      };
      const { page, head } = await reading(sql, async (tx) => ({
        head: await headline(tx),
        page: await pageOf(tx, request),
      }));
      return answer(c, page, head);
    });
  }

  for (const [name, type] of Object.entries(FILES)) {
    app.get(`/${name}`, async (c) => {
      const text = await Deno.readTextFile(new URL(name, import.meta.url));
      return c.body(text, 200, { "content-type": type });
    });
  }

  app.post("/actions/:name", async (c) => {
    const body = await c.req.parseBody();
    const fields = Object.fromEntries(
      Object.entries(body).filter(([, value]) => typeof value === "string"),
    ) as Record<string, string>;
    const flash = await act(sql, c.req.param("name"), fields);
    if (!flash) return c.notFound();
    const id = crypto.randomUUID();
    flashes.set(id, flash);
    const back = new URL(addressOf(fields.back ?? "/"), c.req.url);
    back.searchParams.set("flash", id);
    return c.redirect(back.pathname + back.search, 303);
  });
  app.get(
    "/actions/:name",
    (c) =>
      c.text("405: Use a button of the console.\n", 405, { allow: "POST" }),
  );

  app.notFound((c) => answer(c, NOT_FOUND, null));
  app.onError((error, c) => {
    const words = databaseWords(error);
    if (!words) report(error);
    const page = words ? { title: "The page could not be read", ...words } : {
      title: "Something went wrong in the console",
      message: "The terminal that it runs in says more.",
    };
    return answer(c, {
      ...page,
      body: problem(page),
      status: words ? 503 : 500,
    }, null);
  });
  return app;
}

const NOT_FOUND: Page = {
  title: "Not found",
  status: 404,
  body: problem({
    title: "Not found",
    message: "There is no such page.",
    hint: "It may have been an event that was deleted.",
  }),
};

function problem(
  { title, message, hint }: { title: string; message: string; hint?: string },
) {
  return (
    <>
      <h1>{title}</h1>
      <p>{message}</p>
      {hint && <p class="hint">{hint}</p>}
    </>
  );
}

/** Path and query of an address, without what was said on it once. Of another host's the path alone. */
function addressOf(address: string): string {
  const url = URL.parse(address, "http://localhost");
  url?.searchParams.delete("flash");
  // Two slashes would begin another host's address.
  return url ? url.pathname.replace(/^\/+/, "/") + url.search : "/";
}
