import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { toUploadable } from "./convert_image.ts";
import { CoverError, type CoverReason } from "./cover_error.ts";
import { fetchImage, type FetchImageOptions } from "./fetch_image.ts";
import { filled, png } from "./images_for_tests.ts";

const PNG = (await png(filled(40, 30, [220, 30, 40, 255]))).bytes;

/** Serves `handler` while `body` runs; `base` is its address and is allowed. */
async function withServer(
  handler: (request: Request, path: string) => Response | Promise<Response>,
  body: (base: string, options: FetchImageOptions) => Promise<void>,
) {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => handler(request, new URL(request.url).pathname),
  );
  const host = `127.0.0.1:${server.addr.port}`;
  await body(`http://${host}`, { fetch, allowedHosts: [host] });
}

async function refusal(
  address: string,
  options: FetchImageOptions,
): Promise<CoverError> {
  const error = await assertRejects(
    () => fetchImage(address, options),
    CoverError,
  );
  assertFalse(error.message.includes("secret"), error.message);
  return error;
}

async function assertRefused(
  address: string,
  options: FetchImageOptions,
  reason: CoverReason,
  transient: boolean,
) {
  const error = await refusal(address, options);
  assertEquals(
    [error.reason, error.transient],
    [reason, transient],
    error.message,
  );
  assertStringIncludes(error.message, new URL(address).pathname);
}

/** A body that sends `chunk` again and again, until it is cancelled. */
function endless(
  chunk: Uint8Array<ArrayBuffer>,
  everyMs: number,
  cancelled?: () => void,
) {
  let timer: ReturnType<typeof setInterval>;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      timer = setInterval(() => controller.enqueue(chunk), everyMs);
    },
    cancel() {
      clearInterval(timer);
      cancelled?.();
    },
  });
}

/** Answers the one request it takes with exactly these bytes, then hangs up. */
function answerOnce(head: string, body: Uint8Array<ArrayBuffer>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    const writer = connection.writable.getWriter();
    await writer.write(new TextEncoder().encode(head));
    await writer.write(body);
    await writer.close();
  })();
  const host = `127.0.0.1:${listener.addr.port}`;
  return {
    address: `http://${host}/a.png`,
    options: { fetch, allowedHosts: [host] },
    async [Symbol.asyncDispose]() {
      listener.close();
      await served;
    },
  };
}

Deno.test("an image's type comes from its bytes, whatever name and header say", async () => {
  await withServer(
    () => new Response(PNG, { headers: { "content-type": "text/html" } }),
    async (base, options) => {
      const image = await fetchImage(`${base}/a.jpg?token=secret`, options);
      assertEquals(image.type, "image/png");
      assertEquals(image.bytes, PNG);
      assertEquals(image.url, `${base}/a.jpg`);
    },
  );
});

Deno.test("an HTML page with status 200 is not an image", async () => {
  const html = { headers: { "content-type": "image/png" } };
  await withServer(
    () => new Response("<!doctype html><title>Not found</title>", html),
    (base, options) =>
      assertRefused(`${base}/a.png`, options, "not_an_image", false),
  );
});

Deno.test("statuses tell what is gone, what is refused and what may work later", async () => {
  await withServer(
    (_, path) => new Response("no", { status: Number(path.slice(1)) }),
    async (base, options) => {
      const query = "?token=secret";
      for (const status of [404, 410]) {
        await assertRefused(
          `${base}/${status}${query}`,
          options,
          "not_found",
          false,
        );
      }
      for (const status of [400, 401, 403]) {
        await assertRefused(
          `${base}/${status}${query}`,
          options,
          "http",
          false,
        );
      }
      for (const status of [408, 429, 500, 503]) {
        await assertRefused(`${base}/${status}${query}`, options, "http", true);
      }
    },
  );
});

Deno.test("an answer without a body is empty", async () => {
  await withServer(
    (_, path) => new Response(null, { status: path === "/204" ? 204 : 200 }),
    async (base, options) => {
      await assertRefused(`${base}/200`, options, "empty", false);
      await assertRefused(`${base}/204`, options, "empty", false);
    },
  );
});

Deno.test("three redirects are followed, relative ones too, and a fourth is not", async () => {
  let asked = 0;
  await withServer(
    (_, path) => {
      asked++;
      const left = Number(path.slice(1));
      return left === 0 ? new Response(PNG) : new Response("moved", {
        status: 302,
        headers: { location: `./${left - 1}` },
      });
    },
    async (base, options) => {
      assertEquals((await fetchImage(`${base}/3`, options)).bytes, PNG);
      asked = 0;
      await assertRefused(`${base}/99`, options, "http", false);
      assertEquals(asked, 4);
    },
  );
});

