import { Api, type RecordedRequest } from "./api.ts";
import {
  checkedFault,
  type Fault,
  type FaultHandle,
  Faults,
} from "./faults.ts";
import { seededRandom } from "./ids.ts";
import { Guest, Host } from "./people.ts";
import { RateLimiter } from "./rate_limit.ts";
import { Recorder } from "./recorder.ts";
import { type Handler, handlerOf } from "./in_process.ts";
import { listen, type Served } from "./server.ts";
import { type Delivery, WebhookSender } from "./webhook_sender.ts";
import {
  type SimCalendar,
  type SimEmail,
  type SimEvent,
  type SimWebhook,
  World,
} from "./world.ts";

/** A calendar to simulate: its id, and the API key that opens it. */
export interface CalendarOptions {
  id: string;
  name: string;
  slug: string;
  key: string;
}

export interface SimulatorOptions {
  /** 0, the default: a free one. */
  port?: number;
  /** Default 127.0.0.1. */
  hostname?: string;
  /** Default: DEFAULT_CALENDARS. */
  calendars?: CalendarOptions[];
  /** For each key, GET and POST together. Default 200, as Luma's. */
  rateLimitPerMinute?: number;
  /** The largest page of a list. Default 50. */
  pageSize?: number;
  /** Epoch milliseconds; the clock of all timestamps, the rate limit and token lifetimes. */
  now?: () => number;
  /** The pauses before each retry of a webhook. Default 0.2, 1 and 5 seconds. */
  webhookRetryMs?: number[];
  /** Makes ids, slugs and the chances of faults repeat from run to run; without it they differ. */
  seed?: number;
  /** Sends the webhooks. Default: the global fetch. */
  fetch?: typeof fetch;
}

export const DEFAULT_CALENDARS: CalendarOptions[] = [
  {
    id: "cal-ZVonmjVxLk7F2oM",
    name: "BLRxZo",
    slug: "blrxzo",
    key: "luma-key-blr",
  },
  {
    id: "cal-3YNnBTToy9fnnjQ",
    name: "Zo Events",
    slug: "zo-events",
    key: "luma-key-zo-events",
  },
];

/** A running simulator. Its lists and events are live: they show what is, not what was. */
export interface LumaSimulator {
  /** Use it as LUMA_API_URL; no slash at the end. */
  readonly url: string;
  readonly calendars: SimCalendar[];
  /** Every API request since the start or the last clearing, in order of arrival. */
  readonly requests: RecordedRequest[];
  readonly deliveries: Delivery[];
  /** What Luma would have mailed to guests. */
  readonly emails: SimEmail[];
  /** `add` throws ApiError for a fault that is not one; the first fault that strikes is applied. */
  readonly faults: { add(fault: Fault): FaultHandle; clear(): void };
  readonly host: Host;
  readonly guest: Guest;
  events(): SimEvent[];
  event(id: string): SimEvent | undefined;
  /** The bytes uploaded for this `file_url` (a `cover_url`). */
  image(fileUrl: string): Uint8Array | undefined;
  clearRequests(): void;
  /** The first request, past or future, that matches when it arrives, hits a fault, is answered or ends. */
  waitForRequest(
    matches: (request: RecordedRequest) => boolean,
    timeoutMs?: number,
  ): Promise<RecordedRequest>;
  /** The first webhook, past or future, that matches when it is made, attempted or settled. */
  waitForDelivery(
    matches: (delivery: Delivery) => boolean,
    timeoutMs?: number,
  ): Promise<Delivery>;
  /** Who is subscribed to what, with the secrets. */
  webhooks(): SimWebhook[];
  /** Resolves when no webhook is on its way, retries included. */
  webhooksIdle(): Promise<void>;
  /** Back to the empty start: also faults, records and rate limits. */
  reset(): void;
  /** Closes all connections, drops webhooks on their way, and frees the port. */
  stop(): Promise<void>;
}

