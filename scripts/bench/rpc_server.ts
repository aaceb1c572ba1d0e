/** The Data API's functions over HTTP, as fast as the database is: @supabase/lite carries a hundred calls a second. */
import postgres from "postgres";
import { DataApi } from "../stack/rpc.ts";

export interface RpcServer extends AsyncDisposable {
  /** To be used as SUPABASE_URL. */
  readonly url: string;
  /** Calls the database of this address from now on, as the service role. */
  connect(databaseUrl: string): void;
}

/** As many connections as PostgREST opens when nothing is said. */
const CONNECTIONS = 10;

export function startRpcServer(): RpcServer {
  let sql: postgres.Sql | undefined;
  let api: DataApi | undefined;
  const closing = new AbortController();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    signal: closing.signal,
    onListen: () => {},
  }, async (request) => {
    if (!api) return new Response(null, { status: 503 });
    const name = new URL(request.url).pathname.split("/").at(-1) ?? "";
    return await api.call(name, await request.text());
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    connect(databaseUrl) {
      sql = postgres(databaseUrl, {
        max: CONNECTIONS,
        onnotice: () => {},
        connection: { role: "service_role" },
      });
      api = new DataApi(sql);
    },
    async [Symbol.asyncDispose]() {
      // Not awaited: who was killed with a call under way would be waited for.
      closing.abort();
      await sql?.end();
    },
  };
}
