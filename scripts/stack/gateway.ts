/** One address for the Data API and the functions, as a Supabase project has, and for the app's files. */
import { appFile } from "./app_files.ts";
import type { FunctionHost } from "./functions.ts";

export interface Gateway {
  /** Without a slash at the end. */
  readonly url: string;
  stop(): Promise<void>;
}

/** What is behind the gateway; 503 as long as it is not there. */
export interface GatewayTargets {
  /** The address under which /rest/v1 answers. */
  dataApiUrl?: string;
  functions?: Pick<FunctionHost, "handle">;
}

/** Listens on a free port of 127.0.0.1. */
export function startGateway(targets: GatewayTargets): Gateway {
  const closing = new AbortController();
  const server = Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      signal: closing.signal,
    },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      const functionName = pathname.match(
        /^\/functions\/v1\/([A-Za-z][A-Za-z0-9_-]*)/,
      )?.[1];
      if (functionName) {
        return await targets.functions?.handle(functionName, request) ??
          notStarted("The functions");
      }
      if (pathname.startsWith("/rest/v1")) {
        if (targets.dataApiUrl === undefined) return notStarted("The Data API");
        return await passOn(
          request,
          `${targets.dataApiUrl}${pathname}${search}`,
        );
      }
      const file = appFile(pathname);
      if (file) return file;
      const message =
        `Nothing at ${pathname}: there is /rest/v1, /functions/v1/<name>, and the app's images.`;
      return Response.json({ message }, { status: 404 });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    // Aborted, not drained: a function that never answers must not keep the stack from stopping.
    stop: async () => {
      closing.abort();
      await server.finished;
    },
  };
}

function notStarted(what: string): Response {
  return Response.json(
    { message: `${what} did not start yet, or not at all.` },
    { status: 503 },
  );
}

async function passOn(request: Request, target: string): Promise<Response> {
  try {
    return await fetch(target, {
      method: request.method,
      headers: request.headers,
      body: request.body,
      redirect: "manual",
    });
  } catch (error) {
    return Response.json({ message: `The Data API did not answer: ${error}` }, {
      status: 502,
    });
  }
}
