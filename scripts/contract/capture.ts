/** Seeing what goes over the wire: a fetch that records, and a server that receives webhooks. */
import type { Exchange } from "./contract.ts";
import type { Json } from "./json.ts";

/** A fetch that adds each exchange to `exchanges`. */
export function recordingFetch(exchanges: Exchange[]): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const sent = await request.clone().text();
    const response = await fetch(request);
    const received = await response.text();
    const url = new URL(request.url);
    exchanges.push({
      route: `${request.method} ${url.pathname}`,
      query: url.searchParams,
      requestBody: sent ? parsed(sent) : undefined,
      status: response.status,
      answerBody: parsed(received),
    });
    return new Response(received, response);
  };
}

/** A server on 127.0.0.1 that takes deliveries. */
export interface Receiver {
  url: string;
  /** The bodies so far; one that is not JSON is undefined. */
  bodies: (Json | undefined)[];
  stop(): Promise<void>;
}

/** Starts a receiver of webhooks. */
export function startReceiver(): Receiver {
  const bodies: (Json | undefined)[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      bodies.push(parsed(await request.text()));
      return new Response();
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/webhook`,
    bodies,
    stop: () => server.shutdown(),
  };
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
