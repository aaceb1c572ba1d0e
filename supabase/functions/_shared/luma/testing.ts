/** A stand-in for Luma's server, for the tests in this folder. */
import {
  createLumaClient,
  type LumaClient,
  type LumaClientOptions,
} from "./client.ts";

/** The key that the tests use; no error may quote it. */
export const TEST_KEY = "luma-test-key-5f1c";

/** An event with every field that the product cannot do without. */
export const EVENT = {
  id: "evt-1",
  calendar_id: "cal-1",
  name: "Morning run",
  start_at: "2026-12-01T01:30:00.000Z",
  end_at: "2026-12-01T03:00:00.000Z",
  timezone: "Asia/Kolkata",
  url: "https://luma.com/morning-run",
  visibility: "public",
};

export const GUEST = {
  id: "gst-1",
  user_email: "a@example.com",
  approval_status: "approved",
};

export const WEBHOOK = {
  id: "wh-1",
  url: "https://example.com/hook",
  event_types: ["*"],
  status: "active",
  secret: "whsec_test",
};

export const TICKET_TYPE = { id: "ttype-1", name: "Entry", type: "paid" };

/** A client of a server on 127.0.0.1 that answers with `handler`; both end with `run`. */
export async function withServer<T>(
  handler: (request: Request) => Response | Promise<Response>,
  run: (luma: LumaClient, baseUrl: string) => Promise<T>,
  options: Partial<LumaClientOptions> = {},
): Promise<T> {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    handler,
  );
  try {
    const baseUrl = `http://127.0.0.1:${server.addr.port}`;
    return await run(
      createLumaClient({ apiKey: TEST_KEY, baseUrl, ...options }),
      baseUrl,
    );
  } finally {
    await server.shutdown();
  }
}

/** A client of a raw TCP server that writes `bytes` to each request and then closes the connection, or holds it open. */
export async function withRawServer<T>(
  bytes: string,
  after: "close" | "hold",
  run: (luma: LumaClient, baseUrl: string) => Promise<T>,
  options: Partial<LumaClientOptions> = {},
): Promise<T> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await connection.read(new Uint8Array(65536));
      await connection.write(new TextEncoder().encode(bytes));
      if (after === "close") connections.pop()?.close();
    }
  })();
  try {
    const baseUrl = `http://127.0.0.1:${listener.addr.port}`;
    return await run(
      createLumaClient({ apiKey: TEST_KEY, baseUrl, ...options }),
      baseUrl,
    );
  } finally {
    listener.close();
    await serving;
    for (const connection of connections) connection.close();
  }
}
