/** The gateway to the database: one typed method for each luma_* function. No other file names them. */
import { createClient } from "@supabase/supabase-js";
import { z } from "zod";
import type { Database } from "./database.types.ts";
import { LUMA_ROUTES } from "./luma/routes.ts";
import { redact } from "./redact.ts";
import { storableJson } from "./storable.ts";
import type { EventNews, GuestNews, News } from "./sync/from_luma.ts";
import {
  Claim,
  CoverBegin,
  Deliveries,
  DrainStart,
  EventRead,
  Permits,
  PullRun,
  PullStep,
} from "./sync/job.ts";
import type { Listed } from "./sync/listed.ts";
import type { PullRequest } from "./sync/pull_request.ts";

/** A call to the database failed. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /** The database refused what it was asked for, in words for whoever asked. */
  readonly isRefusal: boolean;
  constructor(message: string, { isRefusal = false } = {}) {
    // Postgres may quote a value: one of a trigger of the app's, say.
    super(redact(message));
    this.isRefusal = isRefusal;
  }
}

/** One call to Luma, for luma.attempts; `body` in dry_run only. */
export interface CallRecord {
  route: string;
  at: string;
  ms: number;
  status: number | null;
  body?: unknown;
}

/** What luma_acknowledge() takes. */
export interface Result {
  outcome: "done" | "removed" | "nothing_to_do" | "dry_run";
  luma_event_id?: string;
  /** What Luma was told, as from_luma.ts's toldFields() puts it, and the culture as `culture`. */
  sent?: Record<string, unknown>;
  /** Columns whose value Luma does not have yet though all else is done: luma.sweep() comes back for them. */
  pending?: string[];
  /** What of the row could not be shown as it is, for an admin. */
  warning?: string | null;
  /** The event was there already, so it has to be read: a host may have edited it since. */
  look?: boolean;
  /** What was told was told by an earlier create call, from the row as it was then. */
  from_create?: boolean;
}

/** What luma_fail() takes; the database decides what becomes of the job (luma.sort_failure). */
export interface Failure {
  kind:
    | "timeout"
    | "network"
    | "http"
    | "invalid_response"
    | "invalid_row"
    | "refused"
    | "internal";
  status?: number | null;
  message: string;
  retry_after?: number | null;
}

/** One guest's outcome, as luma_settle_guests() takes it. */
export interface GuestSettlement {
  lease: string;
  outcome: "done" | "read" | "dry_run" | "failed" | "released";
  /** What Luma holds now, for `done`; null when it has no such guest. */
  status?: string | null;
  luma_guest_id?: string | null;
  /** What Luma told, for `read`; null when it has no such guest. */
  news?: GuestNews | null;
  /** When that was asked, ISO. */
  read_at?: string;
  failure?: Failure;
  /** The call that failed may have taken effect. */
  maybe_applied?: boolean;
  calls: CallRecord[];
}

/** What became of a step of a pull, as luma_pull_step() takes it. */
export type PullResult =
  | { kind: "none" | "late" }
  | { kind: "calendar"; calendar_id: string }
  | {
    kind: "page";
    route: string;
    entries: Listed[];
    next_cursor: string | null;
  }
  | { kind: "event"; entries: Listed[] }
  | { kind: "failed"; failure: Failure };

type Functions = Database["public"]["Functions"];

/** What a delivery says; null when there is nothing in it for the app, `error` when it could not be read. */
export type DeliveryNews = News | { error: string } | null;

/** A verified webhook delivery, as luma_receive_webhook() takes it. */
export type Delivery =
  & Omit<Functions["luma_receive_webhook"]["Args"], "news_json">
  & { news: DeliveryNews };

/** How long a call to the database may take: above the 8 s that it allows itself. */
const TIMEOUT_MS = 10_000;

/** invalid_parameter_value, no_data_found, object_not_in_prerequisite_state: what luma.ask_pulls() raises. */
const REFUSALS = ["22023", "P0002", "55000"];

export type Store = ReturnType<typeof createStore>;

