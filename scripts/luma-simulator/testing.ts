import {
  type LumaSimulator,
  type SimulatorOptions,
  startSimulator,
} from "./mod.ts";

// What the simulator's own tests share: a client that checks nothing, and an endpoint for webhooks.

export const BLR = "cal-ZVonmjVxLk7F2oM";
export const ZO_EVENTS = "cal-3YNnBTToy9fnnjQ";

/** An event that Luma takes. */
export const EVENT = {
  name: "Open mic",
  start_at: "2027-01-01T14:00:00Z",
  end_at: "2027-01-01T16:00:00Z",
  timezone: "Asia/Kolkata",
};

export const PNG = new Uint8Array([
  ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  ...[1, 2, 3],
]);

export interface TestAnswer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface Client {
  simulator: LumaSimulator;
  get(
    path: string,
    query?: Record<string, string>,
    key?: string,
  ): Promise<TestAnswer>;
  post(path: string, body: unknown, key?: string): Promise<TestAnswer>;
  /** Creates EVENT with these changes; the new id. */
  create(changes?: object, key?: string): Promise<string>;
}

/** Runs `test` against a fresh simulator, and stops it whatever happens. */
export async function withSimulator(
  options: SimulatorOptions,
  test: (client: Client) => Promise<void>,
): Promise<void> {
  const simulator = await startSimulator(options);
  const send = async (path: string, key: string, init: RequestInit) => {
    const headers = {
      "x-luma-api-key": key,
      "content-type": "application/json",
    };
    const response = await fetch(simulator.url + path, { ...init, headers });
    const { status } = response;
    return { status, headers: response.headers, body: await response.json() };
  };
  const client: Client = {
    simulator,
    get: (path, query = {}, key = "luma-key-blr") =>
      send(`${path}?${new URLSearchParams(query)}`, key, {}),
    post: (path, body, key = "luma-key-blr") =>
      send(path, key, { method: "POST", body: JSON.stringify(body) }),
    create: async (changes = {}, key = "luma-key-blr") => {
      const { status, body } = await client.post(
        "/v1/events/create",
        { ...EVENT, ...changes },
        key,
      );
      if (status !== 200) throw new Error(`create: ${JSON.stringify(body)}`);
      return String(body["id"]);
    },
  };
  try {
    await test(client);
  } finally {
    await simulator.stop();
  }
}

export interface Receiver {
  url: string;
  received: { headers: Headers; body: string; type: string }[];
  stop(): Promise<void>;
}

/** An endpoint for webhooks that answers these statuses in turn, and then 200. */
export function startReceiver(statuses: number[] = []): Receiver {
  const received: Receiver["received"] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const body = await request.text();
      const { type } = JSON.parse(body);
      received.push({ headers: request.headers, body, type });
      const status = statuses.shift() ?? 200;
      // A place to go to, so that a client that follows redirects is found out.
      return new Response(null, { status, headers: { location: request.url } });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/hook`,
    received,
    stop: () => server.shutdown(),
  };
}
