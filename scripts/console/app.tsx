/** The routes of the console. */
import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { NONCE, secureHeaders } from "hono/secure-headers";
import type postgres from "postgres";
import { databaseWords } from "../admin/database.ts";
import { act } from "./actions.ts";
import { Answers } from "./answers.ts";
import { conflictsPage } from "./conflicts.tsx";
import { deadLettersPage } from "./dead_letters.tsx";
import { eventPage } from "./event.tsx";
import { eventsPage } from "./events.tsx";
import { guard, type Keys } from "./guard.ts";
import { logPage } from "./log.tsx";
import { overviewPage } from "./overview.tsx";
import type { Page, PageOf } from "./page.ts";
import { pullsPage } from "./pulls.tsx";
import { headline, reading } from "./queries.ts";
import { webhooksPage } from "./webhooks.tsx";

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

const HEADERS = secureHeaders({
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
});

const NOT_STORED = createMiddleware(async (c, next) => {
  await next();
  c.header("cache-control", "no-store");
});

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
  const answers = new Answers(keys.csrf);
  app.use(HEADERS, NOT_STORED, guard(keys, port));
  for (const [path, pageOf] of Object.entries(PAGES)) {
    app.get(path, (c) => showPage(c, sql, pageOf, answers));
  }
  for (const [name, type] of Object.entries(FILES)) {
    app.get(`/${name}`, async (c) => {
      const text = await Deno.readTextFile(new URL(name, import.meta.url));
      return c.body(text, 200, { "content-type": type });
    });
  }
  app.post("/actions/:name", async (c) => {
    const fields = await textFields(c);
    const flash = await act(sql, c.req.param("name"), fields);
    return flash ? answers.back(c, fields.back ?? "/", flash) : c.notFound();
  });
  app.get("/actions/:name", (c) => {
    return c.text("405: Use a button of the console.\n", 405, {
      allow: "POST",
    });
  });
  app.notFound((c) => answers.page(c, NOT_FOUND));
  app.onError((error, c) => {
    const words = databaseWords(error);
    if (!words) report(error);
    return answers.page(c, words ? unreadable(words) : BROKEN);
  });
  return app;
}

async function showPage(
  c: Context,
  sql: postgres.Sql,
  pageOf: PageOf,
  answers: Answers,
) {
  const id = c.req.param("id") ?? "";
  const request = { query: c.req.query(), id, now: new Date() };
  const { page, head } = await reading(sql, async (tx) => ({
    head: await headline(tx),
    page: await pageOf(tx, request),
  }));
  return answers.page(c, page, head);
}

async function textFields(c: Context): Promise<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(await c.req.parseBody())) {
    if (typeof value === "string") fields[name] = value;
  }
  return fields;
}

const NOT_FOUND: Page = {
  title: "Not found",
  status: 404,
  body: (
    <>
      <h1>Not found</h1>
      <p>There is no such page.</p>
    </>
  ),
};

const BROKEN: Page = {
  title: "Something went wrong in the console",
  status: 500,
  body: (
    <>
      <h1>Something went wrong in the console</h1>
      <p>The terminal that it runs in says more.</p>
    </>
  ),
};

function unreadable(
  { message, hint }: { message: string; hint?: string },
): Page {
  return {
    title: "The page could not be read",
    status: 503,
    body: (
      <>
        <h1>The page could not be read</h1>
        <p>The database says: {message}</p>
        {hint && <p class="hint">{hint}</p>}
      </>
    ),
  };
}
