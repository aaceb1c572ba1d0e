/** A browser without a window, at a console of its own. */
import { connect } from "../stack/database.ts";
import type { Stack } from "../stack/mod.ts";
import { POOL, serveConsole } from "../console.ts";

/** Every page but those of single events. */
export const PAGES = [
  ...["/", "/events", "/dead-letters", "/conflicts", "/webhooks", "/pulls"],
  "/log",
];

export interface Visit {
  status: number;
  text: string;
  headers: Headers;
}

export interface Client extends AsyncDisposable {
  /** What is printed, with the token. */
  url: string;
  origin: string;
  /** As a browser sends it. */
  cookie: string;
  get(path: string, headers?: HeadersInit): Promise<Visit>;
  /** Posts a form as a page of the console does; answers the page that it leads to. */
  act(action: string, fields?: Record<string, string>): Promise<Visit>;
  /** The same request with something left out or put in its place; redirects are not followed. */
  post(action: string, form: Forged): Promise<Visit>;
}

interface Forged {
  fields?: Record<string, string>;
  headers?: Record<string, string>;
}

/** Serves the console of this stack, opens its address and keeps the cookie. */
export async function openConsole(
  { postgres }: Pick<Stack, "postgres">,
): Promise<Client> {
  const errors: string[] = [];
  const sql = connect(postgres.url, POOL);
  const served = serveConsole(sql, 0, (text) => errors.push(text));
  const { origin } = new URL(served.url);
  const first = await fetch(served.url, { redirect: "manual" });
  await first.body?.cancel();
  const cookie = first.headers.get("set-cookie")?.split(";")[0] ?? "";
  const visit = async (path: string, init: RequestInit): Promise<Visit> => {
    const response = await fetch(new URL(path, origin), {
      redirect: "manual",
      ...init,
    });
    const { status, headers } = response;
    return { status, headers, text: await response.text() };
  };
  const get: Client["get"] = (path, headers = { cookie }) =>
    visit(path, { headers });
  const post: Client["post"] = (action, { fields = {}, headers = {} }) =>
    visit(`/actions/${action}`, {
      method: "POST",
      headers,
      body: new URLSearchParams(fields),
    });
  return {
    url: served.url,
    origin,
    cookie,
    get,
    post,
    async act(action, fields = {}) {
      const csrf = csrfIn((await get("/")).text);
      const done = await post(action, {
        fields: { csrf, back: "/log", ...fields },
        headers: { cookie, origin },
      });
      const location = done.headers.get("location");
      if (done.status !== 303 || !location) {
        throw new Error(`${action} answered ${done.status}: ${done.text}`);
      }
      return await get(location);
    },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      await sql.end({ timeout: 5 });
      if (errors.length > 0) throw new Error(errors.join("\n"));
    },
  };
}

/** The token of the forms of a page. */
export function csrfIn(page: string): string {
  return /name="csrf" value="([0-9a-f]+)"/.exec(page)?.[1] ?? "";
}

/** What a page says, without its tags. */
export function textOf(page: string): string {
  return page.replaceAll(/<(script|title)[^>]*>.*?<\/\1>/gs, "")
    .replaceAll(/<[^>]+>/g, " ")
    .replaceAll("\u2060", "").replaceAll("&amp;", "&").replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll(/\s+/g, " ");
}
