import type { WebhookChanges } from "../inputs.ts";
import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";
import { type PageQuery, paging } from "../paging.ts";

/** The calendar's webhook subscriptions. */
export function webhookMethods({ call }: Transport) {
  return {
    /** Subscribes a URL; the answer holds the secret that signs its deliveries. */
    createWebhook: (
      webhook: { url: string; event_types: T.WebhookEventType[] },
      options?: CallOptions,
    ) =>
      call(R.createWebhook, { body: webhook, schema: T.Webhook, ...options }),

    /** A page of the calendar's subscriptions. */
    listWebhooks: (query: PageQuery = {}, options?: CallOptions) =>
      call(R.listWebhooks, {
        query: paging(query),
        schema: T.pageOf(T.Webhook),
        ...options,
      }),

    getWebhook: (id: string, options?: CallOptions) =>
      call(R.getWebhook, { query: { id }, schema: T.Webhook, ...options }),

    updateWebhook: (changes: WebhookChanges, options?: CallOptions) =>
      call(R.updateWebhook, { body: changes, schema: T.Webhook, ...options }),

    async deleteWebhook(id: string, options?: CallOptions): Promise<void> {
      await call(R.deleteWebhook, {
        body: { id },
        schema: T.Empty,
        ...options,
      });
    },
  };
}
