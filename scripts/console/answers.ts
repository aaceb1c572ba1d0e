/** How pages and the outcome of actions go back to the browser. */
import type { Context } from "hono";
import { document, type Flash } from "./layout.tsx";
import type { Page } from "./page.ts";
import type { Headline } from "./rows.ts";

export class Answers {
  /** What actions had to say, until it was shown. */
  readonly #flashes = new Map<string, Flash>();

  constructor(private readonly csrf: string) {}

  /** A page; without its headline when the database cannot be asked. */
  page(c: Context, page: Page, headline: Headline | null = null) {
    const id = c.req.query("flash") ?? "";
    const flash = this.#flashes.get(id);
    this.#flashes.delete(id);
    const { title, body, status = 200 } = page;
    const html = document({
      title,
      frame: { csrf: this.csrf, here: addressOf(c.req.url), now: new Date() },
      headline,
      flash,
      nonce: c.get("secureHeadersNonce") ?? "",
      children: body,
    });
    return c.html(html, status);
  }

  /** Back to the page that a form was on, which then shows what came of it, once. */
  back(c: Context, to: string, flash: Flash) {
    const id = crypto.randomUUID();
    this.#flashes.set(id, flash);
    const { pathname, searchParams } = new URL(addressOf(to), c.req.url);
    searchParams.set("flash", id);
    return c.redirect(`${pathname}?${searchParams}`, 303);
  }
}

/** Path and query of an address, without what was said on it once. Of another host's the path alone. */
function addressOf(address: string): string {
  const url = URL.parse(address, "http://localhost");
  url?.searchParams.delete("flash");
  // Two slashes would begin another host's address.
  return url ? url.pathname.replace(/^\/+/, "/") + url.search : "/";
}
