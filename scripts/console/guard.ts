/** Who may use the console: whoever has the address that it printed, from a page of its own. */
import type { Context, MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { timingSafeEqual } from "hono/utils/buffer";

/** Made anew for each start of the console. */
export interface Keys {
  /** In the address that is printed. */
  token: string;
  /** In the browser's cookie from then on. */
  session: string;
  /** In every form. */
  csrf: string;
}

/** Three times 32 random bytes. */
export function newKeys(): Keys {
  const random = () => crypto.getRandomValues(new Uint8Array(32)).toHex();
  return { token: random(), session: random(), csrf: random() };
}

/** Answers 403, saying why, to what does not come from who has the address. */
export function guard(keys: Keys, port: number): MiddlewareHandler {
  // Cookies know no ports: another console on this machine has a name of its own.
  const cookie = `luma_console_${port}`;
  return async (c, next) => {
    const host = c.req.header("host") ?? "";
    // A name that somebody else's DNS points here is not this page, whatever it sends.
    if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) {
      return refuse(c, `The console is at 127.0.0.1:${port} only.`);
    }
    const token = c.req.query("token");
    if (token !== undefined && await timingSafeEqual(token, keys.token)) {
      setCookie(c, cookie, keys.session, {
        httpOnly: true,
        sameSite: "Strict",
        path: "/",
      });
      return c.redirect(withoutToken(c.req.url), 303);
    }
    if (!await timingSafeEqual(getCookie(c, cookie) ?? "", keys.session)) {
      return refuse(
        c,
        "Open the address that deno task console printed. It changes with every start.",
      );
    }
    if (c.req.method === "POST") {
      if (c.req.header("origin") !== `http://${host}`) {
        return refuse(c, "This form was not sent by a page of the console.");
      }
      const { csrf } = await c.req.parseBody();
      if (!await timingSafeEqual(String(csrf ?? ""), keys.csrf)) {
        return refuse(
          c,
          "This form is from before the console was started. Go back, reload the page and send it again; nothing was done.",
        );
      }
    }
    await next();
  };
}

function withoutToken(address: string): string {
  const { pathname, searchParams } = new URL(address);
  searchParams.delete("token");
  const query = searchParams.size > 0 ? `?${searchParams}` : "";
  return pathname + query;
}

function refuse(c: Context, why: string): Response {
  return c.text(`403: ${why}\n`, 403);
}
