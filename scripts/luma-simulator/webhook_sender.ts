import { createHmac } from "node:crypto";
import type { Faults } from "./faults.ts";
import { Recorder } from "./recorder.ts";
import { sleep } from "./timing.ts";
import type { SimWebhook, WebhookType, World } from "./world.ts";

const ANSWER_TIMEOUT_MS = 10_000;
const REORDER_LIMIT_MS = 1_000;

/** One POST to an endpoint: the answered status, or why there was none. */
export interface DeliveryAttempt {
  time: string;
  status: number | null;
  error: string | null;
}

/** One webhook on its way to one endpoint. */
export interface Delivery {
  /** `Webhook-Id`, the same for retries and duplicates. */
  id: string;
  webhook_id: string;
  calendar_id: string;
  type: WebhookType;
  url: string;
  time: string;
  /** The exact text that is signed and sent. */
  body: string;
  attempts: DeliveryAttempt[];
  /** `dropped` also when the endpoint was paused or deleted before a retry. */
  state: "pending" | "held" | "delivered" | "failed" | "dropped";
  /** Id of the fault applied to it. */
  fault: string | null;
}

/**
 * `Webhook-Signature`: Stripe's scheme, with the whole secret (`whsec_…` included) as the key of an
 * HMAC-SHA256 over `<Unix seconds>.<body>`. Not in Luma's OpenAPI document; what receivers agree on.
 */
export function webhookSignature(
  secret: string,
  timestampS: number,
  body: string,
): string {
  const hex = createHmac("sha256", secret)
    .update(`${timestampS}.${body}`)
    .digest("hex");
  return `t=${timestampS},v1=${hex}`;
}

/** Sends webhooks without making the request that caused them wait, each on its own and retried. */
export class WebhookSender {
  readonly deliveries = new Recorder<Delivery>("webhook delivery");
  #stopping = new AbortController();
  #running = new Set<Promise<void>>();
  /** By webhook id: sends the delivery that waits for the next one to overtake it. */
  #overtaken = new Map<string, () => void>();

  constructor(
    private readonly world: () => World,
    private readonly faults: Faults,
    private readonly retryMs: number[],
    private readonly fetchFn: typeof fetch = fetch,
  ) {}

  emit(
    type: WebhookType,
    calendarId: string,
    data: Record<string, unknown>,
  ): void {
    const world = this.world();
    for (const webhook of world.webhooks) {
      const wanted = webhook.event_types.includes("*") ||
        webhook.event_types.includes(type);
      if (webhook.calendar_id !== calendarId || !wanted) continue;
      if (webhook.status === "paused") continue;
      const delivery = this.deliveries.add({
        id: world.id("whd"),
        webhook_id: webhook.id,
        calendar_id: calendarId,
        type,
        url: webhook.url,
        time: world.time(),
        body: JSON.stringify({ type, data }),
        attempts: [],
        state: "pending",
        fault: null,
      });
      this.#track(this.#dispatch(webhook, delivery));
    }
  }

  /** Stops sending, and waits until nothing of it is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const go of [...this.#overtaken.values()]) go();
    await Promise.all(this.#running);
  }

  /** Resolves when no webhook is waiting to be sent, sent or retried. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  async #dispatch(webhook: SimWebhook, delivery: Delivery): Promise<void> {
    const struck = this.faults.forWebhook(delivery.type, delivery.calendar_id);
    if (struck) {
      const { active, fault } = struck;
      delivery.fault = active.id;
      const held = fault.hold ? active.hold() : undefined;
      if (fault.drop) this.#settle(delivery, "dropped");
      else if (held) this.#settle(delivery, "held");
      active.hit();
      if (fault.drop) return;
      await Promise.race([held, aborted(held && this.#stopping.signal)]);
      if (fault.reorder) await this.#letNextOvertake(webhook.id);
      await sleep(fault.delayMs, this.#stopping.signal);
    }
    for (let copy = 0; copy <= (struck?.fault.duplicate ?? 0); copy++) {
      await this.#send(webhook, delivery);
    }
    this.#overtaken.get(webhook.id)?.();
  }

  /** Waits until the endpoint's next webhook was sent; whoever finds one waiting is that next one. */
  #letNextOvertake(webhookId: string): Promise<void> {
    if (this.#overtaken.has(webhookId)) return Promise.resolve();
    return new Promise((resolve) => {
      const go = () => {
        clearTimeout(timer);
        this.#overtaken.delete(webhookId);
        resolve();
      };
      const timer = setTimeout(go, REORDER_LIMIT_MS);
      this.#overtaken.set(webhookId, go);
    });
  }

  async #send(webhook: SimWebhook, delivery: Delivery): Promise<void> {
    for (let attempt = 0; attempt <= this.retryMs.length; attempt++) {
      const stopped = this.#stopping.signal.aborted;
      const gone = !this.world().webhooks.includes(webhook);
      if (stopped || gone || webhook.status === "paused") {
        this.#settle(delivery, "dropped");
        return;
      }
      const made = await this.#post(webhook, delivery);
      delivery.attempts.push(made);
      if (made.status !== null && made.status >= 200 && made.status < 300) {
        this.#settle(delivery, "delivered");
        return;
      }
      this.deliveries.changed(delivery);
      const pause = this.retryMs[attempt];
      if (pause !== undefined) await sleep(pause, this.#stopping.signal);
    }
    this.#settle(delivery, "failed");
  }

  async #post(
    webhook: SimWebhook,
    delivery: Delivery,
  ): Promise<DeliveryAttempt> {
    const world = this.world();
    const time = world.time();
    const timestampS = Math.floor(world.now() / 1000);
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), ANSWER_TIMEOUT_MS);
    try {
      const response = await this.fetchFn(webhook.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "webhook-id": delivery.id,
          "webhook-timestamp": String(timestampS),
          "webhook-signature": webhookSignature(
            webhook.secret,
            timestampS,
            delivery.body,
          ),
        },
        body: delivery.body,
        redirect: "manual",
        signal: AbortSignal.any([this.#stopping.signal, timeout.signal]),
      });
      await response.body?.cancel();
      return { time, status: response.status, error: null };
    } catch (error) {
      const why = timeout.signal.aborted
        ? `no answer within ${ANSWER_TIMEOUT_MS} ms`
        : String(error);
      return { time, status: null, error: why };
    } finally {
      clearTimeout(timer);
    }
  }

  #settle(delivery: Delivery, state: Delivery["state"]): void {
    delivery.state = state;
    this.deliveries.changed(delivery);
  }
}

/** Resolves at the abort; without a signal at once, so that nothing waits where nothing is held. */
function aborted(signal: AbortSignal | undefined): Promise<void> {
  if (!signal || signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}