Deno.test("a redirect to a private address, another host or another scheme is not followed", async () => {
  let reached = false;
  await withServer(
    () => {
      reached = true;
      return new Response(PNG);
    },
    (hidden) =>
      withServer(
        (request) => {
          const location = new URL(request.url).searchParams.get("to") ?? "";
          return new Response(null, { status: 301, headers: { location } });
        },
        async (base, options) => {
          const targets: [string, CoverReason][] = [
            [
              "https://169.254.169.254/latest/meta-data?secret",
              "host_not_allowed",
            ],
            ["https://evil.example/a.png", "host_not_allowed"],
            [hidden.replace("http:", "https:"), "host_not_allowed"],
            [hidden, "not_https"],
            ["file:///etc/passwd", "not_https"],
            ["http://", "invalid_url"],
          ];
          for (const [to, reason] of targets) {
            const error = await refusal(
              `${base}/?to=${encodeURIComponent(to)}`,
              options,
            );
            assertEquals([error.reason, error.transient], [reason, false], to);
          }
        },
      ),
  );
  assertFalse(reached);
});

Deno.test("a body that drips hits the timeout, and its connection is let go", async () => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  await withServer(
    () => new Response(endless(PNG.slice(0, 1), 20, resolve)),
    async (base, options) => {
      const before = performance.now();
      await assertRefused(
        `${base}/a.png`,
        { ...options, timeoutMs: 300 },
        "timeout",
        true,
      );
      assertLess(performance.now() - before, 3000);
      await cancelled;
    },
  );
});

Deno.test("a server that never answers hits the timeout", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  await withServer(
    () => promise,
    async (base, options) => {
      await assertRefused(
        `${base}/a.png`,
        { ...options, timeoutMs: 100 },
        "timeout",
        true,
      );
      resolve(new Response());
    },
  );
});

Deno.test("a body is read no further than the limit, with or without a content-length", async () => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  await withServer(
    (_, path) =>
      path === "/endless"
        ? new Response(endless(new Uint8Array(600), 1, resolve))
        : new Response(new Uint8Array(1001)),
    async (base, options) => {
      const limited = { ...options, maxBytes: 1000 };
      await assertRefused(`${base}/stated`, limited, "too_large", false);
      await assertRefused(`${base}/endless`, limited, "too_large", false);
      await cancelled;
    },
  );
});

Deno.test("an image of exactly the limit is read", async () => {
  await withServer(
    () => new Response(PNG),
    async (base, options) => {
      const { bytes } = await fetchImage(base, {
        ...options,
        maxBytes: PNG.length,
      });
      assertEquals(bytes.length, PNG.length);
      await assertRefused(
        `${base}/`,
        { ...options, maxBytes: PNG.length - 1 },
        "too_large",
        false,
      );
    },
  );
});

Deno.test("a content-length that promises less than the body does not lift the limit", async () => {
  const { promise: cancelled, resolve } = Promise.withResolvers<void>();
  const lying: typeof fetch = () =>
    Promise.resolve(
      new Response(endless(new Uint8Array(600), 1, resolve), {
        headers: { "content-length": "10" },
      }),
    );
  await assertRefused(
    "https://game.zo.xyz/a.png",
    { fetch: lying, allowedHosts: ["game.zo.xyz"], maxBytes: 1000 },
    "too_large",
    false,
  );
  await cancelled;
});

Deno.test("of a body larger than its content-length only the stated part arrives, and is undecodable", async () => {
  await using server = answerOnce(
    "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n",
    PNG,
  );
  const image = await fetchImage(server.address, server.options);
  assertEquals(image.bytes.length, 40);
  const error = await assertRejects(() => toUploadable(image), CoverError);
  assertEquals(error.reason, "undecodable");
});

Deno.test("a connection that breaks within the body may work later", async () => {
  await using server = answerOnce(
    "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n",
    PNG,
  );
  await assertRefused(server.address, server.options, "network", true);
});

Deno.test("a server that is not there may be there later", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const host = `127.0.0.1:${listener.addr.port}`;
  listener.close();
  await assertRefused(
    `http://${host}/a.png?token=secret`,
    { fetch, allowedHosts: [host] },
    "network",
    true,
  );
});

Deno.test("what fetch says of a failure is told, without the address's token", async () => {
  const failing: typeof fetch = (url) =>
    Promise.reject(
      new TypeError(`error sending request for url (${url}): dns error`),
    );
  const error = await refusal("https://game.zo.xyz/a.png?token=secret", {
    fetch: failing,
    allowedHosts: ["game.zo.xyz"],
  });
  assertStringIncludes(
    error.message,
    "for url (https://game.zo.xyz/a.png): dns error",
  );
});

Deno.test({
  name: "an image that arrived leaves no timer behind",
  sanitizeOps: true,
  async fn() {
    const served: typeof fetch = () => Promise.resolve(new Response(PNG));
    await fetchImage("https://game.zo.xyz/a.png", {
      fetch: served,
      allowedHosts: ["game.zo.xyz"],
    });
  },
});

Deno.test("an address that is not allowed is never asked", async () => {
  let asked = false;
  const spy: typeof fetch = () => {
    asked = true;
    return Promise.resolve(new Response(PNG));
  };
  const options = { fetch: spy, allowedHosts: ["game.zo.xyz"] };
  await assertRejects(
    () => fetchImage("https://evil.example/a.png", options),
    CoverError,
  );
  assertFalse(asked);
  assert(
    (await fetchImage("https://game.zo.xyz/a.png", options)).bytes.length > 0,
  );
  assert(asked);
});
