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
    );
    const text = await answer.text();
    const { status } = answer;
    const after = await interceptor.after(call, text);
    const type = answer.headers.get("content-type") ?? "application/json";
    // 204 and its kin may have no body, not even an empty one.
    const body = text === "" ? null : text;
    return after ??
      new Response(body, { status, headers: { "content-type": type } });
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
      await server.finished;
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
): Promise<Response> {
  const headers = new Headers(request.headers);
  for (const name of ["host", "content-length", "accept-encoding"]) {
    headers.delete(name);
  }
  try {
    return await fetch(url, {
      client,
      method: request.method,
      headers,
      body: body === "" ? null : body,
    });
  } catch {
    return refusal(502);
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
