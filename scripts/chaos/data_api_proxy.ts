/** A proxy before the Data API, in which a function's call can be held, lost or refused before or after its effect. */

/** What a call to a function of the Data API is about. */
export interface RpcCall {
  /** For example luma_claim. */
  name: string;
  body: string;
}

/** What the functions get instead of the answer; undefined lets things go on. */
export type Instead = Response | undefined;

export interface Interceptor {
  before(call: RpcCall): Promise<Instead>;
  /** `answer` is what the database has answered by now. */
  after(call: RpcCall, answer: string): Promise<Instead>;
}

export interface DataApiProxy {
  /** To be used as SUPABASE_URL; no slash at the end. */
  readonly url: string;
  /** Where the real one is. Until it is known every call is answered 503. */
  target: string | undefined;
  stop(): Promise<void>;
}

const STOP_PATIENCE_MS = 2_000;

/** By then the function has given up: see store.ts. */
const FUNCTION_PATIENCE_MS = 12_000;

/** Listens on a free port of 127.0.0.1. */
export function startDataApiProxy(interceptor: Interceptor): DataApiProxy {
  const closing = new AbortController();
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const handle = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    if (proxy.target === undefined) return refusal(503);
    const call = {
      name: pathname.split("/").at(-1) ?? "",
      body: await request.text(),
    };
    const before = await interceptor.before(call);
    if (before) return before;
    const answer = await forward(
      client,
      request,
      `${proxy.target}${pathname}${search}`,
      call.body,
      // A call may hang for ever in a Data API whose database has crashed.
      AbortSignal.any([
        closing.signal,
        AbortSignal.timeout(FUNCTION_PATIENCE_MS),
      ]),
    );
    const after = await interceptor.after(call, answer.text);
    const { status, type, text } = answer;
    return after ?? new Response(
      // 204 and its kin may have no body, not even an empty one.
      text === "" ? null : text,
      { status, headers: { "content-type": type } },
    );
  };
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
    signal: closing.signal,
  }, handle);
  const proxy: DataApiProxy = {
    url: `http://127.0.0.1:${server.addr.port}`,
    target: undefined,
    stop: async () => {
      closing.abort();
      // Deno may wait for ever for a connection whose client was killed in the middle of its request.
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<void>((resolve) =>
        timer = setTimeout(resolve, STOP_PATIENCE_MS)
      );
      await Promise.race([server.finished, patience]);
      clearTimeout(timer);
      client.close();
    },
  };
  return proxy;
}

async function forward(
  client: Deno.HttpClient,
  request: Request,
  url: string,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; type: string; text: string }> {
  const type = "application/json";
  const headers = new Headers(request.headers);
  for (const name of ["host", "content-length", "accept-encoding"]) {
    headers.delete(name);
  }
  try {
    const response = await fetch(url, {
      client,
      signal,
      method: request.method,
      headers,
      body: body === "" ? null : body,
    });
    return {
      status: response.status,
      type: response.headers.get("content-type") ?? type,
      text: await response.text(),
    };
  } catch {
    return { status: 502, type, text: '{"message": "no answer"}' };
  }
}

/** As a gateway answers when what is behind it does not. */
export function refusal(status: number): Response {
  return Response.json({ message: "simulated failure" }, { status });
}

/** An answer that breaks off. */
export function brokenAnswer(): Response {
  return new Response('{"', {
    headers: { "content-type": "application/json" },
  });
}
