/** The stand-in for pg_net's background worker: sends what net.http_post() and its kin have queued. */
import type postgres from "postgres";
import { connect } from "./database.ts";

/** A worker of the stack that can be held and let go. */
export interface Worker {
  /** Holds the worker after what it is doing now. */
  pause(): void | Promise<void>;
  resume(): void | Promise<void>;
  stop(): Promise<void>;
}

interface QueuedRequest {
  id: string;
  method: string;
  url: string;
  headers: Record<string, string> | null;
  body: Uint8Array<ArrayBuffer> | null;
  timeout_milliseconds: number;
}

/** A row of net._http_response. */
interface RecordedResponse {
  id: string;
  status_code: number | null;
  content_type: string | null;
  headers: Record<string, string> | null;
  content: string | null;
  timed_out: boolean;
  error_msg: string | null;
}

const BATCH_SIZE = 200;
const RESPONSES_KEPT = "6 hours";
const RESTART_DELAY_MS = 1000;

/** Longer than any request here may take. What a crash of Postgres cuts off may never be answered by postgres.js. */
const BATCH_PATIENCE_MS = 15_000;
const STOP_PATIENCE_MS = 1_000;

/**
 * Works as pg_net 0.20 does: wakes at commit, takes up to 200 requests, sends them together, and in
 * the same transaction deletes them from the queue and records the answers. So the slowest request
 * holds up every other one, a rolled back batch is sent again, and nothing is retried.
 */
export async function startPgNet(
  adminUrl: string,
  log: (line: string) => void,
): Promise<Worker> {
  const open = () =>
    connect(adminUrl, {
      max: 1,
      connection: { application_name: "pg_net 0.20.4 worker" },
      // Postgres was away. postgres.js listens again once, and that may fail: then nobody would ring here any more.
      onclose: () => lookAgain(),
    });
  let sql = open();
  const stopping = new AbortController();
  let isPaused = false;
  let isAwake = false;
  let wake = () => {};
  const wakeUp = () => {
    isAwake = true;
    wake();
  };
  let looking: ReturnType<typeof setInterval> | undefined;
  const lookAgain = () => {
    if (!stopping.signal.aborted) looking ??= setInterval(wakeUp, 1_000);
  };

  const run = async () => {
    while (!stopping.signal.aborted) {
      if (!isAwake || isPaused) {
        await new Promise<void>((resolve) => wake = resolve);
      }
      if (isPaused || stopping.signal.aborted) continue;
      isAwake = false;
      try {
        while (
          !isPaused &&
          await inTime(sendBatch(sql, stopping.signal), stopping.signal) > 0
        );
      } catch (error) {
        if (stopping.signal.aborted) return;
        log(`pg_net: ${error instanceof Error ? error.message : error}`);
        if (error instanceof Stuck) {
          // Its one connection is taken for good. lookAgain() rings from here on.
          sql.end({ timeout: 0 }).catch(() => {});
          sql = open();
          lookAgain();
        }
        // The real worker ends on an error and is started again after a second, with work to look for.
        const timer = setTimeout(wakeUp, RESTART_DELAY_MS);
        stopping.signal.addEventListener("abort", () => clearTimeout(timer), {
          once: true,
        });
      }
    }
  };
  // Called again after every lost connection: what was queued meanwhile has rung no bell here.
  await sql.listen("pg_net_wake", wakeUp, wakeUp);
  const running = run();
  return {
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
      wakeUp();
    },
    stop: async () => {
      stopping.abort();
      clearInterval(looking);
      wake();
      await running;
      await sql.end({ timeout: 1 });
    },
  };
}

class Stuck extends Error {
  override readonly name = "Stuck";
}

/** What comes in time; a Stuck error for what does not, and soon for what is under way when the worker is stopped. */
async function inTime<T>(work: Promise<T>, stopping: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new Stuck("pg_net's batch came to no end"));
  const timers = [setTimeout(giveUp, BATCH_PATIENCE_MS)];
  const hurry = () => timers.push(setTimeout(giveUp, STOP_PATIENCE_MS));
  stopping.addEventListener("abort", hurry);
  try {
    return await Promise.race([work, promise]);
  } finally {
    stopping.removeEventListener("abort", hurry);
    timers.forEach(clearTimeout);
  }
}

/** Sends one batch and returns how many requests were in it. */
async function sendBatch(
  sql: postgres.Sql,
  stopping: AbortSignal,
): Promise<number> {
  return await sql.begin(async (transaction) => {
    const [state] = await transaction<{ queue: string | null }[]>`
      select to_regclass('net.http_request_queue')::text as queue`;
    if (!state?.queue) return 0;
    await transaction`
      delete from net._http_response
      where created < now() - ${RESPONSES_KEPT}::interval`;
    const requests = await transaction<QueuedRequest[]>`
      with batch as (select id from net.http_request_queue order by id limit ${BATCH_SIZE})
      delete from net.http_request_queue as queue using batch where queue.id = batch.id
      returning queue.id, method, url, headers, body, timeout_milliseconds`;
    if (requests.length === 0) return 0;
    const responses = await Promise.all(
      requests.map((request) => send(request, stopping)),
    );
    // Ends the transaction, so that the unsent stay queued as when the real worker is stopped.
    stopping.throwIfAborted();
    await transaction`
      insert into net._http_response ${
      transaction(responses.map(({ headers, ...response }) => ({
        ...response,
        headers: headers === null ? null : transaction.json(headers),
      })))
    }`;
    return requests.length;
  });
}

/** Makes one request; every failure ends as a row, never as an exception. */
async function send(
  request: QueuedRequest,
  stopping: AbortSignal,
): Promise<RecordedResponse> {
  const { id, method, url, headers, body, timeout_milliseconds: timeoutMs } =
    request;
  const started = performance.now();
  // As in the real one, 0 means no limit: such a request can hold the queue for ever.
  const timeout = timeoutMs > 0 ? [AbortSignal.timeout(timeoutMs)] : [];
  const none = {
    status_code: null,
    content_type: null,
    headers: null,
    content: null,
  };
  try {
    if (!/^https?:/i.test(url)) {
      throw new TypeError(`Unsupported protocol in "${url}"`);
    }
    const response = await fetch(url, {
      method: method.toUpperCase(),
      headers: headers === null
        ? {}
        : { "User-Agent": "pg_net/0.20.4", ...headers },
      body,
      signal: AbortSignal.any([stopping, ...timeout]),
    });
    const content = await response.text();
    return {
      id,
      status_code: response.status,
      content_type: response.headers.get("content-type"),
      headers: Object.fromEntries(response.headers),
      content: content === "" ? null : content,
      timed_out: false,
      error_msg: null,
    };
  } catch (error) {
    const isTimeout = error instanceof DOMException &&
      error.name === "TimeoutError";
    const totalMs = (performance.now() - started).toFixed(3);
    const reason = error instanceof Error ? error.message : String(error);
    return {
      id,
      ...none,
      timed_out: isTimeout,
      error_msg: isTimeout
        ? `Timeout of ${timeoutMs} ms reached. Total time: ${totalMs} ms`
        : reason,
    };
  }
}
