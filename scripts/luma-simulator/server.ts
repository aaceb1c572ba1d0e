import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { ACTIONS } from "./actions.ts";
import { type Operated, serveAdmin } from "./admin.ts";
import { type Api, refusal } from "./api.ts";
import { ApiError } from "./errors.ts";
import { upload } from "./images.ts";
import { errorPage, eventPage, indexPage } from "./page.ts";
import type { Recorder } from "./recorder.ts";
import type { RecordedRequest } from "./api.ts";

/** More than Luma would take in one call, and little enough to hold in memory. */
const MAX_BODY_BYTES = 20 * 1024 * 1024;

/** What is reached by HTTP, or in process. */
export interface Served {
  api: Api;
  requests: Recorder<RecordedRequest>;
  operated: () => Operated;
}

export interface ListeningServer {
  port: number;
  close(): Promise<void>;
}

/** Serves HTTP with node:http, because faults need to close a connection in the middle of an exchange. */
export async function listen(
  served: Served,
  hostname: string,
  port: number,
): Promise<ListeningServer> {
  const server = createServer((request, response) => {
    handle(served, request, response).catch((error) => {
      if (error instanceof ApiError) {
        json(response, error.status, refusal(error).body);
        return;
      }
      console.error("luma-simulator: a request failed inside", error);
      json(response, 500, { message: "the simulator failed; see its log" });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error(`the server listens on ${address}, not on a port`);
  }
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(
  served: Served,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? "GET";
  const url = URL.parse(request.url ?? "/", "http://simulator");
  if (!url) throw new ApiError(400, `"${request.url}" is not an address`);
  const body = await bodyOf(request);
  const { pathname } = url;
  if (pathname.startsWith("/_admin/")) {
    serveAdminRequest(served, request, response, method, url, body);
  } else if (pathname.startsWith("/_cdn/upload/")) {
    if (method !== "PUT") throw new ApiError(405, "send the image with PUT");
    const name = pathname.slice("/_cdn/upload/".length);
    const type = request.headers["content-type"] ?? "";
    upload(served.operated().world, name, type, body);
    response.writeHead(200).end();
  } else if (pathname === "/" || pathname.startsWith("/events/")) {
    servePage(served.operated(), response, url);
  } else if (pathname.startsWith("/actions/")) {
    serveForm(served.operated(), request, response, pathname, body);
  } else {
    await serveApi(served, request, response, method, url, body);
  }
}

async function serveApi(
  { api, requests }: Served,
  request: IncomingMessage,
  response: ServerResponse,
  method: string,
  url: URL,
  body: Uint8Array,
): Promise<void> {
  const call = {
    method,
    url,
    key: [request.headers["x-luma-api-key"]].flat()[0] ?? null,
    contentType: request.headers["content-type"] ?? "",
    body: new TextDecoder().decode(body),
  };
  const record = api.record(call);
  response.on("close", () => {
    if (record.outcome !== "open") return;
    record.outcome = "client-gone";
    requests.changed(record);
  });
  const answer = await api.answer(call, record);
  if (answer) {
    // Also when nobody is there to read it: what the call did, it did.
    record.status = answer.status;
    record.response = answer.body;
    if (record.outcome === "open") {
      record.outcome = "answered";
      json(response, answer.status, answer.body, answer.headers);
    }
  } else {
    record.outcome = "closed";
    request.socket.destroy();
  }
  requests.changed(record);
}

function serveAdminRequest(
  served: Served,
  request: IncomingMessage,
  response: ServerResponse,
  method: string,
  url: URL,
  body: Uint8Array,
): void {
  const path = url.pathname.slice("/_admin/".length);
  const image = /^images\/(\w+)$/.exec(path)?.[1];
  const operated = served.operated();
  if (method === "GET" && image !== undefined) {
    const found = operated.world.images.get(image);
    if (!found?.bytes) throw new ApiError(404, `no image "${image}" uploaded`);
    const type = found.bytes[0] === 0xff ? "image/jpeg" : "image/png";
    response.writeHead(200, { "content-type": type }).end(found.bytes);
    return;
  }
  const isJson = /^application\/json\b/i.test(
    request.headers["content-type"] ?? "",
  );
  // Only JSON, which a foreign web page cannot post here without this server's consent.
  if (body.length > 0 && !isJson) {
    throw new ApiError(400, "content-type: send application/json");
  }
  json(response, 200, serveAdmin(operated, method, path, jsonOf(body)));
}

function servePage(
  { simulator, world }: Operated,
  response: ServerResponse,
  url: URL,
): void {
  if (url.pathname === "/") {
    const refresh = url.searchParams.get("refresh") !== "off";
    page(response, 200, indexPage(world, simulator.requests, refresh));
    return;
  }
  const event = world.events.get(url.pathname.slice("/events/".length));
  if (event) page(response, 200, eventPage(event));
  else page(response, 404, errorPage("There is no such event (any more)."));
}

/** A form of the page: does the action, and goes back to the event. */
function serveForm(
  { simulator }: Operated,
  request: IncomingMessage,
  response: ServerResponse,
  pathname: string,
  body: Uint8Array,
): void {
  const { origin, host } = request.headers;
  // A form on a foreign web page must not act here.
  if (origin !== undefined && URL.parse(origin)?.host !== host) {
    page(response, 403, errorPage(`Forms of ${origin} are not taken here.`));
    return;
  }
  const action = ACTIONS.get(pathname.slice("/actions/".length));
  const fields = Object.fromEntries(
    new URLSearchParams(new TextDecoder().decode(body)),
  );
  try {
    if (!action) throw new ApiError(404, `no action ${pathname}`);
    action(simulator, fields);
    const event = simulator.event(fields["event_id"] ?? "");
    const location = event ? `/events/${event.id}` : "/";
    response.writeHead(303, { location }).end();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    page(response, error.status, errorPage(error.message));
  }
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new ApiError(
        413,
        `the body is larger than ${MAX_BODY_BYTES} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

function jsonOf(body: Uint8Array): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new ApiError(400, "the body is not valid JSON");
  }
}

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(status, { ...headers, "content-type": "application/json" })
    .end(JSON.stringify(body));
}

function page(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    // No script anywhere, so that even an escaping mistake could not run one.
    "content-security-policy":
      "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
  }).end(text);
}