/** Opens no connection: every method is one HTTP call to the Data API. All of them throw StoreError. */
export function createStore(
  { supabaseUrl, supabaseKey }: { supabaseUrl: string; supabaseKey: string },
  fetchFn: typeof fetch = fetch,
) {
  const client = createClient<Database>(supabaseUrl, supabaseKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    global: {
      fetch: (input, init) =>
        fetchFn(input, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    },
  });

  async function call<Name extends keyof Functions & string>(
    name: Name,
    args: Functions[Name]["Args"],
  ): Promise<unknown> {
    const { data, error, status } = await client.rpc(name, args);
    if (!error) return data;
    // Status 0: no answer at all.
    const hint = status === 0
      ? `; is SUPABASE_URL (${supabaseUrl}) right, and the database up?`
      : status === 401
      ? "; is SUPABASE_SECRET_KEYS right?"
      : status === 404
      ? "; are the migrations applied?"
      : "";
    throw new StoreError(
      `${name}: ${error.message || `no answer (${error.code})`}${hint}${
        error.hint ? `. ${error.hint}` : ""
      }`,
      { isRefusal: REFUSALS.includes(error.code) },
    );
  }

  async function parsed<T>(
    name: keyof Functions & string,
    schema: z.ZodType<T>,
    data: Promise<unknown>,
  ): Promise<T> {
    const result = schema.safeParse(await data);
    if (result.success) return result.data;
    throw new StoreError(
      `${name} answered something unexpected: ${result.error.message}. Are the migrations and the functions of one version?`,
    );
  }

  return {
    /** Registers a run that holds keys for these calendars. */
    drainStart: (keys: string[]) =>
      parsed(
        "luma_drain_start",
        DrainStart,
        call("luma_drain_start", { keys }),
      ),

    /** Leases up to maxJobs jobs; the permits that come with them are good for a moment (see permits.ts). */
    claim: (runId: string, calendars: string[], maxJobs: number) =>
      parsed(
        "luma_claim",
        Claim,
        call("luma_claim", { run_id: runId, calendars, max_jobs: maxJobs }),
      ),

    /** Prolongs the run and its leases, and answers those it still holds. */
    renew: async (runId: string): Promise<string[]> =>
      await call("luma_renew", { run_id: runId }) as string[],

    takePermits: (calendar: string, wanted: number) =>
      parsed(
        "luma_take_permits",
        Permits,
        call("luma_take_permits", { calendar, wanted }),
      ),

    /** Gives back permits under which no call was made, nor ever will be. */
    returnPermits: async (calendar: string, unused: number): Promise<void> => {
      await call("luma_return_permits", { calendar, unused });
    },

    /** Remembers a Luma event as soon as it is known. False: the lease is lost. */
    created: async (lease: string, slug: string, lumaEventId: string) =>
      await call("luma_created", {
        lease,
        slug,
        luma_event_id: lumaEventId,
      }) === true,

    /** Luma was asked and has no event under our slug: now one may be created. False: stop. */
    createAgain: async (lease: string) =>
      await call("luma_create_again", { lease }) === true,

    /** Chooses another slug, because somebody else's event has ours. Null: the lease is lost. */
    slugTaken: async (lease: string): Promise<string | null> =>
      await call("luma_slug_taken", { lease }) as string | null,

    /** False: the lease was lost, and with it the right to settle the job. */
    acknowledge: async (lease: string, result: Result, calls: CallRecord[]) =>
      await call("luma_acknowledge", {
        lease,
        result_json: storableJson({ ...result, calls }),
      }) === true,

    /** What became of the job, or null when the lease was lost. `told`: what update calls may have told Luma. */
    fail: async (
      lease: string,
      failure: Failure,
      calls: CallRecord[],
      told: Record<string, unknown>,
    ) =>
      await call("luma_fail", {
        lease,
        failure_json: storableJson({
          ...failure,
          told,
          // Then the event may exist, whatever came back: fetch itself repeats a call whose connection broke.
          create_called: calls.some((call) =>
            call.route === LUMA_ROUTES.createEvent
          ),
          calls,
        }),
      }) as string | null,

    /** Answers the leases that could not be settled just now, because the app is writing their RSVPs. */
    settleGuests: async (eventId: string, settlements: GuestSettlement[]) =>
      await call("luma_settle_guests", {
        event_id: eventId,
        results_json: storableJson(settlements),
      }) as string[],

    /** Gives back jobs for which nothing was done. */
    release: async (leases: string[]): Promise<void> => {
      await call("luma_release", { leases });
    },

    /** `ended`, or why the run goes on: there is `work`, `writers` are just committing, or something is due `soon`. */
    drainEnd: async (
      runId: string,
      calendars: string[],
      summary: { calls: number; reason: string },
      force: boolean,
    ) =>
      await call("luma_drain_end", {
        run_id: runId,
        calendars,
        ...summary,
        force,
      }) as "ended" | "work" | "writers" | "soon",

    noteRateLimit: async (calendar: string, limit: number): Promise<void> => {
      await call("luma_note_rate_limit", { calendar, rate_limit: limit });
    },

    /** `seen`: a delivery with this id is stored already. `stored`: to be applied later, or not used. */
    receiveWebhook: async ({ news, ...delivery }: Delivery) =>
      await call("luma_receive_webhook", {
        ...delivery,
        ...newsArgument(news),
      }) as "applied" | "stored" | "seen",

    /** Applies some of the deliveries that wait. */
    applyDeliveries: () =>
      parsed(
        "luma_apply_deliveries",
        Deliveries,
        call("luma_apply_deliveries", {}),
      ),

    /** Says what is in a delivery that could not be read when it came. */
    readDelivery: async (webhookId: string, news: DeliveryNews) => {
      await call("luma_read_delivery", {
        webhook_id: webhookId,
        ...newsArgument(news),
      });
    },

    /** Applies what was just read of a leased event. Null: the lease is lost, or another run goes on with the job. */
    eventRead: (lease: string, news: EventNews) =>
      parsed(
        "luma_event_read",
        EventRead,
        call("luma_event_read", { lease, news_json: storableJson(news) }),
      ),

    /** Asks for a pull. Throws a StoreError that is a refusal for a calendar or event that nobody knows. */
    pullRequest: async (request: PullRequest): Promise<void> => {
      await call("luma_pull_request", {
        calendar: request.calendar ?? undefined,
        event: request.event ?? undefined,
        dry: request.dry,
      });
    },

    /** Takes the pulls that wait. */
    pullBegin: (keys: string[]) =>
      parsed(
        "luma_pull_begin",
        z.array(PullRun),
        call("luma_pull_begin", { keys }),
      ),

    /** Hands in what a step brought, and answers the next one. */
    pullStep: ({ run_id, lease }: PullRun, result: PullResult) =>
      parsed(
        "luma_pull_step",
        PullStep,
        call("luma_pull_step", {
          run_id,
          lease,
          result_json: storableJson(result),
        }),
      ),

    /** Hands a run on to another function. */
    pullPause: async ({ run_id, lease }: PullRun): Promise<void> => {
      await call("luma_pull_pause", { run_id, lease });
    },

    coverBegin: (sourceUrl: string) =>
      parsed(
        "luma_cover_begin",
        CoverBegin,
        call("luma_cover_begin", { source_url: sourceUrl }),
      ),

    coverUploaded: async (sourceUrl: string, lumaUrl: string) => {
      await call("luma_cover_end", {
        source_url: sourceUrl,
        luma_url: lumaUrl,
      });
    },

    /** Gives an image back untried, for whoever needs it next. */
    coverFreed: async (sourceUrl: string) => {
      await call("luma_cover_end", { source_url: sourceUrl });
    },

    coverFailed: async (
      sourceUrl: string,
      error: string,
      transient: boolean,
    ) => {
      await call("luma_cover_end", { source_url: sourceUrl, error, transient });
    },
  };
}

function newsArgument(news: DeliveryNews): { news_json?: string } {
  return news === null ? {} : { news_json: storableJson(news) };
}