/** Starts a Luma in memory that answers over HTTP. @throws when the port is taken. */
export async function startSimulator(
  options: SimulatorOptions = {},
): Promise<LumaSimulator> {
  const hostname = options.hostname ?? "127.0.0.1";
  const at = { url: "", close: () => Promise.resolve() };
  const { simulator, served } = assemble(options, at);
  const server = await listen(served, hostname, options.port ?? 0);
  Object.assign(at, {
    url: `http://${hostname}:${server.port}`,
    close: server.close,
  });
  return simulator;
}

/** A Luma in memory that is called directly, at an address of the caller's choice, and listens on no port. */
export function createSimulator(
  url: string,
  options: Omit<SimulatorOptions, "port" | "hostname"> = {},
): LumaSimulator & { handle: Handler } {
  const at = { url, close: () => Promise.resolve() };
  const { simulator, served } = assemble(options, at);
  return Object.assign(simulator, { handle: handlerOf(served) });
}

/** `at`: where it is reached, known by the first request. */
function assemble(
  options: SimulatorOptions,
  at: { url: string; close: () => Promise<void> },
): { simulator: LumaSimulator; served: Served } {
  const now = options.now ?? Date.now;
  const stopping = new AbortController();
  const random = seededRandom(options.seed);
  const faults = new Faults(random);
  const limiter = new RateLimiter(options.rateLimitPerMinute ?? 200, now);
  const requests = new Recorder<RecordedRequest>("request");
  const sender = new WebhookSender(
    () => world,
    faults,
    options.webhookRetryMs ?? [200, 1_000, 5_000],
    options.fetch,
  );
  const world: World = new World(
    now,
    (type, calendarId, data) => sender.emit(type, calendarId, data),
    random,
  );
  addCalendars(world, options.calendars ?? DEFAULT_CALENDARS);
  const api = new Api({
    world: () => world,
    faults,
    limiter,
    requests,
    pageSize: options.pageSize ?? 50,
    baseUrl: () => at.url,
    stopping: stopping.signal,
  });
  const operated = () => ({
    simulator,
    world,
    faults,
  });
  const simulator: LumaSimulator = {
    get url() {
      return at.url;
    },
    calendars: world.calendars,
    requests: requests.items,
    deliveries: sender.deliveries.items,
    emails: world.emails,
    faults: {
      add: (fault) => faults.add(checkedFault(fault)),
      clear: () => faults.clear(),
    },
    host: new Host(() => world),
    guest: new Guest(() => world),
    events: () => [...world.events.values()],
    event: (id) => world.events.get(id),
    image: (fileUrl) =>
      world.images.get(fileUrl.split("/").at(-1) ?? "")?.bytes ?? undefined,
    clearRequests: () => requests.clear(),
    waitForRequest: (matches, timeoutMs = 10_000) =>
      requests.waitFor(matches, timeoutMs, describeRequest),
    waitForDelivery: (matches, timeoutMs = 10_000) =>
      sender.deliveries.waitFor(matches, timeoutMs, describeDelivery),
    webhooks: () => world.webhooks,
    webhooksIdle: () => sender.idle(),
    reset: () => {
      faults.clear();
      limiter.reset();
      world.reset();
      requests.clear();
      sender.deliveries.clear();
    },
    stop: async () => {
      stopping.abort();
      faults.clear();
      await sender.stop();
      await at.close();
    },
  };
  return { simulator, served: { api, requests, operated } };
}

function addCalendars(world: World, calendars: CalendarOptions[]): void {
  for (const { id, name, slug, key } of calendars) {
    if (world.calendars.some((other) => other.key === key || other.id === id)) {
      throw new Error(
        `calendar ${id}: its id or key is already another calendar's; give each its own`,
      );
    }
    const owner = world.user(`host@${slug}.example`, name);
    world.calendars.push({
      id,
      name,
      slug,
      key,
      owner,
      stripeConnected: true,
      tags: [],
    });
  }
}

function describeRequest(request: RecordedRequest): string {
  const { method, path, status, outcome } = request;
  return `${method} ${path} ${status ?? outcome}`;
}

function describeDelivery({ type, state, attempts }: Delivery): string {
  return `${type} ${state} after ${attempts.length} attempts`;
}
