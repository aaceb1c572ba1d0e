import { ApiError } from "./errors.ts";
import type { ActiveFault, Faults, RequestFault } from "./faults.ts";
import type { RateLimiter } from "./rate_limit.ts";
import type { Recorder } from "./recorder.ts";
import type { Context, Route } from "./route.ts";
import { eventRoutes } from "./routes_events.ts";
import { guestRoutes } from "./routes_guests.ts";
import { tagRoutes } from "./routes_tags.ts";
import { ticketTypeRoutes } from "./routes_ticket_types.ts";
import { webhookRoutes } from "./routes_webhooks.ts";
import { sleep } from "./timing.ts";
import type { SimCalendar, World } from "./world.ts";

const ROUTES = new Map(
  [
    ...eventRoutes,
    ...guestRoutes,
    ...tagRoutes,
    ...ticketTypeRoutes,
    ...webhookRoutes,
  ].map((route) => [`${route.method} ${route.path}`, route]),
);

/** An API request as it came in, and what became of it. The key is not kept, only whose it is. */
export interface RecordedRequest {
  id: number;
  /** Epoch milliseconds of the simulator's clock. */
  time: number;
  method: string;
  path: string;
  query: Record<string, string | string[]>;
  /** Id of the calendar that the key belongs to; null for a missing or unknown key. */
  calendar: string | null;
  /** The JSON body; the text itself when it is no JSON, null without a body. */
  body: unknown;
  /** Null as long as nothing was answered. Set also when the client had left by then: the call was worked off. */
  status: number | null;
  /** The JSON that was answered. */
  response: unknown;
  /** `closed`: by a fault, without an answer; `client-gone`: the client left before the answer. */
  outcome: "open" | "answered" | "closed" | "client-gone";
  /** Id of the fault applied to it. */
  fault: string | null;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: object;
}

export interface ApiCall {
  method: string;
  url: URL;
  key: string | null;
  contentType: string;
  body: string;
}

/** Answers Luma's routes: key, rate limit, faults, and then the route itself. */
export class Api {
  #lastId = 0;

  constructor(
    private readonly options: {
      world: () => World;
      faults: Faults;
      limiter: RateLimiter;
      requests: Recorder<RecordedRequest>;
      pageSize: number;
      baseUrl: () => string;
      stopping: AbortSignal;
    },
  ) {}

  record(call: ApiCall): RecordedRequest {
    const calendar = this.#calendarOf(call.key);
    return this.options.requests.add({
      id: ++this.#lastId,
      time: this.options.world().now(),
      method: call.method,
      path: call.url.pathname,
      query: queryOf(call.url.searchParams),
      calendar: calendar?.id ?? null,
      body: call.body === "" ? null : parsed(call.body) ?? call.body,
      status: null,
      response: null,
      outcome: "open",
      fault: null,
    });
  }

  /** The answer, or null when the connection is to be closed without one. */
  async answer(
    call: ApiCall,
    record: RecordedRequest,
  ): Promise<Answer | null> {
    const calendar = this.#calendarOf(call.key);
    if (!calendar) {
      const problem = call.key === null ? "is missing" : "is not valid";
      return refusal(new ApiError(401, `the header x-luma-api-key ${problem}`));
    }
    const permit = this.options.limiter.take(calendar.key);
    const answer = permit.allowed
      ? await this.#answerWithFaults(call, record, calendar)
      : refusal(new ApiError(429, "rate limit exceeded: slow down"));
    if (!answer) return null;
    return { ...answer, headers: { ...permit.headers, ...answer.headers } };
  }

  #calendarOf(key: string | null): SimCalendar | undefined {
    return this.options.world().calendars.find((c) => c.key === key);
  }

  async #answerWithFaults(
    call: ApiCall,
    record: RecordedRequest,
    calendar: SimCalendar,
  ): Promise<Answer | null> {
    const { faults, stopping } = this.options;
    const struck = faults.forRequest({
      method: call.method,
      path: call.url.pathname,
      key: call.key,
      calendar: calendar.id,
      body: call.body,
    });
    const work = () => this.#work(call, record, calendar);
    if (!struck) return work();
    const { active, fault } = struck;
    record.fault = active.id;
    if (fault.latencyMs) await sleep(fault.latencyMs, stopping);
    if (fault.when === "after") {
      const done = work();
      const answer = await this.#strike(active, fault, record);
      return answer === undefined ? done : answer;
    }
    const answer = await this.#strike(active, fault, record);
    // A stop lets go of what is held; the effect must not happen then.
    if (stopping.aborted) return null;
    return answer === undefined ? work() : answer;
  }

  /** Undefined: go on as if nothing were; null: close the connection. */
  async #strike(
    active: ActiveFault,
    fault: RequestFault,
    record: RecordedRequest,
  ): Promise<Answer | null | undefined> {
    const held = fault.hang ? active.hold() : undefined;
    active.hit();
    this.options.requests.changed(record);
    await held;
    if (fault.close) return null;
    if (fault.status === undefined) return undefined;
    const answer = refusal(
      new ApiError(fault.status, fault.message ?? "simulated failure"),
    );
    if (fault.retryAfterS !== undefined) {
      answer.headers["retry-after"] = String(fault.retryAfterS);
    }
    return answer;
  }

  #work(
    call: ApiCall,
    record: RecordedRequest,
    calendar: SimCalendar,
  ): Answer {
    const { world, pageSize, baseUrl } = this.options;
    try {
      const route = ROUTES.get(`${call.method} ${call.url.pathname}`);
      if (!route) {
        const what = `${call.method} ${call.url.pathname}`;
        throw new ApiError(404, `no route ${what} in this API`);
      }
      const context: Context = {
        world: world(),
        calendar,
        pageSize,
        baseUrl: baseUrl(),
      };
      const body = route.serve(context, inputOf(route, call, record));
      return { status: 200, headers: {}, body };
    } catch (error) {
      if (error instanceof ApiError) return refusal(error);
      throw error;
    }
  }
}

export function refusal(error: ApiError): Answer {
  return {
    status: error.status,
    headers: {},
    body: { message: error.message },
  };
}

function inputOf(
  route: Route,
  call: ApiCall,
  record: RecordedRequest,
): unknown {
  if (route.method === "GET") return record.query;
  if (!/^application\/json\b/i.test(call.contentType)) {
    throw new ApiError(
      400,
      `content-type: send application/json, not "${call.contentType}"`,
    );
  }
  const body = parsed(call.body);
  if (body === undefined) throw new ApiError(400, "the body is not valid JSON");
  return body;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function queryOf(params: URLSearchParams): Record<string, string | string[]> {
  return Object.fromEntries(
    [...new Set(params.keys())].map((name) => {
      const values = params.getAll(name);
      return [name, values.length === 1 ? values[0] ?? "" : values];
    }),
  );
}
