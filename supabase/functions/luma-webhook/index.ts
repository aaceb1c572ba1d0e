/**
 * Edge Function luma-webhook: takes what Luma's webhooks deliver.
 *
 * POST by Luma, signed with the secret of a calendar's webhook (LUMA_<CALENDAR KEY>_WEBHOOK_SECRET). Answers
 * 200 when the delivery is stored, or was before.
 */
import { log, serve } from "../_shared/http.ts";
import { createStore } from "../_shared/store.ts";
import { receiveWebhook } from "../_shared/sync/receive.ts";

serve((request, env) =>
  receiveWebhook(request, {
    env,
    store: createStore(env),
    now: () => new Date(),
    log,
  })
);
